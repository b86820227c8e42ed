"""What algorithms that learn propose, in the store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.service.stored_jobs import (
    ME,
    NAMES,
    ints,
    new_job,
    own,
)

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.records import (
    Failure,
    JobRecord,
    Lessons,
    NewPack,
    Proposal,
    TrialsChanged,
)
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import Store

FIRST = Proposal(0, np.linspace(0, 1, 6).reshape(3, 2))
WRONG = Failure("INVALID_FIELD", "no rate")


async def create(store: Store, lessons: Lessons | None = None) -> JobRecord:
    """A job of five trials of ten epochs, of which none was proposed."""
    return await store.create_job(replace(new_job("a"), packs=(), lessons=lessons), None, ME)


async def propose(store: Store, uid: str) -> None:
    """The first three, of which the last can't be trained."""
    pack = NewPack(trials=ints(0, 1), metrics=NAMES)
    await own(store, uid).add_proposal(0, FIRST, [pack], 2 * 12, {WRONG: [2]})


async def test_keeps_what_was_proposed_and_learned(store: Store) -> None:
    lessons = Lessons(np.array([[0.1, 0.9]]), np.array([[-np.inf]]))
    job = await create(store, lessons)
    assert await store.list_proposals(job.uid) == []
    await propose(store, job.uid)
    (found,) = await store.list_proposals(job.uid)
    assert found.first == 0
    np.testing.assert_array_equal(found.points, FIRST.points)
    kept = await store.find_lessons(job.uid)
    assert kept is not None
    np.testing.assert_array_equal(kept.points, lessons.points)
    np.testing.assert_array_equal(kept.scores, lessons.scores)
    trials = await store.list_trials(job, 0, 9, [])
    assert [t.state for t in trials] == [
        *[TrialState.QUEUED] * 2,
        TrialState.FAILED,
        *[TrialState.QUEUED] * 2,
    ]
    assert [t.pack_index for t in trials] == [0, 0, None, None, None]
    assert trials[2].failure == WRONG
    now = await store.get_job("a")
    assert now.counts[TrialState.FAILED] == 1
    # Those to come are thought to be like those that are known, which may fail.
    assert now.trial_epochs_total == 5 * 8


async def test_a_batch_is_added_once_and_in_order(store: Store) -> None:
    job = await create(store)
    await propose(store, job.uid)
    with pytest.raises(IllegalTransitionError, match="3 assignments have been proposed"):
        await propose(store, job.uid)
    assert len(await store.list_packs(job.uid)) == 1
    last = Proposal(3, np.zeros((2, 2)))
    packs = await own(store, job.uid).add_proposal(
        0, last, [NewPack(trials=ints(3, 4), metrics=NAMES)], 20, {}
    )
    assert [(pack.index, pack.trials.tolist()) for pack in packs] == [(1, [3, 4])]


async def test_trials_that_were_not_proposed_end_with_their_job(store: Store) -> None:
    job = await create(store)
    await propose(store, job.uid)
    await store.cancel_job("a", None)
    assert (await store.get_job("a")).counts[TrialState.CANCELLED] == 4
    events = await store.read_events(job.uid, 0, 1 << 20)
    told = [e.body.trials.tolist() for e in events if isinstance(e.body, TrialsChanged)]
    assert told == [[2], [0, 1, 3, 4]]
    with pytest.raises(IllegalTransitionError, match="no longer trains"):
        await own(store, job.uid).add_proposal(0, Proposal(3, FIRST.points), [], 0, {})
    await store.delete_job("a", "", None)
    assert await store.list_proposals(job.uid) == []


async def test_a_job_that_fails_fails_all_its_trials(store: Store) -> None:
    job = await create(store)
    await own(store, job.uid).finish_job(JobState.FAILED, WRONG, job.generation)
    assert (await store.get_job("a")).counts[TrialState.FAILED] == 5
    states = {t.state for t in await store.list_trials(job, 0, 9, [])}
    assert states == {TrialState.FAILED}
