"""Transactions of training: packs move on, trials end, jobs change their state."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, func, insert, select, update

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.learning_rates import RateFinding
from packtrain.service.records import (
    Adaptation,
    EndedTrials,
    EventBody,
    Failure,
    JobChanged,
    JobRecord,
    MetricsRecorded,
    NewJob,
    NewPack,
    PackRecord,
    RequestKey,
    TrialRecord,
    TrialsChanged,
)
from packtrain.service.states import (
    ENDED_JOB_STATES,
    JobState,
    TrialState,
    leading_to,
)
from packtrain.service.store import jobs, schema
from packtrain.service.store.adaptations import add_adaptations
from packtrain.service.store.jobs import add_packs, get_job, remember_request, repeated_uid
from packtrain.service.store.log import append_events, last_values, now_microseconds, to_failure

_J, _P, _T = schema.jobs.c, schema.packs.c, schema.trials.c


# The pack of a trial that ended without one.
NO_PACK = -1

# Trials that end in one transaction: the one writer serves others in between.
SLICE_TRIALS = 20_000


def move_job(
    connection: Connection,
    uid: str,
    state: JobState,
    failure: Failure | None = None,
    finding: RateFinding | None = None,
    *,
    leaving: Sequence[JobState] | None = None,
) -> bool:
    """One guarded statement, with its event; False where the job is in no state that may go there
    (of ``leaving``, where only those are meant)."""
    values: dict[str, Any] = {"state": state.value, "revision": _J.revision + 1}
    if state is JobState.RUNNING:
        # One that had ended has come to nothing yet.
        values |= {"ended": None, "failure_reason": None, "failure_message": None, "finding": None}
    if state in ENDED_JOB_STATES:
        values["ended"] = now_microseconds()
    if failure is not None:
        values |= {"failure_reason": failure.reason, "failure_message": failure.message}
    if finding is not None:
        values["finding"] = json.dumps(asdict(finding))
    guard = [s.value for s in leading_to(state) if leaving is None or s in leaving]
    changed = connection.execute(
        update(schema.jobs).where(_J.uid == uid, _J.state.in_(guard)).values(values)
    )
    if changed.rowcount == 0:
        return False
    append_events(connection, uid, [JobChanged(state, failure)])
    return True


def finish_job(
    connection: Connection,
    uid: str,
    state: JobState,
    failure: Failure | None,
    generation: int,
    finding: RateFinding | None = None,
) -> None:
    """See Store.finish_job."""
    found = connection.execute(select(_J.generation).where(_J.uid == uid)).scalar_one_or_none()
    if found != generation:
        raise IllegalTransitionError("JOB_CHANGED", "the job has got more to train meanwhile")
    if state is JobState.FAILED:
        _end_rest(connection, uid, TrialState.FAILED, failure)
    if not move_job(connection, uid, state, failure, finding):
        raise IllegalTransitionError("ILLEGAL_TRANSITION", f"the job may not become {state.name}")


def cancel_job(connection: Connection, job_id: str, request: RequestKey | None) -> JobRecord:
    """See Store.cancel_job."""
    job = get_job(connection, job_id)
    if request is not None and repeated_uid(connection, request) is not None:
        return job
    if job.state in ENDED_JOB_STATES:
        raise IllegalTransitionError(
            "JOB_ENDED",
            f"jobs/{job_id} has ended as {job.state.name} and can't be cancelled",
            metadata={"state": job.state.name},
        )
    if job.state is JobState.QUEUED and job.trials <= SLICE_TRIALS:
        _end_rest(connection, job.uid, TrialState.CANCELLED)
        move_job(connection, job.uid, JobState.CANCELLED)
    else:
        move_job(connection, job.uid, JobState.CANCELLING)
    remember_request(connection, request, job.uid)
    return get_job(connection, job_id)


def finish_cancelling(connection: Connection, uid: str) -> bool:
    """End a slice of the trials, and with the last of them the job; whether all is done."""
    state = connection.execute(select(_J.state).where(_J.uid == uid)).scalar_one_or_none()
    if state != JobState.CANCELLING.value:
        return True
    if not _end_rest(connection, uid, TrialState.CANCELLED, most=SLICE_TRIALS):
        return False
    move_job(connection, uid, JobState.CANCELLED)
    return True


def fail_pack(
    connection: Connection, uid: str, pack_index: int, generation: int, failure: Failure
) -> None:
    """See Store.fail_pack."""
    require_training(connection, uid)
    query = select(_P.generation).where(_P.job_uid == uid, _P.pack_index == pack_index)
    if connection.execute(query).scalar_one() != generation:
        raise IllegalTransitionError("PACK_CHANGED", f"pack {pack_index} trains on meanwhile")
    _end_rest(connection, uid, TrialState.FAILED, failure, pack_index)


def _end_rest(
    connection: Connection,
    uid: str,
    state: TrialState,
    failure: Failure | None = None,
    pack_index: int | None = None,
    *,
    most: int | None = None,
) -> bool:
    """The trials of the job (of one pack) that have not ended end so, with what was recorded: all
    of them, or ``most`` at a time; whether none is left."""
    over = ended_trials(connection, uid)
    left: dict[PackRecord, list[int]] = {}
    count = 0
    packs = list_packs(connection, uid)
    for pack in packs:
        if not pack.is_closed and pack_index in (None, pack.index):
            going = [t for t in pack.trials.tolist() if t not in over]
            left[pack] = going if most is None else going[: max(0, most - count)]
            count += len(going)
    begun = {t for pack, trials in left.items() if pack.epochs for t in trials}
    values = last_values(connection, uid, begun)
    events: list[EventBody] = []
    for pack, trials in left.items():
        nothing = np.full(len(pack.metrics), np.nan, np.float32)
        final = np.array([values.get(t, nothing) for t in trials], np.float32)
        epochs = np.full(len(trials), pack.epochs, np.int32)
        ended = EndedTrials(state, np.array(trials, np.int32), epochs, final, failure)
        events += end_trials(connection, uid, pack.index, ended)
    if pack_index is None:
        planned = [pack.trials for pack in packs]
        unplanned = _without_pack(connection, uid, planned, over)
        count += len(unplanned)
        room = len(unplanned) if most is None else max(0, most - count + len(unplanned))
        ending = np.array(unplanned[:room], np.int32)
        nothing = np.empty((len(ending), 0), np.float32)
        ended = EndedTrials(state, ending, np.zeros_like(ending), nothing, failure)
        events += end_trials(connection, uid, NO_PACK, ended)
    append_events(connection, uid, events)
    return most is None or count <= most


def _without_pack(
    connection: Connection, uid: str, planned: list[NDArray[np.int32]], ended: Container[int]
) -> list[int]:
    """The trials that were not proposed yet, which wait for no pack to end them."""
    total = connection.execute(select(_J.trials).where(_J.uid == uid)).scalar_one()
    has_pack = np.zeros(total, np.bool_)
    for trials in planned:
        has_pack[trials] = True
    return [k for k in np.flatnonzero(~has_pack).tolist() if k not in ended]


def list_packs(connection: Connection, uid: str) -> list[PackRecord]:
    """See Store.list_packs."""
    rows = connection.execute(select(schema.packs).where(_P.job_uid == uid).order_by(_P.pack_index))
    return [_to_pack(row) for row in rows]


def _to_pack(row: Row[Any]) -> PackRecord:
    return PackRecord(
        index=row.pack_index,
        trials=np.frombuffer(row.trials, "<i4"),
        metrics=tuple(row.metrics.split(",")),
        epochs=row.epochs,
        until=row.until,
        started=row.started,
        is_closed=row.is_closed,
        arithmetics=tuple(json.loads(row.arithmetics or "[]")),
        generation=row.generation,
    )


def ended_trials(connection: Connection, uid: str) -> dict[int, TrialState]:
    """See Store.ended_trials."""
    found = connection.execute(select(_T.trial_index, _T.state).where(_T.job_uid == uid))
    return {index: TrialState(state) for index, state in found}


def start_pack(connection: Connection, uid: str, pack_index: int) -> None:
    """See Store.start_pack."""
    move_job(connection, uid, JobState.RUNNING, leaving=[JobState.QUEUED])
    require_training(connection, uid)
    started = connection.execute(
        update(schema.packs)
        .where(_P.job_uid == uid, _P.pack_index == pack_index, _P.started.is_(False))
        .values(started=True)
        .returning(_P.trials, _P.epochs)
    ).one_or_none()
    if started is not None:
        trials = np.frombuffer(started.trials, "<i4")
        epochs = np.full(len(trials), started.epochs, np.int32)
        append_events(connection, uid, [TrialsChanged(TrialState.RUNNING, trials, epochs)])
        first = func.coalesce(_J.started, now_microseconds())
        connection.execute(update(schema.jobs).where(_J.uid == uid).values(started=first))


# Segments that are under way as a job is paused or cancelled are recorded.
_TRAINING = (JobState.RUNNING.value, JobState.PAUSED.value, JobState.CANCELLING.value)


def require_training(connection: Connection, uid: str) -> None:
    """Raises IllegalTransitionError where the job's segments are no longer recorded."""
    state = connection.execute(select(_J.state).where(_J.uid == uid)).scalar_one_or_none()
    if state not in _TRAINING:
        raise IllegalTransitionError("JOB_ENDED", f"the job no longer trains: it is {state}")


def record_segment(
    connection: Connection,
    uid: str,
    pack_index: int,
    generation: int,
    from_epoch: int,
    to_epoch: int,
    block: MetricsRecorded | None,
    ended: tuple[EndedTrials, ...],
    trial_epochs: int,
    arithmetics: tuple[str, ...],
) -> None:
    """See Store.record_segment."""
    require_training(connection, uid)
    moved = connection.execute(
        update(schema.packs)
        .where(
            _P.job_uid == uid,
            _P.pack_index == pack_index,
            _P.generation == generation,
            _P.epochs == from_epoch,
            _P.is_closed.is_(False),
        )
        .values(epochs=to_epoch, arithmetics=json.dumps(arithmetics))
    )
    if moved.rowcount == 0:
        raise IllegalTransitionError(
            "EPOCH_RECORDED",
            f"pack {pack_index} is not at epoch {from_epoch} of generation {generation}",
        )
    connection.execute(
        update(schema.jobs)
        .where(_J.uid == uid)
        .values(trial_epochs=_J.trial_epochs + trial_epochs, revision=_J.revision + 1)
    )
    events: list[EventBody] = [block] if block is not None else []
    for group in ended:
        events += end_trials(connection, uid, pack_index, group)
    append_events(connection, uid, events)


def pass_rung(
    connection: Connection,
    uid: str,
    rung: int,
    closed: tuple[int, ...],
    stopped: NDArray[np.int32],
    packs: tuple[NewPack, ...],
    adaptations: tuple[Adaptation, ...] = (),
) -> list[PackRecord]:
    """See Store.pass_rung."""
    require_training(connection, uid)
    moved = connection.execute(
        update(schema.packs)
        .where(_P.job_uid == uid, _P.pack_index.in_(closed), _P.is_closed.is_(False))
        .values(is_closed=True)
    )
    if moved.rowcount != len(closed):
        raise IllegalTransitionError("RUNG_PASSED", "these packs have gone on before")
    values = last_values(connection, uid, set(stopped.tolist()))
    events: list[EventBody] = []
    for pack in list_packs(connection, uid):
        if pack.index in closed:
            trials = pack.trials[np.isin(pack.trials, stopped)]
            nothing = np.full(len(pack.metrics), np.nan, np.float32)
            final = np.array([values.get(t, nothing) for t in trials.tolist()], np.float32)
            epochs = np.full(len(trials), rung, np.int32)
            ended = EndedTrials(TrialState.STOPPED, trials, epochs, final)
            events += end_trials(connection, uid, pack.index, ended)
    events += add_adaptations(connection, uid, adaptations)
    append_events(connection, uid, events)
    if not packs:
        return []
    first = add_packs(connection, uid, packs)
    found = connection.execute(
        select(schema.packs)
        .where(_P.job_uid == uid, _P.pack_index >= first)
        .order_by(_P.pack_index)
    )
    return [_to_pack(row) for row in found]


def create_job(connection: Connection, job: NewJob, request: RequestKey | None) -> JobRecord:
    """See Store.create_job."""
    made = jobs.create_job(connection, job, request)
    if made.uid == job.uid:  # not of an earlier, equal request
        append_events(connection, job.uid, fail_trials(connection, job.uid, job.failures))
    return get_job(connection, made.job_id)


def fail_trials(
    connection: Connection, uid: str, failures: Mapping[Failure, Sequence[int]]
) -> list[EventBody]:
    """Trials that can't be trained, and are in no pack, are FAILED; the events that tell it."""
    events: list[EventBody] = []
    for failure, trials in failures.items():
        ended = EndedTrials(
            TrialState.FAILED,
            np.array(trials, np.int32),
            np.zeros(len(trials), np.int32),
            np.empty((len(trials), 0), np.float32),
            failure,
        )
        events += end_trials(connection, uid, NO_PACK, ended)
    return events


def end_trials(
    connection: Connection, uid: str, pack_index: int, ended: EndedTrials
) -> list[EventBody]:
    """Write down trials that have ended, and count them; the events that tell it."""
    failure, values = ended.failure, ended.final
    if values is None:
        last = last_values(connection, uid, set(ended.trials.tolist()))
        values = np.array([last[trial] for trial in ended.trials.tolist()], np.float32)
    rows = [
        {
            "job_uid": uid,
            "trial_index": trial,
            "pack_index": pack_index,
            "state": ended.state.value,
            "epochs": epochs,
            "final": final.tobytes(),
            "failure_reason": failure.reason if failure else None,
            "failure_message": failure.message if failure else None,
        }
        for trial, epochs, final in zip(
            ended.trials.tolist(), ended.epochs.tolist(), values.astype("<f4"), strict=True
        )
    ]
    if not rows:
        return []
    connection.execute(insert(schema.trials), rows)
    counter = _J[ended.state.value]
    connection.execute(
        update(schema.jobs)
        .where(_J.uid == uid)
        .values({counter: counter + len(rows), _J.revision: _J.revision + 1})
    )
    return [TrialsChanged(ended.state, ended.trials, ended.epochs, failure)]


def list_trials(
    connection: Connection, job: JobRecord, first: int, limit: int, states: tuple[TrialState, ...]
) -> list[TrialRecord]:
    """See Store.list_trials."""
    packs = list_packs(connection, job.uid)
    if not states:
        window = np.arange(first, min(first + limit, job.trials), dtype=np.int32)
        ended = _ended_records(connection, job.uid, packs, first, limit, states=())
        return [
            *sorted(
                [r for r in ended if r.index < first + limit]
                + _running_records(packs, window, {r.index for r in ended}),
                key=lambda r: r.index,
            )
        ]
    found = _ended_records(connection, job.uid, packs, first, limit, states)
    if {TrialState.QUEUED, TrialState.RUNNING} & set(states):
        everything = np.arange(first, job.trials, dtype=np.int32)
        going = _running_records(packs, everything, set(ended_trials(connection, job.uid)))
        found += [r for r in going if r.state in states]
    return sorted(found, key=lambda r: r.index)[:limit]


def _ended_records(
    connection: Connection,
    uid: str,
    packs: list[PackRecord],
    first: int,
    limit: int,
    states: tuple[TrialState, ...],
) -> list[TrialRecord]:
    query = (
        select(schema.trials)
        .where(_T.job_uid == uid, _T.trial_index >= first)
        .order_by(_T.trial_index)
        .limit(limit)
    )
    if states:
        query = query.where(_T.state.in_([s.value for s in states]))
    return [_to_ended(row, packs) for row in connection.execute(query)]


def _to_ended(row: Row[Any], packs: list[PackRecord]) -> TrialRecord:
    pack = None if row.pack_index == NO_PACK else packs[row.pack_index]
    final = np.frombuffer(row.final, "<f4").tolist()
    return TrialRecord(
        index=row.trial_index,
        state=TrialState(row.state),
        epochs=row.epochs,
        pack_index=pack.index if pack else None,
        arithmetics=pack.arithmetics if pack else (),
        failure=to_failure(row.failure_reason, row.failure_message),
        final_metrics=dict(zip(pack.metrics, final, strict=True)) if pack else {},
    )


def _running_records(
    packs: list[PackRecord], window: NDArray[np.int32], ended: set[int]
) -> list[TrialRecord]:
    """The trials of the window that have not ended, in no order. One that is in no pack was not
    proposed yet."""
    proposed = np.concatenate([pack.trials for pack in packs]) if packs else window[:0]
    waiting = [t for t in np.setdiff1d(window, proposed).tolist() if t not in ended]
    records = [
        TrialRecord(index=trial, state=TrialState.QUEUED, epochs=0, pack_index=None, arithmetics=())
        for trial in waiting
    ]
    return records + [
        TrialRecord(
            index=trial,
            state=TrialState.RUNNING if pack.started else TrialState.QUEUED,
            epochs=pack.epochs,
            pack_index=pack.index,
            arithmetics=pack.arithmetics,
        )
        for pack in packs
        if not pack.is_closed
        for trial in np.intersect1d(pack.trials, window).tolist()
        if trial not in ended
    ]
