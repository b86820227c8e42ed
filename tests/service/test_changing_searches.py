"""Jobs of algorithms that learn: given more trials, retried, paused while they propose, and with
trials that are wrong only in combination."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.service.changes import pause, refused, resume, retry, state_of, update
from tests.service.specifications import RATE, choice, read, require_refusal, search

from packtrain.service import slices
from packtrain.service.proposals import Proposer
from packtrain.service.samplers import Cube
from packtrain.service.settings import Limits
from packtrain.service.slices import Steps
from packtrain.v1 import job_pb2, spec_pb2
from packtrain.workers import Segment, SegmentFailedError

FAILED = job_pb2.TRIAL_STATE_FAILED
MOONS = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 60}}, "epochs": 2}
UNIFORM = (RATE, {"log_uniform": {"low": 0.1, "high": 10}})


def learning(*parameters: Any, kind: str = "tpe", **numbers: int) -> spec_pb2.JobSpec:
    """Two epochs of batches of four."""
    document = MOONS | search(*(parameters or (UNIFORM,)))
    size = {"population_size": 4} if kind in ("cma_es", "nsga2") else {"batch_size": 4}
    if kind == "tpe":
        size["startup_trials"] = 4
    document["search"] = {
        "parameters": document["search"]["parameters"],
        "objectives": [{"metric": "training_cost"}],
        kind: {"trials": 8} | size | numbers,
    }
    return read(document | {"seed": 3})


def rates(trials: list[job_pb2.Trial]) -> list[float]:
    return [t.parameters[RATE].number_value for t in trials]


@pytest.mark.parametrize("kind", ["tpe", "cma_es", "nsga2"])
async def test_more_trials_are_those_of_a_job_that_had_them(start_api: Any, kind: str) -> None:
    async with start_api() as api:
        job = await api.train(learning(kind=kind))
        changed = await update(api, job.name, trials=16, kind=kind)
        assert (state_of(changed), changed.progress.trials) == ("RUNNING", 16)
        assert changed.progress.trial_epochs_total == 32
        await api.watch(job.name)
        whole = await api.train(learning(kind=kind, trials=16))
        found, expected = await api.trials(job.name), await api.trials(whole.name)
        assert rates(found) == rates(expected)
        assert [dict(t.final_metrics) for t in found] == [dict(t.final_metrics) for t in expected]
        assert (await api.get(job.name)).progress == whole.progress


async def test_a_batch_begins_after_a_smaller_one(start_api: Any) -> None:
    found = []
    for _ in range(2):
        async with start_api() as api:
            job = await api.train(learning(trials=6))
            await update(api, job.name, trials=11, kind="tpe")
            await api.watch(job.name)
            found.append(rates(await api.trials(job.name)))
    assert found[0] == found[1]
    assert len(set(found[0])) == 11


@pytest.mark.parametrize("when", ["running", "ended"])
async def test_what_trains_anew_is_learned_from(
    start_api: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A trial of the second batch fails; later proposals are as if it had not."""
    told: list[float] = []
    learn = Proposer.learn

    def spy(proposer: Proposer, first: int, points: Cube, scores: Any) -> Steps[None]:
        if first == 4:
            told.append(float(scores.min()))
        return learn(proposer, first, points, scores)

    monkeypatch.setattr(Proposer, "learn", spy)
    begun, reached, opened = 0, asyncio.Event(), asyncio.Event()

    async def fail_the_second(_: Segment) -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            raise SegmentFailedError("TRAINING_ERROR", "no luck")
        if begun == 3 and when == "running":
            reached.set()
            await opened.wait()

    async with start_api() as api:
        whole = await api.train(learning(trials=16))
        expected = rates(await api.trials(whole.name))
    monkeypatch.setattr("packtrain.service.pack_run._FIRST_SEGMENT_SECONDS", 10.0)
    async with start_api(before_segment=fail_the_second) as api:
        job = await api.create(learning(trials=16 if when == "running" else 8))
        await (reached.wait() if when == "running" else api.watch(job.name))
        assert (await api.get(job.name)).progress.failed == 4
        retried = await retry(api, job.name)
        assert (state_of(retried), retried.progress.failed) == ("RUNNING", 0)
        opened.set()
        await api.watch(job.name)
        if when == "ended":
            await update(api, job.name, trials=16, kind="tpe")
            await api.watch(job.name)
        done = await api.get(job.name)
        assert (state_of(done), done.progress.succeeded) == ("SUCCEEDED", 16)
        found = rates(await api.trials(job.name))
    assert -np.inf in told
    assert np.isfinite(told[-1])
    # The third batch of the running job was proposed while they had failed, and stays.
    same = slice(0, 16) if when == "ended" else slice(0, 8)
    assert found[same] == expected[same]


@pytest.mark.parametrize("change", ["retry", "extend"])
async def test_a_job_that_failed_goes_on_proposing(
    start_api: Any, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    propose = Proposer.propose

    def crash(proposer: Proposer, first: int, count: int) -> Steps[Cube]:
        if first == 4:
            raise RuntimeError("the sampler is broken")
        return propose(proposer, first, count)

    async with start_api() as api:
        with monkeypatch.context() as patch:
            patch.setattr(Proposer, "propose", crash)
            job = await api.train(learning())
        assert (state_of(job), job.progress.failed) == ("FAILED", 4)
        if change == "retry":
            await retry(api, job.name)
        else:
            await update(api, job.name, trials=12, kind="tpe")
        await api.watch(job.name)
        done = await api.get(job.name)
        assert state_of(done) == "SUCCEEDED"
        assert done.progress.succeeded == (8 if change == "retry" else 12)


async def test_a_pause_holds_a_job_that_proposes(
    start_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    loop, asked, opened = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    questions: list[int] = []
    propose = Proposer.propose

    def spy(proposer: Proposer, first: int, count: int) -> Steps[Cube]:
        steps = propose(proposer, first, count)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return stop.value
            questions.append(first)
            if len(questions) == 2:
                loop.call_soon_threadsafe(asked.set)
                asyncio.run_coroutine_threadsafe(opened.wait(), loop).result()
            yield

    monkeypatch.setattr(Proposer, "propose", spy)
    async with start_api() as api:
        job = await api.create(learning())
        await asked.wait()
        await pause(api, job.name)
        opened.set()
        other = await api.train(learning(trials=4))
        assert state_of(other) == "SUCCEEDED"
        assert len(questions) == 2
        await resume(api, job.name)
        await api.watch(job.name)
        assert len(questions) == 4


async def test_more_epochs_are_refused(start_api: Any) -> None:
    async with start_api() as api:
        job = await api.train(learning())
        found = await refused(update(api, job.name, epochs=4))
        assert "has learned from trials of 2 epochs" in found.message


OUTPUTS = choice("network.output_activation", "ACTIVATION_SIGMOID", "ACTIVATION_SOFTMAX")
COSTS = choice("cost", {"cross_entropy": {}}, {"log_likelihood": {}})


@pytest.mark.parametrize("batch_size", [1, 4])
async def test_costs_that_do_not_go_with_an_output_fail_alone(
    start_api: Any, batch_size: int
) -> None:
    spec = learning(OUTPUTS, COSTS, UNIFORM, trials=16, batch_size=batch_size)
    async with start_api() as api:
        job = await api.train(spec)
        wrong = [t for t in await api.trials(job.name) if t.state == FAILED]
        assert state_of(job) == "SUCCEEDED"
        assert 0 < len(wrong) < 16
        assert {t.failure.reason for t in wrong} == {"INVALID_COMBINATION"}
        assert job.progress.trial_epochs == job.progress.trial_epochs_total


@pytest.mark.parametrize("batch_size", [1, 4])
async def test_a_network_that_is_too_large_for_memory_fails_alone(
    start_api: Any, batch_size: int
) -> None:
    spec = learning(choice("network.hidden", [4], [4000, 4000]), UNIFORM, batch_size=batch_size)
    async with start_api(limits=Limits(max_job_memory_bytes=64 << 20)) as api:
        job = await api.train(spec)
        wrong = [t for t in await api.trials(job.name) if t.state == FAILED]
        assert state_of(job) == "SUCCEEDED"
        assert 0 < len(wrong) < 8
        assert {t.failure.reason for t in wrong} == {"MEMORY_LIMIT_EXCEEDED"}


def test_a_value_that_goes_with_nothing_is_refused(plan: Callable[..., Any]) -> None:
    for parameters, field in (
        ((choice("network.output_activation", "ACTIVATION_SIGMOID", "ACTIVATION_TANH"), COSTS),
         "cost"),
        ((choice("batch_size", 10, 1000), UNIFORM), "batch_size"),
    ):  # fmt: skip
        document = MOONS | search(*parameters)
        document["search"].pop("grid", None)
        document["search"] |= {
            "objectives": [{"metric": "training_cost"}],
            "tpe": {"trials": 40},
        }
        require_refusal(plan, document, [field])
