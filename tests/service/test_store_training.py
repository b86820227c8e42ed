"""What the store keeps of training: segments, the event log, trials."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from tests.service.stored_jobs import (
    ALL,
    CORES,
    NAMES,
    block,
    create,
    ended,
    ints,
    own,
    record,
)

from packtrain.service.errors import IllegalTransitionError, StoreUnavailableError
from packtrain.service.objectives import Objective
from packtrain.service.records import CheckpointRecord, Failure, MetricsRecorded, TrialsChanged
from packtrain.service.standings import StandingsReader
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import Store, jobs, training
from packtrain.workers import failpoints


async def test_starting_twice_does_nothing_more(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await own(store, job.uid).start_pack(0)
    events = await store.read_events(job.uid, 0, ALL)
    states = [e.body.state for e in events if not isinstance(e.body, MetricsRecorded)]
    assert states == [JobState.QUEUED, JobState.RUNNING, TrialState.RUNNING]
    assert (await store.get_job("a")).started is not None


async def test_no_epoch_is_recorded_twice(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 3)
    for start, end in ((0, 3), (2, 4), (4, 5)):
        with pytest.raises(IllegalTransitionError):
            await record(store, job.uid, 0, ints(0, 1, 2), start, end)
    await record(store, job.uid, 0, ints(0, 1, 2), 3, 4)
    now = await store.get_job("a")
    assert now.trial_epochs == 12
    assert [p.epochs for p in await store.list_packs(job.uid)] == [4, 0]
    blocks = await store.read_events(job.uid, 0, ALL, metrics_only=True)
    assert [(e.body.first_epoch, e.body.values.shape[1]) for e in blocks] == [(1, 3), (4, 1)]


async def test_the_log_has_no_gaps_and_gives_back_what_it_took(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    given = block(ints(0, 1, 2), 1, 2)
    over = ended(TrialState.DIVERGED, given, 1)
    await own(store, job.uid).record_segment(0, 0, 0, 2, given, [over], 6, CORES)
    await store.cancel_job("a", None)
    await own(store, job.uid).finish_cancelling()
    events = await store.read_events(job.uid, 0, ALL)
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    bodies = [e.body for e in events]
    kinds = [(type(b).__name__, getattr(b, "state", None)) for b in bodies]
    assert kinds == [
        ("JobChanged", JobState.QUEUED),
        ("JobChanged", JobState.RUNNING),
        ("TrialsChanged", TrialState.RUNNING),
        ("MetricsRecorded", None),
        ("TrialsChanged", TrialState.DIVERGED),
        ("JobChanged", JobState.CANCELLING),
        ("TrialsChanged", TrialState.CANCELLED),
        ("JobChanged", JobState.CANCELLED),
    ]
    metrics = bodies[3]
    assert isinstance(metrics, MetricsRecorded)
    assert metrics.names == NAMES
    np.testing.assert_array_equal(metrics.values, given.values)
    cancelled = bodies[6]
    assert isinstance(cancelled, TrialsChanged)
    assert cancelled.trials.tolist() == [0, 2, 3, 4]
    assert cancelled.epochs.tolist() == [2, 2, 0, 0]
    for after in range(len(events) + 1):
        rest = await store.read_events(job.uid, after, ALL)
        assert [e.sequence for e in rest] == list(range(after + 1, len(events) + 1))


@pytest.mark.parametrize(("trials", "epochs"), [(3, 100_000), (2_000, 200), (1, 300_000)])
async def test_large_blocks_are_split(store: Store, trials: int, epochs: int) -> None:
    everyone = np.arange(trials, dtype=np.int32)
    job = await create(store, "a", everyone)
    await own(store, job.uid).start_pack(0)
    given = block(everyone, 1, epochs)
    await own(store, job.uid).record_segment(0, 0, 0, epochs, given, [], trials * epochs, CORES)
    seen = np.full((trials, epochs, 2), np.nan, np.float32)
    after, reads = 0, 0
    while events := await store.read_events(job.uid, after, 1 << 20, metrics_only=True):
        reads += 1
        assert sum(e.body.values.nbytes for e in events[:-1]) < 1 << 20
        for e in events:
            after, body = e.sequence, e.body
            assert body.values.nbytes <= 1 << 20
            columns = slice(body.first_epoch - 1, body.first_epoch - 1 + body.values.shape[1])
            assert np.isnan(seen[body.trials, columns]).all()
            seen[body.trials, columns] = body.values
    assert reads > 1
    np.testing.assert_array_equal(seen, given.values)


async def test_a_pack_keeps_what_trained_it(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
    last = block(ints(0, 1, 2), 3, 4)
    over = ended(TrialState.SUCCEEDED, last, 0, 2)
    both = (*CORES, "another, with commas")
    await own(store, job.uid).record_segment(0, 0, 2, 4, last, [over], 6, both)
    assert [p.arithmetics for p in await store.list_packs(job.uid)] == [both, ()]
    trials = await store.list_trials(job, 0, 10, [])
    assert [t.arithmetics for t in trials] == [both, both, both, (), ()]


async def test_a_failed_pack_leaves_its_siblings(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await own(store, job.uid).start_pack(1)
    first = block(ints(0, 1, 2), 1, 2)
    over = ended(TrialState.DIVERGED, first, 0)
    await own(store, job.uid).record_segment(0, 0, 0, 2, first, [over], 6, CORES)
    await own(store, job.uid).fail_pack(0, 0, Failure("OUT_OF_MEMORY", "no room"))
    trials = await store.list_trials(job, 0, 10, [])
    assert [t.state.name for t in trials] == ["DIVERGED", "FAILED", "FAILED"] + ["RUNNING"] * 2
    assert trials[1].final_metrics["training_cost"] == pytest.approx(1.02)


async def test_what_a_pack_costs_to_fail_does_not_grow_with_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("read all packs, or all trials that ended")

    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    for name in ("list_packs", "ended_trials"):
        monkeypatch.setattr(training, name, refuse)
    await own(store, job.uid).fail_pack(1, 0, Failure("OUT_OF_MEMORY", "no room"))
    assert (await store.get_job("a")).counts[TrialState.FAILED] == 2


async def test_lists_trials_by_state_in_pages(store: Store) -> None:
    job = await create(store, "a", ints(0, 2, 4, 6), ints(1, 3, 5), ints(7))
    await own(store, job.uid).start_pack(0)
    await own(store, job.uid).start_pack(1)
    first = block(ints(0, 2, 4, 6), 1, 5)
    await own(store, job.uid).record_segment(
        0,
        0,
        0,
        5,
        first,
        [ended(TrialState.DIVERGED, first, 1), ended(TrialState.SUCCEEDED, first, 0, 3)],
        20,
        CORES,
    )
    expected = [
        "SUCCEEDED",
        "RUNNING",
        "DIVERGED",
        "RUNNING",
        "RUNNING",
        "RUNNING",
        "SUCCEEDED",
        "QUEUED",
    ]
    states = {i: TrialState[name] for i, name in enumerate(expected)}
    for wanted in (
        [],
        [TrialState.RUNNING],
        [TrialState.QUEUED],
        [TrialState.DIVERGED, TrialState.QUEUED],
        [TrialState.SUCCEEDED, TrialState.RUNNING],
        [TrialState.FAILED],
    ):
        found = {}
        start = 0
        while page := await store.list_trials(job, start, 2, wanted):
            assert len(page) <= 2
            assert [t.index for t in page] == sorted(t.index for t in page)
            assert not found.keys() & {t.index for t in page}
            found |= {t.index: t.state for t in page}
            start = page[-1].index + 1
        assert found == {i: s for i, s in states.items() if not wanted or s in wanted}
    whole = await store.list_trials(job, 0, 100, [])
    assert [t.epochs for t in whole] == [5, 0, 5, 0, 5, 0, 5, 0]
    assert [t.pack_index for t in whole] == [0, 1, 0, 1, 0, 1, 0, 2]
    assert whole[6].final_metrics["training_cost"] == pytest.approx(6.05)
    assert await store.list_trials(job, 10**15, 10, []) == []


async def test_standings_count_nothing_of_whoever_diverged_or_failed(store: Store) -> None:
    job = await create(store, "a")
    for pack in (0, 1):
        await own(store, job.uid).start_pack(pack)
    first = block(ints(0, 1, 2), 1, 2)
    over = ended(TrialState.DIVERGED, first, 1)
    await own(store, job.uid).record_segment(0, 0, 0, 2, first, [over], 6, CORES)
    await record(store, job.uid, 1, ints(3, 4), 0, 2)
    await own(store, job.uid).fail_pack(1, 0, Failure("OUT_OF_MEMORY", "no room"))
    reader = StandingsReader(store, job.uid, 5, [Objective("training_cost", maximize=False)])
    found = await reader.read(np.arange(5, dtype=np.int32), np.ones(5, np.bool_))
    for scores in (found.last, found.best, found.mean):
        assert np.isneginf(scores[:, 0]).tolist() == [False, True, False, True, True]


async def test_listeners_hear_of_their_job_alone(store: Store) -> None:
    job, other = await create(store, "a"), await create(store, "b")
    with store.listen(job.uid) as changed, store.listen(other.uid) as others:
        await own(store, job.uid).start_pack(0)
        assert changed.is_set()
        assert not others.is_set()


async def test_watchers_at_one_place_share_one_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await create(store, "a")
    reads = []
    read_log = jobs.read_log

    def counted(*args: Any, **kwargs: Any) -> Any:
        reads.append(kwargs["after"])
        return read_log(*args, **kwargs)

    monkeypatch.setattr(jobs, "read_log", counted)
    asking = [asyncio.create_task(store.read_log(job.uid, 0, ALL)) for _ in range(100)]
    await asyncio.sleep(0)
    asking[0].cancel()  # and the others still get theirs
    parts = await asyncio.gather(*asking[1:])
    assert reads == [0]
    for part in parts:
        assert part is not None
        assert (part.state, part.last) == (JobState.QUEUED, 1)
        assert [e.sequence for e in part.events] == [1]


async def test_a_read_is_not_joined_after_the_log_has_grown(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await create(store, "a")
    begun, go_on = threading.Event(), threading.Event()
    read_log = jobs.read_log

    def slow(*args: Any, **kwargs: Any) -> Any:
        part = read_log(*args, **kwargs)
        begun.set()
        go_on.wait()
        return part

    monkeypatch.setattr(jobs, "read_log", slow)
    early = asyncio.create_task(store.read_log(job.uid, 0, ALL))
    await asyncio.to_thread(begun.wait)
    await own(store, job.uid).start_pack(0)
    late = asyncio.create_task(store.read_log(job.uid, 0, ALL))
    await asyncio.sleep(0)
    go_on.set()
    parts = [await early, await late]
    assert [part.last for part in parts if part is not None] == [1, 3]


def checkpoint(epoch: int, name: str = "") -> CheckpointRecord:
    return CheckpointRecord(0, epoch, name or f"uid-a/0-{epoch}", 100, "d1")


async def test_a_checkpoint_counts_when_its_epoch_is_recorded(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 3)
    for generation, epoch in ((0, 4), (1, 3)):
        with pytest.raises(IllegalTransitionError):
            await own(store, job.uid).add_checkpoint(generation, checkpoint(epoch))
    assert await own(store, job.uid).add_checkpoint(0, checkpoint(3)) == []
    assert await store.list_checkpoints(job.uid) == [checkpoint(3)]


async def test_the_last_two_checkpoints_of_a_pack_are_kept(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 9)
    assert await own(store, job.uid).add_checkpoint(0, checkpoint(3)) == []
    assert await own(store, job.uid).add_checkpoint(0, checkpoint(5)) == []
    assert await own(store, job.uid).add_checkpoint(0, checkpoint(7)) == [checkpoint(3).name]
    # The same epoch again, after a restart: the new file takes the place of the old.
    again = checkpoint(7, "another")
    assert await own(store, job.uid).add_checkpoint(0, again) == [checkpoint(7).name]
    assert await store.list_checkpoints(job.uid) == [again, checkpoint(5)]
    in_use = await store.checkpoints_in_use()
    assert in_use == {job.uid: {"another", checkpoint(5).name}}


async def test_a_job_that_has_ended_has_no_checkpoints(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 9)
    await own(store, job.uid).add_checkpoint(0, checkpoint(3))
    await store.cancel_job("a", None)
    await own(store, job.uid).finish_cancelling()
    assert await store.list_checkpoints(job.uid) == []
    assert await store.checkpoints_in_use() == {}
    with pytest.raises(IllegalTransitionError):
        await own(store, job.uid).add_checkpoint(0, checkpoint(5))


async def test_what_has_no_name_passes_armed_failpoints(store: Store) -> None:
    job = await create(store, "a")
    failpoints.arm("store.start_pack.before_commit=fail")
    try:
        await own(store, job.uid).finish_cancelling()
        with pytest.raises(StoreUnavailableError):
            await own(store, job.uid).start_pack(0)
    finally:
        failpoints.arm("")
