"""Packs that are too large for a worker are split, down to the one network that is to blame."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.service.changes import Gate, assert_equal_values, blocks_of, pb, state_of
from tests.service.specifications import RATE, read
from tests.service.stored_jobs import CORES, block, create, ended, ints, own, record

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.pack_run import _select_rows
from packtrain.service.states import TrialState
from packtrain.service.store import Store
from packtrain.v1 import job_pb2, spec_pb2
from packtrain.workers import Segment, SegmentFailedError, Source

TRIALS = 8
BLAMED = np.float32(2.5)

ByTrial = Callable[..., dict[tuple[int, int], Any]]


RATES = [0.1, 0.2, 0.4, 0.8, 1.6, float(BLAMED), 3.2, 6.4]
GRID: dict[str, Any] = {"parameters": [{"path": RATE, "choice": {"values": RATES}}], "grid": {}}


def spec(**search: Any) -> spec_pb2.JobSpec:
    found: dict[str, Any] = {
        "dataset": {
            "synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 60},
            "validation_share": 0.25,
        },
        "network": {"hidden": [4]},
        "epochs": 9,
        "seed": 3,
        "search": search or GRID,
    }
    return read(found)


def too_large(segment: Segment) -> SegmentFailedError:
    return SegmentFailedError("OUT_OF_MEMORY", f"no room for {len(segment.pack)}")


def room_for(trials: int, from_epoch: int = 0) -> Callable[[Segment], Any]:
    async def check(segment: Segment) -> None:
        if len(segment.pack) > trials and segment.start_epoch >= from_epoch:
            raise too_large(segment)

    return check


async def models_of(api: Any, job: job_pb2.Job, trials: list[int]) -> list[bytes]:
    found = []
    for trial in trials:
        request = pb.DownloadModelRequest(name=f"{job.name}/trials/{trial}")
        found.append(b"".join([r.chunk async for r in api.training.DownloadModel(request)]))
    return found


COST = {"objectives": [{"metric": "validation_cost"}]}
HALVING = GRID | COST | {"successive_halving": {"reduction_factor": 2, "least_epochs": 2}}
POPULATION = COST | {
    "parameters": [{"path": RATE, "log_uniform": {"low": 0.01, "high": 3}}],
    "random": {"trials": TRIALS},
    "population": {"every_epochs": 3, "exploit_share": 0.25},
}


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("search", [GRID, HALVING, POPULATION], ids=["grid", "rungs", "population"])
@pytest.mark.parametrize("from_epoch", [0, 4])
async def test_what_is_split_has_the_same_numbers(
    start_api: Any, by_trial_and_epoch: ByTrial, search: dict[str, Any], from_epoch: int
) -> None:
    document = spec(**search)
    async with start_api() as api:
        whole = await api.train(document)
        expected = by_trial_and_epoch(await api.metrics(whole.name))
        models = await models_of(api, whole, succeeded(await api.trials(whole.name)))
        api.engine._before_segment = room_for(2, from_epoch)
        job = await api.create(document)
        events = await api.watch(job.name)
        job = await api.get(job.name)
        assert (state_of(job), job.progress) == ("SUCCEEDED", whole.progress)
        assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)
        trials = await api.trials(job.name)
        assert await models_of(api, job, succeeded(trials)) == models
        assert [t.state for t in trials] == [t.state for t in await api.trials(whole.name)]
        assert api.engine.held_states == 0


def succeeded(trials: list[job_pb2.Trial]) -> list[int]:
    wanted = job_pb2.TRIAL_STATE_SUCCEEDED
    return [i for i, trial in enumerate(trials) if trial.state == wanted]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("reason", ["OUT_OF_MEMORY", "WORKER_LOST"])
async def test_the_network_to_blame_fails_alone(
    start_api: Any, by_trial_and_epoch: ByTrial, reason: str
) -> None:
    async def blame(segment: Segment) -> None:
        if segment.start_epoch >= 3 and BLAMED in segment.pack.trials.learning_rate:
            raise SegmentFailedError(reason, "no room")

    async with start_api() as api:
        whole = await api.train(spec())
        expected = by_trial_and_epoch(await api.metrics(whole.name))
        api.engine._before_segment = blame
        job = await api.train(spec())
        assert state_of(job) == "SUCCEEDED"
        trials = await api.trials(job.name)
        failed = [i for i, trial in enumerate(trials) if trial.HasField("failure")]
        assert failed == [5]
        assert (trials[5].failure.reason, trials[5].epochs) == (reason, 3)
        left = {at: values for at, values in expected.items() if at[0] != 5 or at[1] <= 3}
        assert_equal_values(by_trial_and_epoch(await api.metrics(job.name)), left)
        assert api.engine.held_states == 0


async def test_a_pack_is_not_split_over_which_workers_die_by_chance(
    start_api: Any, by_trial_and_epoch: ByTrial
) -> None:
    """That happens to long segments: fewer epochs are tried, and then more again."""
    document = spec()
    document.epochs = 2000
    packs: set[int] = set()
    longest = 0

    async def count(segment: Segment) -> None:
        packs.add(len(segment.pack))

    async def die_often(segment: Segment) -> None:
        nonlocal longest
        if segment.epochs > 100:
            raise SegmentFailedError("WORKER_LOST", "killed by somebody")
        longest = max(longest, segment.epochs)
        assert len(segment.pack) in packs

    async with start_api(before_segment=count) as api:
        whole = await api.train(document)
        expected = by_trial_and_epoch(await api.metrics(whole.name))
        api.engine._before_segment = die_often
        job = await api.train(document)
        assert (state_of(job), job.progress) == ("SUCCEEDED", whole.progress)
        assert_equal_values(by_trial_and_epoch(await api.metrics(job.name)), expected)
        assert longest > 50


@pytest.mark.usefixtures("short_segments")
async def test_a_split_outlives_the_service(start_api: Any, by_trial_and_epoch: ByTrial) -> None:
    gate = Gate(4)

    async def crowded(segment: Segment) -> None:
        await room_for(4, 2)(segment)
        await gate(segment)

    async with start_api(before_segment=crowded) as api:
        job = await api.create(spec())
        await gate.reached.wait()
    async with start_api(before_segment=room_for(4)) as api:
        events = await api.watch(job.name)
        assert state_of(await api.get(job.name)) == "SUCCEEDED"
        whole_api = await api.train(spec())
        expected = by_trial_and_epoch(await api.metrics(whole_api.name))
        assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)


@pytest.mark.usefixtures("short_segments")
async def test_a_split_population_is_trained_again_through_its_decisions(
    start_api: Any, by_trial_and_epoch: ByTrial
) -> None:
    lost: list[int] = []

    async def crowded(segment: Segment) -> None:
        await room_for(2, 2)(segment)
        if segment.start_epoch == 7 and not lost:
            lost.append(segment.start_epoch)
            api.engine.lose_state()

    async with start_api() as api:
        whole = await api.train(spec(**POPULATION))
        api.engine._before_segment = crowded
        job = await api.train(spec(**POPULATION))
        assert (state_of(job), lost) == ("SUCCEEDED", [7])
        expected = by_trial_and_epoch(await api.metrics(whole.name))
        assert_equal_values(by_trial_and_epoch(await api.metrics(job.name)), expected)
        assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
async def test_a_stopped_network_keeps_its_model(
    start_api: Any, by_trial_and_epoch: ByTrial
) -> None:
    """Those that have ended wait for the model of those that train on, in whatever pack."""
    document = spec()
    document.stopping.patience.epochs = 1
    document.stopping.patience.metric = "validation_accuracy"
    async with start_api() as api:
        whole = await api.train(document)
        trials = await api.trials(whole.name)
        assert len({trial.epochs for trial in trials}) > 1
        models = await models_of(api, whole, list(range(TRIALS)))
        api.engine._before_segment = room_for(3, 5)
        job = await api.train(document)
        found = await api.trials(job.name)
        assert [t.epochs for t in found] == [t.epochs for t in trials]
        assert await models_of(api, job, list(range(TRIALS))) == models


@pytest.mark.usefixtures("short_segments")
async def test_cancelling_a_job_amid_its_halves(start_api: Any) -> None:
    gate = Gate(4)

    async def crowded(segment: Segment) -> None:
        await room_for(2, 2)(segment)
        await gate(segment)

    async with start_api(before_segment=crowded) as api:
        job = await api.create(spec())
        await gate.reached.wait()
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        gate.opened.set()
        await api.watch(job.name)
        assert state_of(await api.get(job.name)) == "CANCELLED"
        for _ in range(100):
            await asyncio.sleep(0)
        assert api.engine.held_states == 0


async def test_a_split_is_one_guarded_transaction(store: Store) -> None:
    job = await create(store, "split", ints(0, 1, 2, 3, 4))
    owned = own(store, job.uid)
    await owned.start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2, 3, 4), 0, 3)
    last = block(ints(0, 1, 2, 3, 4), 4, 5)
    over = [ended(TrialState.SUCCEEDED, last, 1), ended(TrialState.DIVERGED, last, 2)]
    await owned.record_segment(0, 0, 3, 5, last, over, 10, CORES)
    with pytest.raises(IllegalTransitionError):
        await owned.split_pack(0, 1, [ints(0, 1), ints(3, 4)])
    made = await owned.split_pack(0, 0, [ints(0, 1), ints(3, 4)])
    assert [(p.index, p.trials.tolist(), p.epochs, p.until) for p in made] == [
        (1, [0, 1], 5, None),
        (2, [3, 4], 5, None),
    ]
    assert all(p.started and not p.is_closed and p.arithmetics == CORES for p in made)
    assert (await store.list_packs(job.uid))[0].is_closed
    found = await store.list_trials(job, 0, 5, ())
    assert [(t.pack_index, t.state.name) for t in found] == [
        (1, "RUNNING"),
        (1, "SUCCEEDED"),
        (0, "DIVERGED"),
        (2, "RUNNING"),
        (2, "RUNNING"),
    ]
    with pytest.raises(IllegalTransitionError):
        await owned.split_pack(0, 0, [ints(0, 1), ints(3, 4)])
    # The late writer is refused.
    with pytest.raises(IllegalTransitionError):
        await record(store, job.uid, 0, ints(0, 3, 4), 5, 6)


def test_rows_are_selected_from_several_states() -> None:
    sources = (Source("a", np.array([3, 1])), Source("b", np.array([0, 2, 5])))
    found = _select_rows(sources, np.array([1, 2, 4]))
    assert [(s.pack_key, s.rows.tolist()) for s in found] == [("a", [1]), ("b", [0, 5])]
    (only,) = _select_rows(sources, np.array([3]))
    assert (only.pack_key, only.rows.tolist()) == ("b", [2])
    (whole,) = _select_rows((Source("c"),), np.array([0, 2]))
    assert (whole.pack_key, whole.rows.tolist()) == ("c", [0, 2])
