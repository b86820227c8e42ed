"""Jobs at hand: which metric they ask for."""

from __future__ import annotations

from typing import cast

import pytest
from tests.client.conftest import FakeServer

from packtrain import client as api
from packtrain.client import Client, SpecError
from packtrain.client.results import Goal, leading_objective, objectives_of
from packtrain.v1 import (
    job_pb2,
    spec_pb2,
    training_service_pb2,
)


def test_a_handle_asks_for_the_leading_metric(client: Client, fake: FakeServer) -> None:
    trial = job_pb2.Trial(name="jobs/j/trials/4", index=4, state=job_pb2.TRIAL_STATE_RUNNING)
    answer = training_service_pb2.GetJobResponse(
        job=job_pb2.Job(name="jobs/j", metrics=["training_cost", "validation_f1"]),
        best=training_service_pb2.BestTrial(trial=trial, metric="training_cost", value=0.5),
    )
    fake.script("GetJob", answer)
    fake.script("GetTrial", training_service_pb2.GetTrialResponse(trial=trial))
    fake.script("ListTrials", training_service_pb2.ListTrialsResponse(trials=[trial]))
    fake.script("GetImportance", training_service_pb2.GetImportanceResponse(metric="m"))
    handle = client.job("j")
    best = handle.best()
    assert (best.trial.index, best.metric, best.value) == (4, "training_cost", 0.5)
    handle.best("validation_f1", "min")
    handle.best("training_cost", "max")
    with pytest.raises(SpecError, match="goal: expected 'min' or 'max', not 'maximize'"):
        handle.best("validation_f1", cast(Goal, "maximize"))
    asked = [request.best_by for request in fake.requests["GetJob"]]
    assert asked == ["", "training_cost", "validation_f1 asc", "training_cost desc"]
    assert [t.index for t in handle.pareto("training_cost", "validation_f1 asc")] == [4]
    assert list(fake.requests["ListTrials"][0].pareto) == ["training_cost", "validation_f1 asc"]
    assert handle.importance().metric == "m"
    assert fake.requests["GetImportance"][0].metric == "training_cost"
    assert client.get_trial("j", 4).index == 4
    assert fake.requests["GetTrial"][0].name == "jobs/j/trials/4"


def test_a_handle_asks_for_the_first_objective(client: Client, fake: FakeServer) -> None:
    search = spec_pb2.Search(
        objectives=[
            spec_pb2.Objective(metric="validation_cost", goal=spec_pb2.GOAL_MINIMIZE),
            spec_pb2.Objective(metric="validation_accuracy", goal=spec_pb2.GOAL_MAXIMIZE),
        ]
    )
    job = job_pb2.Job(
        name="jobs/j",
        metrics=["validation_accuracy", "validation_cost"],
        spec=spec_pb2.JobSpec(search=search),
    )
    fake.script("GetJob", training_service_pb2.GetJobResponse(job=job))
    handle = client.job("j")
    for metric in (None, "validation_accuracy"):
        with pytest.raises(api.NoBestTrial):
            handle.best(metric)
    asked = [request.best_by for request in fake.requests["GetJob"]]
    assert asked == ["", "validation_cost asc", "validation_accuracy"]
    assert leading_objective(handle.latest) == ("validation_cost", "min")
    assert [metric for metric, _ in objectives_of(handle.latest)] == [
        "validation_cost",
        "validation_accuracy",
    ]


@pytest.mark.parametrize(
    ("counts", "reason", "why"),
    [
        ({"trials": 1, "diverged": 1}, "NO_BEST_TRIAL", "its only trial diverged"),
        ({"trials": 3, "failed": 3}, "NO_BEST_TRIAL", "all of its 3 trials failed"),
        (
            {"trials": 3, "diverged": 2, "failed": 1},
            "NO_BEST_TRIAL",
            "all of its 3 trials diverged or failed",
        ),
        ({"trials": 3}, "NO_BEST_TRIAL_YET", "no trial has a finite value of it yet"),
        (
            {"trials": 3, "diverged": 1},
            "NO_BEST_TRIAL_YET",
            "no trial that neither diverged nor failed has a finite value of it yet",
        ),
        ({"trials": 1, "succeeded": 1}, "NO_BEST_TRIAL", "no trial has a finite value of it"),
    ],
)
async def test_a_job_without_a_best_trial_says_why(
    client: Client, fake: FakeServer, counts: dict[str, int], reason: str, why: str
) -> None:
    job = job_pb2.Job(
        name="jobs/j", metrics=["training_cost"], progress=job_pb2.JobProgress(**counts)
    )
    fake.script("GetJob", training_service_pb2.GetJobResponse(job=job))
    async with api.AsyncClient(fake.target) as other:
        with pytest.raises(api.NoBestTrial) as told_async:
            await (await other.job("j")).best()
    with pytest.raises(api.NoBestTrial) as told:
        client.job("j").best()
    for error in (told.value, told_async.value):
        assert str(error) == f"jobs/j has no best trial by training_cost: {why}"
        assert (error.reason, error.metric, error.job.id) == (reason, "training_cost", "j")


async def test_the_async_handle_does_the_same(fake: FakeServer) -> None:
    trial = job_pb2.Trial(name="jobs/j/trials/4", index=4, state=job_pb2.TRIAL_STATE_RUNNING)
    fake.script(
        "GetJob",
        training_service_pb2.GetJobResponse(
            job=job_pb2.Job(name="jobs/j", metrics=["training_cost"]),
            best=training_service_pb2.BestTrial(trial=trial, metric="training_cost", value=0.5),
        ),
    )
    fake.script("ListTrials", training_service_pb2.ListTrialsResponse(trials=[trial]))
    fake.script("GetImportance", training_service_pb2.GetImportanceResponse(metric="m"))
    async with api.AsyncClient(fake.target) as client:
        handle = await client.job("j")
        best = await handle.best()
        assert best.trial.index == 4
        assert len(await handle.pareto("a", "b")) == 1
        assert (await handle.importance("a", "max")).metric == "m"
        assert fake.requests["GetImportance"][0].metric == "a desc"
        (group,) = await handle.repeats()
        assert group.trials == (4,)
        (one,) = await handle.trials(filter="index = 4", order_by="epochs desc")
        assert one.index == 4
    assert fake.requests["ListTrials"][-1].filter == "index = 4"
