"""What UpdateJob and CreateJob take of labels, priorities and more to train, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from tests.service.changes import Gate, random_search, refused, retry, state_of, update

from packtrain.service.settings import Limits
from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2
from packtrain.workers import SegmentFailedError

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]

TRIALS, EPOCHS = "spec.search.random.trials", "spec.epochs"


async def create(api: Any, spec: spec_pb2.JobSpec, **fields: Any) -> job_pb2.Job:
    return (await api.training.CreateJob(pb.CreateJobRequest(spec=spec, **fields))).job


async def names(api: Any, **labels: str) -> list[str]:
    response = await api.training.ListJobs(pb.ListJobsRequest(labels=labels))
    return [job.name.removeprefix("jobs/") for job in response.jobs]


async def test_labels_are_set_one_by_one_or_all_and_filter_the_list(
    api: Any, moons: MakeSpec
) -> None:
    first = await create(api, moons(), job_id="a", labels={"team": "x", "stage": "1"}, priority=7)
    assert (dict(first.labels), first.priority) == ({"team": "x", "stage": "1"}, 7)
    await create(api, moons(), job_id="b", labels={"team": "x"})
    await create(api, moons(), job_id="c")
    assert await names(api, team="x") == ["b", "a"]
    assert await names(api, team="x", stage="1") == ["a"]
    assert await names(api, team="y") == []
    assert await names(api) == ["c", "b", "a"]
    labels = ("labels.stage", "labels.owner", "labels.gone")
    changed = await update(api, "jobs/a", *labels, labels={"owner": "me", "ignored": "1"})
    assert dict(changed.labels) == {"team": "x", "owner": "me"}
    assert changed.etag != first.etag
    changed = await update(api, "jobs/a", "labels", labels={"only": ""})
    assert dict(changed.labels) == {"only": ""}
    assert changed.priority == 7
    changed = await update(api, "jobs/a", "*", labels={}, priority=0, epochs=12)
    assert (dict(changed.labels), changed.priority) == ({}, 0)
    # Without a mask: what is there.
    changed = await update(api, "jobs/a", priority=-3)
    assert changed.priority == -3


async def test_every_wrong_field_of_an_update_is_named(api: Any, moons: MakeSpec) -> None:
    job = await create(api, random_search(moons(()), 4))
    found = await refused(
        update(
            api,
            job.name,
            *("labels", "priority", TRIALS, EPOCHS, "name", "spec.seed"),
            labels={"Bad": "x", "ok": "not ok"},
            priority=101,
            trials=3,
            epochs=11,
        )
    )
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields.keys() == {
        "update_mask.paths[4]",
        "update_mask.paths[5]",
        "job.labels",
        "job.labels.ok",
        "job.priority",
        f"job.{TRIALS}",
        f"job.{EPOCHS}",
    }
    assert "none are taken away" in found.fields[f"job.{EPOCHS}"]
    nothing = await refused(update(api, job.name))
    assert nothing.fields.keys() == {"job"}
    unnamed = await refused(update(api, "nowhere", "priority"))
    assert unnamed.fields.keys() == {"job.name"}
    unchanged = await api.get(job.name)
    assert (dict(unchanged.labels), unchanged.priority) == ({}, 0)


async def test_every_wrong_field_of_a_new_job_is_named(api: Any, moons: MakeSpec) -> None:
    found = await refused(
        create(api, moons(epochs=-1), labels={"UPPER": "x"}, priority=-101, validate_only=True)
    )
    assert found.fields.keys() == {"labels", "priority", "spec.epochs"}


async def test_labels_are_bounded(api: Any, moons: MakeSpec) -> None:
    labels = {f"k{i}": "v" for i in range(64)}
    job = await create(api, moons(), labels=labels)
    found = await refused(update(api, job.name, "labels.more", labels={"more": "x"}))
    assert found.fields.keys() == {"job.labels"}
    more = await refused(create(api, moons(), labels=labels | {"more": "x"}))
    assert more.fields.keys() == {"labels"}


async def test_an_etag_must_be_that_of_the_job(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons())
    found = await refused(update(api, job.name, "priority", priority=1, etag="other"))
    assert (found.code, found.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert (await update(api, job.name, "priority", priority=1, etag=job.etag)).priority == 1


async def test_the_same_request_updates_once(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons())
    await update(api, job.name, epochs=14, request_id="u")
    await api.watch(job.name)
    again = await update(api, job.name, epochs=14, request_id="u")
    assert state_of(again) == "SUCCEEDED"
    other = await refused(update(api, job.name, epochs=15, request_id="u"))
    assert other.reason == "REQUEST_ID_REUSED"


def scheduled(shape: str) -> dict[str, Any]:
    schedule = spec_pb2.Schedule()
    getattr(schedule, shape).SetInParent()
    return {"optimizer": spec_pb2.Optimizer(schedule=schedule)}


def searching_epochs(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    spec.ClearField("epochs")
    spec.search.parameters.add(path="epochs").integer.CopyFrom(spec_pb2.IntegerRange(low=1, high=2))
    return spec


def stopping_early(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    spec.search.median.SetInParent()
    spec.search.objectives.add(metric="validation_cost", goal=spec_pb2.GOAL_MINIMIZE)
    return spec


def in_a_population(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    spec.search.population.SetInParent()
    spec.search.objectives.add(metric="validation_cost", goal=spec_pb2.GOAL_MINIMIZE)
    return spec


def searching_outputs(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    """Of an activation from which defaults follow; one trial has one alone."""
    spec.cost.quadratic.SetInParent()
    values = spec.search.parameters.add(path="network.output_activation").choice.values
    values.add(string_value="ACTIVATION_SIGMOID")
    values.add(string_value="ACTIVATION_IDENTITY")
    return spec


def searching_data(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    seeds = spec.search.parameters.add(path="dataset.synthetic.seed").choice.values
    seeds.add(number_value=1)
    seeds.add(number_value=2)
    return spec


def learning(kind: str, moons: MakeSpec) -> spec_pb2.JobSpec:
    spec = random_search(moons(()), 4, kind)
    spec.search.objectives.add(metric="training_cost")
    return spec


@pytest.mark.parametrize(
    ("change", "make", "words"),
    [
        ("epochs", lambda m: m(**scheduled("polynomial")), "the polynomial schedule spans"),
        ("epochs", lambda m: m(**scheduled("one_cycle")), "the one_cycle schedule spans"),
        ("epochs", lambda m: m(**scheduled("cosine")), "the cosine schedule spans"),
        ("epochs", lambda m: searching_epochs(m()), "it is searched"),
        ("epochs", lambda m: stopping_early(m()), "beside median"),
        ("epochs", lambda m: in_a_population(m()), "beside population"),
        (
            "epochs",
            lambda m: m(measurement=spec_pb2.Measurement(every_epochs=5)),
            "epoch 12 was measured for being the last",
        ),
        ("trials", lambda m: m(), "the trials of a grid follow from its domains"),
        ("trials", lambda m: m(()), "it has no search"),
        (
            "trials",
            lambda m: random_search(m(()), 4, "latin_hypercube"),
            "the points of a latin_hypercube depend on how many there are",
        ),
        ("trials", lambda m: random_search(m(()), 4, "sobol"), "use spec.search.sobol.trials"),
        ("trials", lambda m: searching_outputs(random_search(m(()), 1)), "are the first that"),
        ("trials", lambda m: stopping_early(random_search(m(()), 4)), "beside median"),
        ("trials", lambda m: in_a_population(random_search(m(()), 4)), "beside population"),
        ("trials", lambda m: searching_data(random_search(m(()), 4)), "other data are not kept"),
    ],
)
async def test_what_would_have_been_another_job_is_refused(
    api: Any, moons: MakeSpec, change: str, make: Callable[[MakeSpec], Any], words: str
) -> None:
    job = await api.train(make(moons))
    found = await refused(update(api, job.name, **{change: 30}))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    field = EPOCHS if change == "epochs" else TRIALS
    assert found.fields.keys() == {f"job.{field}"}
    assert words in found.message


@pytest.mark.parametrize("shape", ["step", "exponential", "plateau"])
async def test_schedules_that_do_not_span_all_epochs_go_on(
    api: Any, moons: MakeSpec, shape: str
) -> None:
    job = await api.train(moons(**scheduled(shape)))
    await update(api, job.name, epochs=14)
    await api.watch(job.name)
    assert {t.epochs for t in await api.trials(job.name)} == {14}


async def test_limits_hold_for_what_is_added(start_api: Any, moons: MakeSpec) -> None:
    async with start_api(limits=Limits(max_trials=10)) as api:
        job = await api.train(random_search(moons(()), 4))
        found = await refused(update(api, job.name, trials=11))
        assert found.fields.keys() == {"job.spec.search"}
        assert (await api.get(job.name)).progress.trials == 4


@pytest.mark.usefixtures("short_segments")
async def test_a_job_that_was_cancelled_trains_no_more(start_api: Any, moons: MakeSpec) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        job = await api.create(moons())
        await gate.reached.wait()
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        for call in (update(api, job.name, epochs=20), retry(api, job.name)):
            found = await refused(call)
            assert (found.reason, found.state) == ("JOB_CANCELLING", "CANCELLING")
        gate.opened.set()
        await api.watch(job.name)
        found = await refused(update(api, job.name, epochs=20))
        assert found.code is grpc.StatusCode.FAILED_PRECONDITION
        assert (found.reason, found.state) == ("JOB_CANCELLED", "CANCELLED")
        assert dict((await update(api, job.name, "labels", labels={"a": "b"})).labels) == {"a": "b"}


@pytest.mark.parametrize("compared", [stopping_early, in_a_population])
async def test_trials_that_are_compared_are_not_retried(
    api: Any, moons: MakeSpec, compared: Callable[[spec_pb2.JobSpec], spec_pb2.JobSpec]
) -> None:
    api.engine.fail_next(SegmentFailedError("TRAINING_ERROR", "a bug"))
    job = await api.train(compared(moons()))
    assert state_of(job) == "FAILED"
    found = await refused(retry(api, job.name))
    assert (found.reason, found.state) == ("TRIALS_COMPARED", "FAILED")
