"""Jobs that change: paused, resumed, given more trials or epochs, retried; with a real server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.service.changes import (
    Gate,
    assert_equal_values,
    blocks_of,
    pause,
    random_search,
    refused,
    resume,
    retry,
    shape_of,
    state_of,
    update,
)

from packtrain.service.datasets import Catalog
from packtrain.service.store import Store
from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2
from packtrain.workers import Segment, SegmentFailedError

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]
ByTrial = Callable[[list[job_pb2.MetricBlock]], dict[tuple[int, int], Any]]


@pytest.mark.usefixtures("short_segments")
async def test_a_paused_job_trains_nothing_until_it_is_resumed(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        job = await api.create(moons())
        await gate.reached.wait()
        assert state_of(await pause(api, job.name)) == "PAUSED"
        gate.opened.set()
        async for event in api.training.WatchJob(pb.WatchJobRequest(name=job.name)):
            if event.HasField("metrics") and event.metrics.first_epoch == 6:
                break
        other = await api.train(moons())  # the workers are free for others meanwhile
        begun = len(gate.begun)
        paused = await api.get(job.name)
        assert (state_of(paused), paused.progress.trial_epochs) == ("PAUSED", 4 * 6)
        deleted = await refused(api.training.DeleteJob(pb.DeleteJobRequest(name=job.name)))
        assert (deleted.reason, deleted.state) == ("JOB_NOT_ENDED", "PAUSED")
        assert state_of(await resume(api, job.name)) == "RUNNING"
        events = await api.watch(job.name)
        # From the state that the engine still held.
        assert gate.begun[begun:] == [6, 7, 8, 9, 10, 11]
        assert shape_of(events)[2:] == [
            "RUNNING [0, 1, 2, 3] at {0}",
            "PAUSED",
            "RUNNING",
            "SUCCEEDED [0, 1, 2, 3] at {12}",
            "SUCCEEDED",
        ]
        expected = by_trial_and_epoch(await api.metrics(other.name))
        assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)
        assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
async def test_a_paused_job_stays_so_in_a_new_server(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        begun = await api.create(moons())
        await gate.reached.wait()
        await pause(api, begun.name)
    gate = Gate(100)
    async with start_api(before_segment=gate) as api:
        other = await api.train(moons())
        segments = len(gate.begun)
        assert state_of(await api.get(begun.name)) == "PAUSED"
        assert segments == 12
        await resume(api, begun.name)
        events = await api.watch(begun.name)
        expected = by_trial_and_epoch(await api.metrics(other.name))
    assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)


@pytest.mark.usefixtures("short_segments")
async def test_a_pause_whose_caller_has_gone_is_carried_out(
    start_api: Any, moons: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, pause_job = asyncio.Event(), Store.pause_job

    async def pause_late(*args: Any) -> Any:
        record = await pause_job(*args)
        await stored.wait()
        return record

    monkeypatch.setattr(Store, "pause_job", pause_late)
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        job = await api.create(moons())
        await gate.reached.wait()
        call = api.training.PauseJob(pb.PauseJobRequest(name=job.name), timeout=0.2)
        assert (await refused(call)).code is grpc.StatusCode.DEADLINE_EXCEEDED
        other = await api.create(moons())
        stored.set()
        await update(api, other.name, "priority", priority=1)
        gate.opened.set()
        await api.train(moons())
        paused = await api.get(job.name)
        assert (state_of(paused), paused.progress.trial_epochs) == ("PAUSED", 4 * 6)


@pytest.mark.usefixtures("short_segments")
async def test_a_queued_job_is_paused_and_resumed_to_its_queue(
    start_api: Any, moons: MakeSpec
) -> None:
    gate = Gate(0)
    async with start_api(before_segment=gate) as api:
        blockers = [await api.create(moons()) for _ in range(2)]
        await gate.reached.wait()
        job = await api.create(moons())
        assert state_of(await pause(api, job.name)) == "PAUSED"
        gate.opened.set()
        for blocker in blockers:
            await api.watch(blocker.name)
        assert state_of(await api.get(job.name)) == "PAUSED"
        assert state_of(await resume(api, job.name)) == "QUEUED"
        events = await api.watch(job.name)
        assert shape_of(events)[:4] == ["QUEUED", "PAUSED", "QUEUED", "RUNNING"]


@pytest.mark.usefixtures("short_segments")
async def test_a_paused_job_can_be_cancelled(start_api: Any, moons: MakeSpec) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        job = await api.create(moons())
        await gate.reached.wait()
        await pause(api, job.name)
        gate.opened.set()
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        events = await api.watch(job.name)
        assert shape_of(events)[3:5] == ["PAUSED", "CANCELLING"]
        assert shape_of(events)[-1] == "CANCELLED"
        assert api.engine.held_states == 0


async def test_what_can_not_be_paused_or_resumed_is_said(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons())
    for call, reason in (
        (pause(api, job.name), "JOB_ENDED"),
        (resume(api, job.name), "JOB_NOT_PAUSED"),
        (retry(api, job.name), "NO_FAILED_TRIALS"),
    ):
        found = await refused(call)
        assert found.code is grpc.StatusCode.FAILED_PRECONDITION
        assert (found.reason, found.state) == (reason, "SUCCEEDED")
        assert job.name in found.message
    missing = await refused(pause(api, "jobs/nowhere"))
    assert missing.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.usefixtures("short_segments")
async def test_the_same_request_pauses_once(start_api: Any, moons: MakeSpec) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        job = await api.create(moons())
        await gate.reached.wait()
        await pause(api, job.name, request_id="p")
        assert state_of(await pause(api, job.name, request_id="p")) == "PAUSED"
        again = await refused(pause(api, job.name, request_id="q"))
        assert (again.reason, again.state) == ("JOB_PAUSED", "PAUSED")
        await resume(api, job.name, request_id="r")
        assert state_of(await resume(api, job.name, request_id="r")) == "RUNNING"
        gate.opened.set()
        await api.watch(job.name)


@pytest.mark.parametrize("when", ["queued", "running", "paused", "ended"])
@pytest.mark.usefixtures("short_segments")
async def test_more_epochs_give_the_numbers_of_a_job_that_had_them(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial, when: str
) -> None:
    gate = Gate({"queued": 0, "running": 5, "paused": 5}.get(when, 100))
    # The third rate diverges.
    spec = moons((0.1, 0.5, 1e9, 3.0), cost=spec_pb2.Cost(quadratic=spec_pb2.QuadraticCost()))
    spec.network.output_activation = spec.network.hidden_activation = spec_pb2.ACTIVATION_IDENTITY
    async with start_api(before_segment=gate) as api:
        job = await api.create(spec, "extended")
        if when == "ended":
            await api.watch(job.name)
        else:
            await gate.reached.wait()
        if when == "paused":
            await pause(api, job.name)
        changed = await update(api, job.name, epochs=20)
        assert changed.spec.epochs == 20
        assert changed.progress.trial_epochs_total == 4 * 20
        gate.opened.set()
        if when == "paused":
            await resume(api, job.name)
        else:
            assert state_of(changed) == "RUNNING" or when == "queued"
        events = await api.watch(job.name)
        spec.epochs = 20
        whole = await api.train(spec)
        done = await api.get(job.name)
        assert done.spec == whole.spec
        assert done.progress == whole.progress
        found = by_trial_and_epoch(blocks_of(events))
        expected = by_trial_and_epoch(await api.metrics(whole.name))
        assert_equal_values(found, expected)
        for mine, other in zip(
            await api.trials(job.name), await api.trials(whole.name), strict=True
        ):
            assert (mine.state, mine.epochs) == (other.state, other.epochs)
            assert str(mine.final_metrics) == str(other.final_metrics)
        assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
async def test_an_ended_job_tells_its_watchers_that_it_goes_on(api: Any, moons: MakeSpec) -> None:
    job = await api.create(moons())
    before = await api.watch(job.name)
    await update(api, job.name, epochs=14)
    after = await api.watch(job.name, resume_token=before[-1].resume_token)
    assert shape_of(after) == [
        "RUNNING",
        "RUNNING [0, 1, 2, 3] at {12}",
        "SUCCEEDED [0, 1, 2, 3] at {14}",
        "SUCCEEDED",
    ]
    assert {b.first_epoch for b in blocks_of(after)} == {13, 14}


@pytest.mark.parametrize("patience", [2, 5])
@pytest.mark.usefixtures("short_segments")
async def test_a_trial_that_its_rule_had_stopped_stays_so(
    api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial, patience: int
) -> None:
    rule = spec_pb2.Patience(metric="validation_cost", epochs=patience, min_delta=0.001)
    rates = tuple(float(r) for r in np.geomspace(0.01, 100, 30))
    spec = moons(rates, stopping=spec_pb2.Stopping(patience=rule), epochs=40)
    whole = await api.train(spec)
    ends = [t.epochs for t in await api.trials(whole.name)]
    # Where a rule stops a trial at what was the last epoch, it had come to its end as well.
    for first in sorted({e for e in ends if 2 < e < 40})[:3]:
        spec.epochs = first
        job = await api.train(spec)
        await update(api, job.name, epochs=40)
        await api.watch(job.name)
        found = by_trial_and_epoch(await api.metrics(job.name))
        assert_equal_values(found, by_trial_and_epoch(await api.metrics(whole.name)))
        trials = await api.trials(job.name)
        assert [t.epochs for t in trials] == ends
        for trial, other in zip(trials, await api.trials(whole.name), strict=True):
            assert str(trial.final_metrics) == str(other.final_metrics)
        assert (await api.get(job.name)).progress == whole.progress


@pytest.mark.parametrize("when", ["running", "ended"])
@pytest.mark.usefixtures("short_segments")
async def test_more_trials_give_the_numbers_of_a_job_that_had_them(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial, when: str
) -> None:
    gate = Gate(5 if when == "running" else 100)
    async with start_api(before_segment=gate) as api:
        job = await api.create(random_search(moons(()), 5))
        await (gate.reached.wait() if when == "running" else api.watch(job.name))
        changed = await update(api, job.name, trials=12)
        assert changed.spec.search.random.trials == 12
        assert (changed.progress.trials, changed.progress.trial_epochs_total) == (12, 12 * 12)
        gate.opened.set()
        events = await api.watch(job.name)
        whole = await api.train(random_search(moons(()), 12))
        assert (await api.get(job.name)).spec == whole.spec
        expected = by_trial_and_epoch(await api.metrics(whole.name))
        assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)
        # What was under way goes on from where it was: nothing is trained twice.
        assert sum(start == 0 for start in gate.begun) == 3


async def test_a_sobol_search_takes_more_trials_each_with_its_repeats(
    api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    spec = random_search(moons(()), 3, "sobol")
    spec.search.repeats = 2
    job = await api.train(spec)
    changed = await update(api, job.name, trials=7, kind="sobol")
    assert changed.progress.trials == 14
    await api.watch(job.name)
    spec.search.sobol.trials = 7
    whole = await api.train(spec)
    assert (await api.get(job.name)).spec == whole.spec
    found = by_trial_and_epoch(await api.metrics(job.name))
    assert_equal_values(found, by_trial_and_epoch(await api.metrics(whole.name)))


async def test_trials_and_epochs_are_raised_at_once(
    api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    spec = random_search(moons((), network=spec_pb2.Network()), 3)
    sizes = spec.search.parameters.add(path="batch_size")
    for size in (5, 10, 15):
        sizes.choice.values.add(number_value=size)
    job = await api.train(spec)
    await update(api, job.name, trials=9, epochs=15)
    await api.watch(job.name)
    spec.search.random.trials, spec.epochs = 9, 15
    whole = await api.train(spec)
    assert (await api.get(job.name)).spec == whole.spec
    found = by_trial_and_epoch(await api.metrics(job.name))
    assert_equal_values(found, by_trial_and_epoch(await api.metrics(whole.name)))


@pytest.mark.usefixtures("short_segments")
async def test_failed_trials_are_trained_anew(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    failing = {"on"}

    async def fail_once(segment: Segment) -> None:
        if failing and segment.start_epoch == 4:
            failing.clear()
            raise SegmentFailedError("TRAINING_ERROR", "a bug")

    spec = moons((0.1, 0.5, 1.0, 3.0))
    sizes = spec.search.parameters.add(path="batch_size")
    for size in (5, 10):
        sizes.choice.values.add(number_value=size)
    async with start_api(before_segment=fail_once) as api:
        job = await api.train(spec)
        assert (state_of(job), job.progress.failed) == ("SUCCEEDED", 4)
        retried = await retry(api, job.name, request_id="once")
        assert (state_of(retried), retried.progress.failed) == ("RUNNING", 0)
        await retry(api, job.name, request_id="once")
        events = await api.watch(job.name)
        done = await api.get(job.name)
        assert (state_of(done), done.progress.succeeded) == ("SUCCEEDED", 8)
        assert shape_of(events).count("SUCCEEDED") == 2
        whole = await api.train(spec)
        assert done.progress == whole.progress
        expected = by_trial_and_epoch(await api.metrics(whole.name))
        assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)
        assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
async def test_a_job_that_failed_is_retried(start_api: Any, moons: MakeSpec) -> None:
    failures = 2

    async def fail(segment: Segment) -> None:
        nonlocal failures
        if segment.start_epoch == 3 and failures:
            failures -= 1
            raise SegmentFailedError("TRAINING_ERROR", "a bug")

    async with start_api(before_segment=fail) as api:
        job = await api.train(moons())
        for left in (1, 0):
            assert (state_of(job), job.failure.reason) == ("FAILED", "TRAINING_ERROR")
            assert failures == left
            retried = await retry(api, job.name)
            assert not retried.HasField("failure")
            assert not retried.HasField("end_time")
            await api.watch(job.name)
            job = await api.get(job.name)
        assert (state_of(job), job.progress.succeeded) == ("SUCCEEDED", 4)


@pytest.mark.parametrize("source", ["synthetic", "inline", "uploaded"])
async def test_an_ended_job_goes_on_with_data_that_are_made_anew(
    start_api: Any, moons: MakeSpec, tmp_path: Path, by_trial_and_epoch: ByTrial, source: str
) -> None:
    spec = moons()
    if source == "inline":
        rows = [spec_pb2.Row(values=[i / 10, (i * i) % 7]) for i in range(20)]
        inline = spec_pb2.InlineDataset(inputs=rows, labels=[i % 2 for i in range(20)])
        spec.dataset.inline.CopyFrom(inline)
    if source == "uploaded":
        (tmp_path / "offered").mkdir()
        (tmp_path / "offered" / "rows.csv").write_text("a,b,label\n" + "0,1,0\n1,0,1\n" * 10)
        spec.dataset.name = "datasets/rows"
    async with start_api(datasets=(tmp_path / "offered",) if spec.dataset.name else ()) as api:
        job = await api.train(spec)
    # As the hourly sweep does with data that no job trains with, nor a name stands for.
    assert Catalog(tmp_path / "data").release(set(), min_age_seconds=0) == 1
    async with start_api() as api:
        if source == "uploaded":
            found = await refused(update(api, job.name, epochs=14))
            assert (found.reason, found.state) == ("DATA_UNREADABLE", "SUCCEEDED")
            assert "its content has gone" in found.message
            return
        await update(api, job.name, epochs=14)
        await api.watch(job.name)
        spec.epochs = 14
        whole = by_trial_and_epoch(await api.metrics((await api.train(spec)).name))
        assert_equal_values(by_trial_and_epoch(await api.metrics(job.name)), whole)


async def test_an_ended_job_keeps_the_networks_that_it_begins_from(
    start_api: Any, moons: MakeSpec, tmp_path: Path
) -> None:
    async with start_api() as api:
        first = await api.train(moons(()))
        model = spec_pb2.ModelInitialization(job=first.name)
        start = spec_pb2.Initialization(model=model)
        job = await api.train(moons(initialization=start))
        await api.training.DeleteJob(pb.DeleteJobRequest(name=first.name))
        for kept in (tmp_path / "data" / "networks").iterdir():
            os.utime(kept, (0, 0))
    async with start_api() as api:
        await update(api, job.name, epochs=14)
        await api.watch(job.name)
        assert (await api.get(job.name)).progress.succeeded == 4
