"""Several processes that write one store at once: every guard holds all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.service.stored_jobs import (
    ALL,
    ME,
    create,
    ints,
    new_job,
    own,
    record,
)

from packtrain.service.errors import (
    AlreadyExistsError,
    NotOwnerError,
    ServiceError,
)
from packtrain.service.records import Failure, JobChanged, MetricsRecorded, RequestKey
from packtrain.service.states import ENDED_JOB_STATES, JobState, TrialState
from packtrain.service.store import Database, Store


@pytest.fixture
def stores(open_database: Callable[[], Database]) -> list[Store]:
    return [Store(open_database()) for _ in range(3)]


async def outcomes(calls: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What all at once came to; errors of the program fail."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    for outcome in found:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ServiceError):
            raise outcome
    return found


def done(found: list[Any]) -> list[Any]:
    return [outcome for outcome in found if not isinstance(outcome, ServiceError)]


async def test_a_hundred_equal_requests_make_one_job(stores: list[Store]) -> None:
    key = RequestKey("r", "CreateJob", "digest")
    calls = [stores[i % 3].create_job(new_job(f"j{i}"), key) for i in range(100)]
    made = await asyncio.gather(*calls)
    assert len({job.uid for job in made}) == 1
    assert len(await stores[0].all_uids()) == 1


async def test_a_name_is_taken_once_and_orders_are_distinct(stores: list[Store]) -> None:
    def same(i: int) -> Any:
        job = new_job("same")
        return type(job)(**(vars(job) | {"uid": f"uid-{i}"}))

    calls = [stores[i % 3].create_job(same(i), None, ME) for i in range(20)]
    calls += [stores[i % 3].create_job(new_job(f"other-{i}"), None, ME) for i in range(20)]
    found = await outcomes(calls)
    assert len(done(found)) == 21
    refused = [outcome for outcome in found if isinstance(outcome, ServiceError)]
    assert all(isinstance(outcome, AlreadyExistsError) for outcome in refused)
    assert len({job.order for job in done(found)}) == 21


async def test_each_segment_is_recorded_once_and_the_log_has_no_gaps(stores: list[Store]) -> None:
    packs = [ints(2 * i, 2 * i + 1) for i in range(4)]
    job = await create(stores[0], "a", *packs)
    begun = [own(s, job.uid).start_pack(i) for s in stores for i in range(4)]
    assert len(done(await outcomes(begun))) == 12
    for epoch in range(5):
        calls = [
            record(store, job.uid, i, trials, epoch, epoch + 1)
            for store in stores
            for i, trials in enumerate(packs)
        ]
        found = await outcomes(calls)
        assert len(done(found)) == 4
    assert (await stores[1].get_job("a")).trial_epochs == 4 * 2 * 5
    events = await stores[2].read_events(job.uid, 0, ALL)
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    blocks = [e.body for e in events if isinstance(e.body, MetricsRecorded)]
    seen = [(b.trials.tolist()[0], b.first_epoch) for b in blocks]
    assert len(seen) == len(set(seen)) == 20
    started = [e for e in events if getattr(e.body, "state", None) is TrialState.RUNNING]
    assert len(started) == 4


async def test_a_job_ends_once(stores: list[Store]) -> None:
    for round_ in range(5):
        job = await create(stores[0], f"j{round_}")
        await own(stores[0], job.uid).start_pack(0)
        failure = Failure("X", "x")
        ends = [own(s, job.uid).finish_job(JobState.FAILED, failure, 0) for s in stores]
        ends += [own(s, job.uid).finish_job(JobState.SUCCEEDED, None, 0) for s in stores]
        ends += [s.cancel_job(job.job_id, None) for s in stores]
        ends += [record(s, job.uid, 0, ints(0, 1, 2), 0, 1) for s in stores]
        await outcomes(ends)
        for store in stores:
            await own(store, job.uid).finish_cancelling()
        now = await stores[1].get_job(job.job_id)
        events = await stores[1].read_events(job.uid, 0, ALL)
        assert [e.sequence for e in events] == list(range(1, len(events) + 1))
        told = [e.body.state for e in events if isinstance(e.body, JobChanged)]
        assert [state for state in told if state in ENDED_JOB_STATES] == [now.state]
        assert told[-1] is now.state
        if now.state is not JobState.SUCCEEDED:  # whose trials were ended nowhere in this test
            assert sum(now.counts.values()) == now.trials


async def test_an_equal_change_is_made_once(stores: list[Store]) -> None:
    job = await create(stores[0], "a")
    await own(stores[0], job.uid).start_pack(0)
    key = RequestKey("r", "PauseJob", "digest")
    paused = await asyncio.gather(*(s.pause_job("a", key) for s in stores * 5))
    assert {p.state for p in paused} == {JobState.PAUSED}
    assert len({p.revision for p in paused}) == 1


async def test_what_was_carried_out_twice_is_remembered_once(stores: list[Store]) -> None:
    key = RequestKey("r", "DeleteDataset", "digest")
    await asyncio.gather(*(s.remember(key, "digits") for s in stores * 5))
    assert await stores[0].repeated_target(key) == "digits"


async def test_a_deleted_job_is_deleted_once(stores: list[Store]) -> None:
    job = await create(stores[0], "a")
    await stores[0].cancel_job("a", None)
    found = await outcomes([s.delete_job("a", "", None) for s in stores * 3])
    assert [record.uid for record in done(found)] == [job.uid]
    with pytest.raises(NotOwnerError, match="was deleted"):
        await own(stores[1], job.uid).start_pack(0)
