"""Trials that are wrong only in combination fail alone; values that are wrong are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.service.specifications import RATE, choice, read, require_refusal, search

from packtrain.service.settings import Limits
from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2

pb = training_service_pb2
FAILED, SUCCEEDED = job_pb2.TRIAL_STATE_FAILED, job_pb2.TRIAL_STATE_SUCCEEDED
MOONS = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 60}}, "epochs": 2}
OUTPUTS = choice("network.output_activation", "ACTIVATION_SIGMOID", "ACTIVATION_SOFTMAX")
COSTS = choice("cost", {"cross_entropy": {}}, {"log_likelihood": {}})


def states(trials: list[job_pb2.Trial]) -> list[int]:
    return [trial.state for trial in trials]


async def test_costs_that_do_not_go_with_an_output_fail_alone(start_api: Any) -> None:
    document = MOONS | search(OUTPUTS, COSTS, choice(RATE, 0.1, 0.2))
    async with start_api() as api:
        job = await api.train(read(document))
        trials = await api.trials(job.name)
        # Sigmoid with cross-entropy and softmax with log-likelihood go together, by two rates.
        assert states(trials) == [SUCCEEDED] * 2 + [FAILED] * 4 + [SUCCEEDED] * 2
        assert (job.state, job.progress.failed) == (job_pb2.JOB_STATE_SUCCEEDED, 4)
        failure = trials[2].failure
        assert failure.reason == "INVALID_COMBINATION"
        assert failure.message.startswith("cost")
        assert "softmax" in failure.message
        assert not trials[2].final_metrics
        assert job.progress.trial_epochs == job.progress.trial_epochs_total == 8
        with pytest.raises(Exception, match="can't be trained"):
            await api.training.RetryJob(pb.RetryJobRequest(name=job.name))


async def test_they_stay_failed_in_a_new_server_and_with_more_epochs(start_api: Any) -> None:
    document = MOONS | search(OUTPUTS, COSTS)
    async with start_api() as api:
        job = await api.train(read(document))
    async with start_api() as api:
        changed = spec_pb2.JobSpec(epochs=4)
        request = pb.UpdateJobRequest(job=job_pb2.Job(name=job.name, spec=changed))
        request.update_mask.paths.append("spec.epochs")
        await api.training.UpdateJob(request)
        await api.watch(job.name)
        trials = await api.trials(job.name)
        assert states(trials) == [SUCCEEDED, FAILED, FAILED, SUCCEEDED]
        assert [trial.epochs for trial in trials] == [4, 0, 0, 4]


async def test_early_stopping_compares_those_that_train(start_api: Any) -> None:
    document = MOONS | search(OUTPUTS, COSTS, choice(RATE, 0.1, 0.2, 0.3)) | {"epochs": 4}
    document["search"] |= {"objectives": [{"metric": "training_cost"}], "median": {}}
    document["search"]["median"] = {"least_epochs": 1, "every_epochs": 1}
    async with start_api() as api:
        job = await api.train(read(document))
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        assert job.progress.failed == 6
        assert 0 < job.progress.stopped < 6


async def test_a_network_that_is_too_large_for_memory_fails_alone(start_api: Any) -> None:
    document = MOONS | search(choice("network.hidden", [4], [4000, 4000]), choice(RATE, 0.1, 0.2))
    async with start_api(limits=Limits(max_job_memory_bytes=64 << 20)) as api:
        job = await api.train(read(document))
        trials = await api.trials(job.name)
        assert states(trials) == [SUCCEEDED] * 2 + [FAILED] * 2
        assert trials[3].failure.reason == "MEMORY_LIMIT_EXCEEDED"
        assert "GiB" in trials[3].failure.message


def test_a_value_that_goes_with_nothing_is_refused(plan: Callable[..., Any]) -> None:
    outputs = choice("network.output_activation", "ACTIVATION_SIGMOID", "ACTIVATION_TANH")
    require_refusal(plan, MOONS | search(outputs, COSTS), ["cost"])
    batches = choice("batch_size", 10, 1000)
    require_refusal(plan, MOONS | search(batches, choice(RATE, 0.1)), ["batch_size"])


def test_what_else_is_wrong_is_refused_with_it(plan: Callable[..., Any]) -> None:
    document = MOONS | search(OUTPUTS, COSTS) | {"regularization": {"l2": -1}}
    require_refusal(plan, document, ["cost", "regularization.l2"])


def test_a_plan_is_of_those_that_train(plan: Callable[..., Any]) -> None:
    whole = plan(read(MOONS | search(OUTPUTS, choice(RATE, 0.1))))
    part = plan(read(MOONS | search(OUTPUTS, COSTS, choice(RATE, 0.1))))
    assert (part.trials, part.trial_epochs_total) == (4, whole.trial_epochs_total)
    assert sum(len(pack.trials) for pack in part.packs) == 2
