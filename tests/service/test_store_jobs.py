"""Jobs in the store, from their creation to their end and their deletion."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, select
from tests.service.stored_jobs import (
    ALL,
    ME,
    NAMES,
    create,
    ints,
    new_job,
    own,
    record,
)

from packtrain.service.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    IllegalTransitionError,
    InvalidSpecError,
    NotFoundError,
)
from packtrain.service.records import Failure, JobChanged, RequestKey, TrialsChanged
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import Database, Store, endings, schema
from packtrain.service.store.training import move_job


async def test_creates_and_gets(store: Store) -> None:
    made = await create(store, "a")
    got = await store.get_job("a")
    assert got == made
    assert (got.state, got.trials, got.trial_epochs, got.trial_epochs_total) == (
        JobState.QUEUED,
        5,
        0,
        50,
    )
    assert (got.metrics, got.layer_sizes, got.datasets) == (NAMES, (2, 1), ("d1",))
    assert (got.started, got.ended, got.failure) == (None, None, None)
    packs = await store.list_packs(made.uid)
    assert [p.trials.tolist() for p in packs] == [[0, 1, 2], [3, 4]]
    assert [(p.epochs, p.started, p.metrics) for p in packs] == [(0, False, NAMES)] * 2


async def test_a_name_is_taken_once(store: Store) -> None:
    await create(store, "a")
    with pytest.raises(AlreadyExistsError):
        await store.create_job(new_job("a"), None, ME)
    with pytest.raises(NotFoundError):
        await store.get_job("b")


async def test_lists_newest_first_in_pages(store: Store) -> None:
    for name in "abcde":
        await create(store, name)
    first = await store.list_jobs(2, None, [])
    await create(store, "f")  # pages stay right while rows are added
    second = await store.list_jobs(10, first[-1].order, [])
    assert [j.job_id for j in first + second] == ["e", "d", "c", "b", "a"]
    await own(store, "uid-b").start_pack(0)
    running = await store.list_jobs(10, None, [JobState.RUNNING])
    assert [j.job_id for j in running] == ["b"]
    assert [j.job_id for j in await store.active_jobs(ME, 3)] == ["b", "a", "c"]


async def test_the_same_request_answers_as_the_first_time(store: Store) -> None:
    key = RequestKey("r1", "CreateJob", "digest")
    assert await store.repeated(key) is None
    made = await store.create_job(new_job("a"), key)
    assert await store.create_job(new_job("another"), key) == made
    assert made.plan == b"plan"
    assert await store.repeated(key) == made
    assert await store.all_uids() == {made.uid}


@pytest.mark.parametrize(
    "other", [RequestKey("r1", "CreateJob", "x"), RequestKey("r1", "CancelJob", "digest")]
)
async def test_a_request_id_is_for_one_request(store: Store, other: RequestKey) -> None:
    await store.create_job(new_job("a"), RequestKey("r1", "CreateJob", "digest"))
    with pytest.raises(InvalidSpecError) as caught:
        await store.create_job(new_job("b"), other)
    assert [v.field for v in caught.value.violations] == ["request_id"]
    assert await store.all_uids() == {"uid-a"}


async def test_equal_requests_at_once_make_one_job(store: Store) -> None:
    key = RequestKey("r1", "CreateJob", "digest")
    made = await asyncio.gather(*(store.create_job(new_job(f"j{i}"), key) for i in range(20)))
    assert len({job.uid for job in made}) == 1
    assert len(await store.all_uids()) == 1


async def test_only_legal_transitions(store: Store) -> None:
    job = await create(store, "a")
    with pytest.raises(IllegalTransitionError):
        await own(store, job.uid).finish_job(JobState.SUCCEEDED, None, 0)
    with pytest.raises(IllegalTransitionError):
        await record(store, job.uid, 0, ints(0, 1, 2), 0, 1)
    await own(store, job.uid).finish_cancelling()  # not CANCELLING: nothing happens
    assert (await store.get_job("a")).state is JobState.QUEUED
    await own(store, job.uid).start_pack(0)
    await own(store, job.uid).finish_job(JobState.SUCCEEDED, None, 0)
    revision = (await store.get_job("a")).revision
    for state in (JobState.FAILED, JobState.CANCELLED):
        with pytest.raises(IllegalTransitionError):
            await own(store, job.uid).finish_job(state, Failure("X", "x"), 0)
    with pytest.raises(IllegalTransitionError):
        await own(store, job.uid).start_pack(1)
    with pytest.raises(IllegalTransitionError):
        await record(store, job.uid, 0, ints(0, 1, 2), 0, 1)
    with pytest.raises(IllegalTransitionError):
        await store.cancel_job("a", None)
    now = await store.get_job("a")
    assert (now.state, now.revision, now.failure) == (JobState.SUCCEEDED, revision, None)


async def test_cancels_a_queued_job_at_once(store: Store) -> None:
    job = await create(store, "a")
    key = RequestKey("r1", "CancelJob", "digest")
    cancelled = await store.cancel_job("a", key)
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.counts[TrialState.CANCELLED] == 5
    assert cancelled.ended is not None
    assert await store.cancel_job("a", key) == cancelled
    trials = await store.list_trials(cancelled, 0, 10, [])
    assert {t.state for t in trials} == {TrialState.CANCELLED}
    assert all(np.isnan(v) for t in trials for v in t.final_metrics.values())
    with pytest.raises(IllegalTransitionError):
        await own(store, job.uid).start_pack(0)


async def test_a_cancelled_job_keeps_what_was_recorded(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
    assert (await store.cancel_job("a", None)).state is JobState.CANCELLING
    await record(store, job.uid, 0, ints(0, 1, 2), 2, 4)  # was under way
    await own(store, job.uid).finish_cancelling()
    now = await store.get_job("a")
    assert (now.state, now.counts[TrialState.CANCELLED]) == (JobState.CANCELLED, 5)
    trials = await store.list_trials(now, 0, 10, [])
    assert [t.epochs for t in trials] == [4, 4, 4, 0, 0]
    assert trials[2].final_metrics == pytest.approx(
        {"training_cost": 2.04, "training_accuracy": -2.04}
    )
    assert np.isnan(trials[3].final_metrics["training_cost"])


async def test_a_large_job_is_cancelled_in_slices(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.store.endings.SLICE_TRIALS", 2)
    job = await create(store, "a")
    assert (await store.cancel_job("a", None)).state is JobState.CANCELLING
    await own(store, job.uid).finish_cancelling()
    job = await store.get_job("a")
    assert (job.state, job.counts[TrialState.CANCELLED]) == (JobState.CANCELLED, 5)
    events = await store.read_events(job.uid, 0, 1 << 20)
    ended = [e.body.trials.tolist() for e in events if hasattr(e.body, "trials")]
    assert sorted(t for trials in ended for t in trials) == [0, 1, 2, 3, 4]
    assert max(map(len, ended)) <= 2


async def test_trials_are_looked_up_once_however_many_slices_end_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    find_rest = endings.find_rest

    def counted(*args: Any, **kwargs: Any) -> Any:
        looks.append(kwargs["uid"])
        return find_rest(*args, **kwargs)

    monkeypatch.setattr(endings, "SLICE_TRIALS", 1)
    monkeypatch.setattr(endings, "find_rest", counted)
    job, other = await create(store, "a"), await create(store, "b")
    await store.cancel_job("a", None)
    await own(store, job.uid).finish_cancelling()
    await own(store, other.uid).finish_job(JobState.FAILED, Failure("X", "x"), 0)
    assert looks == [job.uid, other.uid]
    for uid in looks:
        events = await store.read_events(uid, 0, ALL)
        told = [e.body.trials.tolist() for e in events if isinstance(e.body, TrialsChanged)]
        assert told == [[0], [1], [2], [3], [4]]
        assert isinstance(events[-1].body, JobChanged)


async def test_a_job_that_changes_meanwhile_fails_no_further(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    monkeypatch.setattr(endings, "SLICE_TRIALS", 2)
    end_slice = endings.end_slice

    def paused_after_the_first(connection: Connection, *args: Any, **kwargs: Any) -> None:
        end_slice(connection, *args, **kwargs)
        move_job(connection, job.uid, JobState.PAUSED)

    monkeypatch.setattr(endings, "end_slice", paused_after_the_first)
    with pytest.raises(IllegalTransitionError, match="may not become FAILED: it is PAUSED"):
        await own(store, job.uid).finish_job(JobState.FAILED, Failure("X", "x"), 0)
    now = await store.get_job("a")
    assert (now.state, now.counts[TrialState.FAILED]) == (JobState.PAUSED, 2)


async def test_a_failed_job_has_no_trial_on_its_way(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
    failure = Failure("DATA_UNREADABLE", "the data is gone")
    await own(store, job.uid).finish_job(JobState.FAILED, failure, 0)
    now = await store.get_job("a")
    assert (now.failure, now.counts[TrialState.FAILED]) == (failure, 5)
    trials = await store.list_trials(now, 0, 10, [])
    assert {(t.state, t.failure) for t in trials} == {(TrialState.FAILED, failure)}
    assert trials[1].final_metrics["training_cost"] == pytest.approx(1.02)
    last = (await store.read_events(job.uid, 0, ALL))[-1].body
    assert isinstance(last, JobChanged)
    assert last.failure == failure


async def test_deletes_all_of_an_ended_job(store: Store, database: Database) -> None:
    job = await create(store, "a")
    other = await create(store, "b")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
    with pytest.raises(IllegalTransitionError):
        await store.delete_job("a", "", None)
    await own(store, job.uid).finish_job(JobState.FAILED, Failure("X", "x"), 0)
    stale = job.etag
    with pytest.raises(EtagMismatchError):
        await store.delete_job("a", stale, None)
    etag = (await store.get_job("a")).etag
    key = RequestKey("r1", "DeleteJob", "digest")
    assert (await store.delete_job("a", etag, key)) is not None
    assert (await store.delete_job("a", etag, key)) is None
    with pytest.raises(NotFoundError):
        await store.delete_job("a", etag, None)

    def rows(connection: Connection) -> dict[str, set[str]]:
        tables = (schema.packs, schema.trials, schema.events)
        return {t.name: set(connection.execute(select(t.c.job_uid)).scalars()) for t in tables}

    assert await database.read(rows) == {
        "packs": {other.uid},
        "trials": set(),
        "events": {other.uid},
    }
    assert await store.all_uids() == {other.uid}
    again = await create(store, "a")
    assert again.order > other.order


async def test_every_change_changes_the_etag(store: Store) -> None:
    job = await create(store, "a")
    etags = [job.etag]
    await own(store, job.uid).start_pack(0)
    etags.append((await store.get_job("a")).etag)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
    etags.append((await store.get_job("a")).etag)
    await own(store, job.uid).fail_pack(0, 0, Failure("X", "x"))
    etags.append((await store.get_job("a")).etag)
    await store.cancel_job("a", None)
    etags.append((await store.get_job("a")).etag)
    assert len(set(etags)) == len(etags)


async def test_datasets_of_active_jobs_are_in_use(store: Store) -> None:
    assert await store.datasets_in_use() == set()
    await create(store, "a")
    assert await store.datasets_in_use() == {"d1"}
    await store.cancel_job("a", None)
    assert await store.datasets_in_use() == set()
