"""Populations through a real server: who copies whom, what is recorded, and what faults change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.service.changes import Gate, assert_equal_values, blocks_of, pause, pb, resume, state_of
from tests.service.specifications import RATE, read

from packtrain.service.contract.expansion import Expansion
from packtrain.service.errors import StoreUnavailableError
from packtrain.service.store import OwnedJob
from packtrain.training import initial_state, train_segment
from packtrain.v1 import job_pb2, spec_pb2
from packtrain.workers import Segment, SegmentFailedError
from packtrain.workers.segment_runner import load_data

EPOCHS = 9
TRIALS = 8
MOMENTUM = "optimizer.sgd.momentum"
pytestmark = pytest.mark.usefixtures("several_packs")


@pytest.fixture
def several_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a small job is worth every worker."""
    monkeypatch.setattr("packtrain.service.planner._WORTH_A_WORKER_SECONDS", 1e-9)


def document(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "dataset": {
            "synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 60},
            "validation_share": 0.25,
        },
        "network": {"hidden": [4]},
        "epochs": EPOCHS,
        "seed": 3,
        "search": {
            "random": {"trials": TRIALS},
            "parameters": [
                {"path": RATE, "log_uniform": {"low": 0.001, "high": 3}},
                {"path": MOMENTUM, "choice": {"values": [0, 0.5, 0.9]}},
            ],
            "objectives": [{"metric": "validation_cost"}],
            "population": {"every_epochs": 2, "exploit_share": 0.25},
        },
    }
    return found | changed


def spec(**changed: Any) -> spec_pb2.JobSpec:
    return read(document(**changed))


def adaptations_of(trials: list[job_pb2.Trial]) -> list[tuple[int, int, int, dict[str, float]]]:
    return [
        (a.epoch, t.index, a.copied_trial, {p: v.number_value for p, v in a.parameters.items()})
        for t in trials
        for a in t.adaptations
    ]


async def test_the_worst_copy_the_best_at_each_rung(
    api: Any, by_trial_and_epoch: Callable[..., Any]
) -> None:
    job = await api.create(spec())
    events = await api.watch(job.name)
    values = by_trial_and_epoch(blocks_of(events))
    ended = await api.get(job.name)
    assert (ended.state, ended.progress.succeeded) == (job_pb2.JOB_STATE_SUCCEEDED, TRIALS)
    assert values.keys() == {(t, e) for t in range(TRIALS) for e in range(1, EPOCHS + 1)}
    assert ended.progress.trial_epochs == ended.progress.trial_epochs_total == TRIALS * EPOCHS
    cost = list(ended.metrics).index("validation_cost")
    trials = await api.trials(job.name)
    found = adaptations_of(trials)
    assert len(found) == 4 * 2
    for rung in (2, 4, 6, 8):
        order = sorted(range(TRIALS), key=lambda t, rung=rung: float(values[t, rung][cost]))
        mine = [(t, copied) for epoch, t, copied, _ in found if epoch == rung]
        assert {t for t, _ in mine} == set(order[-2:])
        assert {copied for _, copied in mine} <= set(order[:2])
    # The watch tells the same, in order, and only of the trials that were asked for.
    told = [e.adaptation for e in events if e.HasField("adaptation")]
    assert [{a.epoch for a in block.adaptations} for block in told] == [{2}, {4}, {6}, {8}]
    watched = sorted(
        (t, a.epoch, a.copied_trial)
        for b in told
        for t, a in zip(b.trials, b.adaptations, strict=True)
    )
    assert watched == sorted((t, epoch, copied) for epoch, t, copied, _ in found)
    one = found[0][1]
    chosen = [
        e.adaptation for e in await api.watch(job.name, trials=[one]) if e.HasField("adaptation")
    ]
    assert {t for block in chosen for t in block.trials} == {one}
    assert api.engine.held_states == 0


async def test_a_copy_is_the_copied_state_trained_with_the_new_numbers(
    api: Any,
    by_trial_and_epoch: Callable[..., Any],
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    job = await api.train(spec())
    values = by_trial_and_epoch(await api.metrics(job.name))
    found = adaptations_of(await api.trials(job.name))
    (group,) = expanded(document()).groups
    data, pack = load_data(group.data), group.pack
    state, begin = initial_state(pack, data), 0
    for rung in (2, 4, 6, 8, EPOCHS):
        state, metrics = train_segment(pack, data, state, rung - begin)
        for t in range(TRIALS):
            for epoch in range(begin + 1, rung + 1):
                expected = metrics.values[t, epoch - metrics.first_epoch]
                np.testing.assert_array_equal(values[t, epoch], expected)
        begin = rung
        origins = np.arange(TRIALS)
        rates, momenta = pack.trials.learning_rate.copy(), pack.trials.momentum.copy()
        for epoch, t, copied, parameters in found:
            if epoch == rung:
                origins[t], rates[t], momenta[t] = copied, parameters[RATE], parameters[MOMENTUM]
        state = state.select(origins)
        pack = replace(pack, trials=replace(pack.trials, learning_rate=rates, momentum=momenta))


async def test_workers_change_nothing(
    start_api: Any,
    by_trial_and_epoch: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from packtrain.service import planner

    whole, runs = planner.plan_packs, []
    for workers in (1, 2, 3):
        monkeypatch.setattr(
            "packtrain.service.contract.planning.plan_packs",
            lambda parts, _, speed, workers=workers: whole(parts, workers, speed),
        )
        async with start_api() as api:
            job = await api.train(spec())
            trials = await api.trials(job.name)
            runs.append((by_trial_and_epoch(await api.metrics(job.name)), adaptations_of(trials)))
    for values, adaptations in runs[1:]:
        assert_equal_values(values, runs[0][0])
        assert adaptations == runs[0][1]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("at_epoch", [0, 1, 2, 3, 5, 8])
async def test_a_lost_engine_changes_nothing(
    start_api: Any, by_trial_and_epoch: Callable[..., Any], at_epoch: int
) -> None:
    async def lose_once(segment: Segment) -> None:
        if armed and segment.start_epoch == at_epoch:
            armed.clear()
            api.engine.lose_state()

    armed: set[str] = set()
    async with start_api(before_segment=lose_once) as api:
        undisturbed = await api.train(spec())
        armed.add("lose")
        disturbed = await api.train(spec())
        assert not armed
        await require_alike(api, by_trial_and_epoch, disturbed, undisturbed)
        assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("at_epoch", [0, 1, 2, 3, 5, 8])
async def test_a_new_server_goes_on_alike(
    start_api: Any, by_trial_and_epoch: Callable[..., Any], at_epoch: int
) -> None:
    gate = Gate(at_epoch)
    async with start_api(before_segment=gate) as api:
        job = await api.create(spec())
        await gate.reached.wait()
    async with start_api() as api:
        await api.watch(job.name)
        undisturbed = await api.train(spec())
        await require_alike(api, by_trial_and_epoch, await api.get(job.name), undisturbed)


async def test_a_rung_that_could_not_be_stored_is_passed_alike(
    api: Any, by_trial_and_epoch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = await api.train(spec())
    passed = OwnedJob.pass_rung
    failing = [4, 8]

    async def fail_once(self: OwnedJob, rung: int, **fields: Any) -> Any:
        if rung in failing:
            failing.remove(rung)
            raise StoreUnavailableError("STORE_UNAVAILABLE", "the disk is full")
        return await passed(self, rung, **fields)

    monkeypatch.setattr(OwnedJob, "pass_rung", fail_once)
    disturbed = await api.train(spec())
    assert not failing
    await require_alike(api, by_trial_and_epoch, disturbed, undisturbed)
    assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("at_epoch", [3, 5, 7])
async def test_trials_that_end_are_left_alone_and_copied_before(
    start_api: Any, by_trial_and_epoch: Callable[..., Any], at_epoch: int
) -> None:
    ending = {"stopping": {"patience": {"metric": "validation_cost", "epochs": 2}}}
    gate = Gate(at_epoch)
    async with start_api(before_segment=gate) as api:
        job = await api.create(spec(**ending))
        await gate.reached.wait()
    async with start_api() as api:
        await api.watch(job.name)
        undisturbed = await api.train(spec(**ending))
        found = await api.get(job.name)
        await require_alike(api, by_trial_and_epoch, found, undisturbed)
        trials = await api.trials(job.name)
        assert len({t.epochs for t in trials}) > 1
        for trial in trials:
            assert all(a.epoch < trial.epochs for a in trial.adaptations)
            request = pb.DownloadModelRequest(name=trial.name)
            assert [r async for r in api.training.DownloadModel(request)]


async def require_alike(
    api: Any, by_trial_and_epoch: Callable[..., Any], found: job_pb2.Job, expected: job_pb2.Job
) -> None:
    assert (found.state, found.progress) == (expected.state, expected.progress)
    values = [by_trial_and_epoch(await api.metrics(job.name)) for job in (found, expected)]
    assert_equal_values(*values)
    trials = [await api.trials(job.name) for job in (found, expected)]
    assert adaptations_of(trials[0]) == adaptations_of(trials[1])
    assert adaptations_of(trials[0])
    for one, other in zip(*trials, strict=True):
        assert (one.state, one.epochs) == (other.state, other.epochs)
        np.testing.assert_equal(dict(one.final_metrics), dict(other.final_metrics))


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("at_epoch", [1, 3, 5])
async def test_a_diverged_trial_is_no_member_any_more(
    start_api: Any, by_trial_and_epoch: Callable[..., Any], at_epoch: int
) -> None:
    wild = document(cost={"quadratic": {}})
    wild["network"]["output_activation"] = "ACTIVATION_IDENTITY"
    # Of the first two, one diverges at once and one is multiplied until it does.
    rates = [1e30, 2.5, 0.1, 0.2, 0.01, 0.02]
    wild["search"]["parameters"] = [{"path": RATE, "choice": {"values": rates}}]
    del wild["search"]["random"]
    wild["search"]["grid"] = {}

    async def lose_once(segment: Segment) -> None:
        if armed and segment.start_epoch == at_epoch:
            armed.clear()
            api.engine.lose_state()

    armed: set[str] = set()
    async with start_api(before_segment=lose_once) as api:
        undisturbed = await api.train(read(wild))
        armed.add("lose")
        disturbed = await api.train(read(wild))
        assert not armed
        assert disturbed.progress.diverged >= 1
        await require_alike(api, by_trial_and_epoch, disturbed, undisturbed)
        trials = await api.trials(disturbed.name)
        assert not trials[0].adaptations
        assert 0 not in {copied for _, _, copied, _ in adaptations_of(trials)}


@pytest.mark.usefixtures("short_segments")
async def test_a_population_that_can_not_be_trained_again_fails(start_api: Any) -> None:
    async def fail_once_lost(segment: Segment) -> None:
        if segment.start_epoch == 5 and not lost:
            lost.add("lost")
            api.engine.lose_state()
        elif segment.start_epoch == 1 and lost:
            raise SegmentFailedError("OUT_OF_MEMORY", "a worker had no memory left")

    lost: set[str] = set()
    async with start_api(before_segment=fail_once_lost) as api:
        job = await api.train(spec())
        assert (job.state, job.failure.reason) == (job_pb2.JOB_STATE_FAILED, "OUT_OF_MEMORY")
        assert job.progress.failed == TRIALS
        # What was recorded stays.
        assert {t.epochs for t in await api.trials(job.name)} <= {4, 5, 6}
        assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
async def test_a_failed_pack_leaves_the_population(start_api: Any) -> None:
    async def fail_once(segment: Segment) -> None:
        if segment.start_epoch == 3 and not failed:
            failed.add("failed")
            raise SegmentFailedError("OUT_OF_MEMORY", "a worker had no memory left")

    failed: set[str] = set()
    async with start_api(before_segment=fail_once) as api:
        job = await api.train(spec())
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        assert (job.progress.failed, job.progress.succeeded) == (4, 4)


@pytest.mark.usefixtures("short_segments")
async def test_cancelling_between_rungs_ends_all(start_api: Any) -> None:
    gate = Gate(3)
    async with start_api(before_segment=gate) as api:
        job = await api.create(spec())
        await gate.reached.wait()
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        gate.opened.set()
        await api.watch(job.name)
        assert (await api.get(job.name)).progress.cancelled == TRIALS
        assert api.engine.held_states == 0
        await api.training.DeleteJob(pb.DeleteJobRequest(name=job.name))


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("at_epoch", [1, 2, 5])
@pytest.mark.parametrize("has_room", [True, False])
async def test_a_paused_population_goes_on_alike(
    start_api: Any,
    by_trial_and_epoch: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    at_epoch: int,
    has_room: bool,
) -> None:
    if not has_room:
        # Whatever else is created puts it away, to begin anew from the store.
        monkeypatch.setattr("packtrain.service.coordinator._MAX_ACTIVE_JOBS", 1)
    gate = Gate(at_epoch)
    async with start_api(before_segment=gate) as api:
        job = await api.create(spec())
        await gate.reached.wait()
        assert state_of(await pause(api, job.name)) == "PAUSED"
        gate.opened.set()
        undisturbed = await api.train(spec())
        assert state_of(await api.get(job.name)) == "PAUSED"
        await resume(api, job.name)
        await api.watch(job.name)
        await require_alike(api, by_trial_and_epoch, await api.get(job.name), undisturbed)
        assert api.engine.held_states == 0


async def test_each_call_tells_a_trials_adaptations(api: Any) -> None:
    job = await api.train(spec())
    listed = await api.trials(job.name)
    assert any(trial.adaptations for trial in listed)
    for trial in listed:
        one = await api.training.GetTrial(pb.GetTrialRequest(name=trial.name))
        assert one.trial == trial
    request = pb.GetJobRequest(name=job.name, best_by="validation_cost")
    best = (await api.training.GetJob(request)).best.trial
    assert best == listed[best.index]
