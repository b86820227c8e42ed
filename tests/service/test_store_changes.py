"""Jobs in the store that change: every transition is guarded, with its event in the log."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import numpy as np
import pytest
from tests.service.stored_jobs import (
    ALL,
    CORES,
    ME,
    NAMES,
    block,
    create,
    ended,
    ints,
    new_job,
    own,
    record,
)

from packtrain.service.errors import EtagMismatchError, IllegalTransitionError
from packtrain.service.records import (
    EndedTrials,
    Extension,
    Failure,
    JobChanged,
    JobRecord,
    JobUpdate,
    NewPack,
    Retry,
    TrialsChanged,
)
from packtrain.service.states import JOB_TRANSITIONS, JobState, TrialState
from packtrain.service.store import Store

OUT_OF_MEMORY = Failure("OUT_OF_MEMORY", "no room")


def extension(job: JobRecord, *, last_epoch: int | None, packs: int = 0) -> JobUpdate:
    further = tuple(NewPack(trials=ints(job.trials + i), metrics=NAMES) for i in range(packs))
    return JobUpdate(
        extension=Extension(
            generation=job.generation,
            spec=b"more",
            plan=b"plan of more",
            trials=job.trials + packs,
            trial_epochs_total=100,
            metrics=NAMES,
            layer_sizes=(2, 1),
            packs=further,
            last_epoch=last_epoch,
        )
    )


async def finish_trials(store: Store, job: JobRecord, pack: int, *trials: int) -> None:
    """Ten epochs of a pack, with which these of its trials have SUCCEEDED."""
    await own(store, job.uid).start_pack(pack)
    rows = ints(*trials)
    done = block(rows, 1, 10)
    over = ended(TrialState.SUCCEEDED, done, *range(len(rows)))
    await own(store, job.uid).record_segment(pack, 0, 0, 10, done, [over], 10 * len(rows), CORES)


async def states_told(store: Store, uid: str) -> list[str]:
    events = await store.read_events(uid, 0, ALL)
    return [e.body.state.name for e in events if isinstance(e.body, JobChanged)]


async def bring(store: Store, state: JobState) -> JobRecord:
    """A job in this state."""
    job = await create(store, "a")
    if state is not JobState.QUEUED:
        await own(store, job.uid).start_pack(0)
    if state in (JobState.SUCCEEDED, JobState.FAILED):
        await own(store, job.uid).finish_job(state, OUT_OF_MEMORY, 0)
    if state in (JobState.CANCELLING, JobState.CANCELLED):
        await store.cancel_job("a", None)
    if state is JobState.CANCELLED:
        await own(store, job.uid).finish_cancelling()
    if state is JobState.PAUSED:
        await store.pause_job("a", None)
    return await store.get_job("a")


@pytest.mark.parametrize("state", JobState)
async def test_what_changes_a_job_goes_by_the_one_table(store: Store, state: JobState) -> None:
    job = await bring(store, state)
    more = extension(job, last_epoch=None, packs=1)
    wanted: dict[str, tuple[Awaitable[Any], set[JobState]]] = {
        "pause": (store.pause_job("a", None), {JobState.PAUSED}),
        "resume": (store.resume_job("a", None), {JobState.QUEUED, JobState.RUNNING}),
        "more": (store.update_job("a", more, None), {JobState.RUNNING}),
    }
    for name, (change, targets) in wanted.items():
        before = await store.get_job("a")
        told = len(await states_told(store, job.uid))
        try:
            after: JobRecord | None = await change
        except IllegalTransitionError as error:
            after, refusal = None, error
        if after is None:
            assert refusal.metadata == {"state": before.state.name}
            assert "jobs/a" in refusal.message
            assert (await store.get_job("a")) == before
            assert len(await states_told(store, job.uid)) == told
        else:
            assert len(await states_told(store, job.uid)) == told + 1
            assert after.etag != before.etag
        allowed = {
            "pause": before.state in (JobState.QUEUED, JobState.RUNNING),
            "resume": before.state is JobState.PAUSED,
            "more": before.state not in (JobState.CANCELLING, JobState.CANCELLED),
        }[name]
        assert (after is not None) == allowed
        if after is not None and after.state is not before.state:
            assert after.state in targets & JOB_TRANSITIONS[before.state]


async def test_what_is_under_way_as_a_job_is_paused_is_recorded(store: Store) -> None:
    job = await create(store, "a")
    await store.pause_job("a", None)
    # A turn that was handed out just before: the job stays PAUSED.
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
    with pytest.raises(IllegalTransitionError):
        await own(store, job.uid).finish_job(JobState.SUCCEEDED, None, 0)
    assert (await store.get_job("a")).state is JobState.PAUSED
    assert (await store.resume_job("a", None)).state is JobState.RUNNING
    await record(store, job.uid, 0, ints(0, 1, 2), 2, 3)


async def test_paused_jobs_are_not_to_be_trained_and_priorities_go_first(store: Store) -> None:
    for name in "abcd":
        await create(store, name)
    await store.update_job("d", JobUpdate(priority=3), None)
    await store.update_job("a", JobUpdate(priority=-1), None)
    await store.pause_job("b", None)
    assert [j.job_id for j in await store.active_jobs(ME, 10)] == ["d", "c", "a"]
    await own(store, "uid-a").start_pack(0)
    assert [j.job_id for j in await store.active_jobs(ME, 10)] == ["a", "d", "c"]
    found = (await store.find_active_jobs(["uid-b"]))["uid-b"]
    assert found is not None
    assert (found.state, found.priority) == (JobState.PAUSED, 0)
    await store.cancel_job("c", None)
    assert await store.find_active_jobs(["uid-c"]) == {}
    assert await store.datasets_in_use() == {"d1"}


async def test_more_epochs_reopen_what_had_come_to_the_last(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(1)
    wild = EndedTrials(TrialState.DIVERGED, ints(3), ints(1), np.zeros((1, 2), np.float32))
    first = block(ints(3, 4), 1, 1)
    await own(store, job.uid).record_segment(1, 0, 0, 1, first, [wild], 2, CORES)
    await own(store, job.uid).fail_pack(1, 0, OUT_OF_MEMORY)
    await finish_trials(store, job, 0, 0, 1, 2)
    await own(store, job.uid).finish_job(JobState.SUCCEEDED, None, 0)
    changed = await store.update_job("a", extension(job, last_epoch=10), None)
    assert (changed.state, changed.ended, changed.spec) == (JobState.RUNNING, None, b"more")
    assert changed.counts[TrialState.SUCCEEDED] == 0
    trials = await store.list_trials(changed, 0, 10, [])
    assert [(t.state.name, t.epochs) for t in trials] == [
        *[("RUNNING", 10)] * 3,
        ("DIVERGED", 1),
        ("FAILED", 1),
    ]
    told = [e.body for e in await store.read_events(job.uid, 0, ALL)][-2:]
    assert isinstance(told[0], JobChanged)
    assert isinstance(told[1], TrialsChanged)
    assert (told[1].trials.tolist(), told[1].epochs.tolist()) == ([0, 1, 2], [10] * 3)


async def test_who_trains_towards_the_last_epoch_before_records_no_more(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await store.update_job("a", extension(job, last_epoch=10), None)
    for stale in (
        record(store, job.uid, 0, ints(0, 1, 2), 0, 2),
        own(store, job.uid).fail_pack(0, 0, OUT_OF_MEMORY),
        own(store, job.uid).finish_job(JobState.SUCCEEDED, None, 0),
        own(store, job.uid).finish_job(JobState.FAILED, OUT_OF_MEMORY, 0),
    ):
        with pytest.raises(IllegalTransitionError):
            await stale
    assert [p.generation for p in await store.list_packs(job.uid)] == [1, 1]
    await own(store, job.uid).finish_job(JobState.SUCCEEDED, None, 1)


async def test_more_trials_leave_those_under_way_alone(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await store.update_job("a", extension(job, last_epoch=None, packs=2), None)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
    packs = await store.list_packs(job.uid)
    assert [(p.trials.tolist(), p.generation) for p in packs][2:] == [([5], 0), ([6], 0)]
    with pytest.raises(IllegalTransitionError):
        await own(store, job.uid).finish_job(JobState.SUCCEEDED, None, 0)


async def test_what_was_planned_for_an_earlier_generation_is_aborted(store: Store) -> None:
    job = await create(store, "a")
    await store.update_job("a", extension(job, last_epoch=10), None)
    with pytest.raises(EtagMismatchError) as caught:
        await store.update_job("a", extension(job, last_epoch=10), None)
    assert caught.value.reason == "JOB_CHANGED"


async def test_failed_trials_go_on_in_new_packs(store: Store) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 3)
    await own(store, job.uid).fail_pack(0, 0, OUT_OF_MEMORY)
    await finish_trials(store, job, 1, 3, 4)
    await own(store, job.uid).finish_job(JobState.SUCCEEDED, None, 0)
    retry = Retry(
        generation=0,
        trials=ints(0, 1, 2),
        closed=(0,),
        packs=(NewPack(trials=ints(0, 1, 2), metrics=NAMES, begin=3),),
    )
    retried = await store.retry_job("a", retry, None)
    assert (retried.state, retried.counts[TrialState.FAILED]) == (JobState.RUNNING, 0)
    trials = await store.list_trials(retried, 0, 10, [])
    assert [(t.state.name, t.epochs, t.pack_index) for t in trials] == [
        *[("QUEUED", 3, 2)] * 3,
        *[("SUCCEEDED", 10, 1)] * 2,
    ]
    with pytest.raises(EtagMismatchError):
        await store.retry_job("a", retry, None)
    await own(store, job.uid).start_pack(2)
    await record(store, job.uid, 2, ints(0, 1, 2), 3, 5)
    assert (await store.list_trials(retried, 0, 1, []))[0].state is TrialState.RUNNING


async def test_jobs_are_listed_by_their_labels(store: Store) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "1", "y-z_0": "2"}), ("c", {})):
        job = new_job(name)
        await store.create_job(
            type(job)(**{**vars(job), "labels": labels, "priority": 4}), None, ME
        )
    for labels, names in (({"x": "1"}, ["b", "a"]), ({"x": "1", "y-z_0": "2"}, ["b"])):
        assert [j.job_id for j in await store.list_jobs(9, None, [], labels)] == names
    assert await store.list_jobs(9, None, [], {"x": "2"}) == []
    assert (await store.get_job("c")).priority == 4
