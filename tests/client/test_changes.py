"""Changing jobs: what both clients, handles and the command line ask for, and what they tell."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tests.client.conftest import (
    FAST,
    EventLog,
    FakeServer,
    Packtrain,
    Refusal,
    block,
    changed,
    get_job,
    job,
)

from packtrain import client as api
from packtrain.client import AsyncClient, Client, JobState
from packtrain.v1 import training_service_pb2

SPEC = {"dataset": {"name": "datasets/d"}}
MOVES = {"pause": "PAUSED", "resume": "RUNNING", "retry": "RUNNING"}


def answer(method: str, state: str = "RUNNING", **more: Any) -> Any:
    return getattr(training_service_pb2, f"{method}Response")(job=job(state, **more))


@pytest.mark.parametrize(("move", "state"), MOVES.items())
async def test_a_job_is_moved_by_clients_handles_and_commands(
    fake: FakeServer, client: Client, packtrain: Packtrain, move: str, state: str
) -> None:
    method = f"{move.capitalize()}Job"
    fake.script(method, answer(method, state))
    fake.script("GetJob", get_job("RUNNING"))
    assert getattr(client, f"{move}_job")("j").state is JobState[state]
    handle = client.job("j")
    assert getattr(handle, move)().state is handle.latest.state is JobState[state]
    async with AsyncClient(fake.target, retry=FAST) as other:
        assert (await getattr(other, f"{move}_job")("j")).state is JobState[state]
        waiting = await other.job("j")
        assert (await getattr(waiting, move)()).state is waiting.latest.state
    assert packtrain(move, "j").stdout == f"j {state.lower()}\n"
    assert packtrain.lines(move, "j", "--json")[0]["state"] == state.lower()
    requests = fake.requests[method]
    assert {r.name for r in requests} == {"jobs/j"}
    assert len({r.request_id for r in requests}) == 6


async def test_an_update_names_what_it_changes(
    fake: FakeServer, client: Client, packtrain: Packtrain
) -> None:
    fake.script("UpdateJob", answer("UpdateJob", labels={"b": "2", "a": "1"}, priority=5))
    fake.script("GetJob", get_job())
    changes: dict[str, Any] = {"labels": {"a": "1", "gone": None}, "priority": 5}
    changes |= {"trials": 200, "epochs": 60}
    updated = client.update_job("j", **changes, etag="e", request_id="mine")
    assert (updated.labels, updated.priority) == ({"a": "1", "b": "2"}, 5)
    client.job("j").update(**changes)
    async with AsyncClient(fake.target) as other:
        await other.update_job("j", **changes)
        await (await other.job("j")).update(**changes)
    options = ["--label", "a=1", "--remove-label", "gone", "--priority", "5"]
    options += ["--trials", "200", "--epochs", "60"]
    assert packtrain("update", "j", *options).stdout == "j running\n"
    for request in fake.requests["UpdateJob"]:
        assert request.job.name == "jobs/j"
        assert list(request.update_mask.paths) == [
            "labels.a",
            "labels.gone",
            "priority",
            "spec.search.random.trials",
            "spec.epochs",
        ]
        assert dict(request.job.labels) == {"a": "1"}
        assert request.job.priority == 5
        assert request.job.spec.search.random.trials == 200
        assert request.job.spec.epochs == 60
    first = fake.requests["UpdateJob"][0]
    assert (first.job.etag, first.request_id) == ("e", "mine")
    for kind in ("sobol", "tpe", "gaussian_process", "cma_es", "nsga2"):
        fake.script("GetJob", get_job(spec={"search": {kind: {"trials": 4}}}))
        client.update_job("j", trials=8)
        asked = fake.requests["UpdateJob"][-1].job.spec.search
        assert getattr(asked, kind).trials == 8
    client.update_job("j", priority=0)
    assert list(fake.requests["UpdateJob"][-1].update_mask.paths) == ["priority"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"priority": 1.5}, "priority: expected a whole number of 32 bits, not 1.5"),
        ({"epochs": 2**31}, "epochs: expected a whole number of 32 bits"),
        ({"trials": True}, "trials: expected a whole number of 32 bits, not True"),
        ({"labels": {"a": 1}}, "labels: expected texts by texts, not 'a': 1"),
    ],
)
def test_what_no_message_holds_is_refused_by_name(
    fake: FakeServer, client: Client, change: dict[str, Any], words: str
) -> None:
    fake.script("GetJob", get_job())
    with pytest.raises(api.SpecError, match=words):
        client.update_job("j", **change)


async def test_a_new_job_has_labels_and_a_priority(
    fake: FakeServer, client: Client, packtrain: Packtrain, spec: str
) -> None:
    fake.script("CreateJob", training_service_pb2.CreateJobResponse(job=job("QUEUED")))
    client.train(SPEC, labels={"a": "1"}, priority=-3)
    async with AsyncClient(fake.target) as other:
        await other.train(SPEC, labels={"a": "1"}, priority=-3)
    packtrain("submit", spec, "--label", "a=1", "--priority", "-3")
    for request in fake.requests["CreateJob"]:
        assert (dict(request.labels), request.priority) == ({"a": "1"}, -3)


async def test_jobs_are_listed_by_labels(
    fake: FakeServer, client: Client, packtrain: Packtrain
) -> None:
    found = training_service_pb2.ListJobsResponse(jobs=[job(priority=7)])
    fake.script("ListJobs", found)
    assert next(client.list_jobs(labels={"a": "1", "b": ""})).priority == 7
    async with AsyncClient(fake.target) as other:
        assert [j.priority async for j in other.list_jobs(labels={"a": "1", "b": ""})] == [7]
    listed = packtrain("jobs", "--label", "a=1", "--label", "b=").stdout
    assert "priority" in listed
    for request in fake.requests["ListJobs"]:
        assert dict(request.labels) == {"a": "1", "b": ""}


def test_a_job_shows_its_labels_and_priority(packtrain: Packtrain, fake: FakeServer) -> None:
    fake.script("GetJob", get_job("PAUSED", labels={"b": "2", "a": "1"}, priority=5))
    shown = packtrain("show", "j").stdout
    assert "a=1, b=2" in shown
    assert "paused" in shown


def test_a_label_that_is_none_is_a_wrong_option(packtrain: Packtrain) -> None:
    result = packtrain("jobs", "--label", "a", code=2)
    assert "expected KEY=VALUE, not 'a'" in result.output


def test_what_the_server_refuses_is_told(packtrain: Packtrain, fake: FakeServer) -> None:
    wrong = (("job.spec.epochs", "must be at least 12"), ("job.priority", "must be -100 to 100"))
    fake.script(
        "UpdateJob", Refusal(grpc.StatusCode.INVALID_ARGUMENT, "two wrong", violations=wrong)
    )
    told = packtrain("update", "j", "--epochs", "3", code=2).output
    assert "  --epochs: must be at least 12\n  --priority: must be -100 to 100\n" in told
    fake.script("PauseJob", Refusal(grpc.StatusCode.FAILED_PRECONDITION, "jobs/j is PAUSED: no"))
    assert "jobs/j is PAUSED" in packtrain("pause", "j", code=2).output


def test_a_watch_goes_on_with_a_job_that_had_ended(fake: FakeServer, client: Client) -> None:
    """A stream that is cut off after the job went on anew is taken up again."""
    log = EventLog(
        changed("RUNNING"),
        changed("SUCCEEDED"),
        changed("RUNNING"),
        {"metrics": block(3, 1)},
        changed("SUCCEEDED"),
    )

    def cut_once(request: Any, context: Any) -> Any:
        messages = log.after(request.resume_token)
        # Ended with OK, as by a server that shuts down, but within the job's second life.
        yield from messages[:3] if not request.resume_token else messages

    fake.answers["WatchJob"] = cut_once
    assert len(list(client.watch_job("j"))) == 5
