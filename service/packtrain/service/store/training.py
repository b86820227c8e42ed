"""Transactions of training: packs move on, trials end, jobs change their state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from packtrain.service.store import checkpoints, jobs, schema
from packtrain.service.store.adaptations import add_adaptations
from packtrain.service.store.jobs import add_packs, get_job
from packtrain.service.store.locks import hold_job
from packtrain.service.store.log import append_events, last_values, now_microseconds, to_failure

_J, _P, _T = schema.jobs.c, schema.packs.c, schema.trials.c


# The pack of a trial that ended without one.
NO_PACK = -1


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
    if state in ENDED_JOB_STATES:
        checkpoints.remove_all(connection, uid)
    append_events(connection, uid, [JobChanged(state, failure)])
    return True


def list_packs(connection: Connection, uid: str) -> list[PackRecord]:
    """See Store.list_packs."""
    rows = connection.execute(select(schema.packs).where(_P.job_uid == uid).order_by(_P.pack_index))
    return [to_pack(row) for row in rows]


def to_pack(row: Row[Any]) -> PackRecord:
    """A row of the table of packs."""
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
    """See OwnedJob.start_pack."""
    hold_job(connection, uid)
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
_TRAINING = (JobState.RUNNING, JobState.PAUSED, JobState.CANCELLING)


def require_training(connection: Connection, uid: str) -> None:
    """Hold the job. Raises IllegalTransitionError where nothing can be recorded of it any more."""
    state = hold_job(connection, uid)
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
    """See OwnedJob.record_segment."""
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
    """See OwnedJob.pass_rung."""
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
    return [to_pack(row) for row in found]


def create_job(
    connection: Connection, job: NewJob, request: RequestKey | None, owner: str | None
) -> JobRecord:
    """See Store.create_job."""
    made = jobs.create_job(connection, job, request, owner)
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
    """Write down trials of a pack that have ended, and count them; the events that tell it."""
    values = ended.final
    if values is None:
        last = last_values(connection, uid, set(ended.trials.tolist()))
        values = np.array([last[trial] for trial in ended.trials.tolist()], np.float32)
    packs = np.full(len(ended.trials), pack_index, np.int32)
    final = [row.tobytes() for row in values.astype("<f4")]
    change = TrialsChanged(ended.state, ended.trials, ended.epochs, ended.failure)
    return write_ends(connection, uid, change, packs, final)


def write_ends(
    connection: Connection,
    uid: str,
    change: TrialsChanged,
    packs: NDArray[np.int32],
    final: Sequence[bytes],
) -> list[EventBody]:
    """Write down trials that have ended, and count them, each with its pack, (K,), and its final
    metrics in that pack's order; the events that tell it."""
    failure = change.failure
    rows = [
        {
            "job_uid": uid,
            "trial_index": trial,
            "pack_index": pack,
            "state": change.state.value,
            "epochs": epochs,
            "final": values,
            "failure_reason": failure.reason if failure else None,
            "failure_message": failure.message if failure else None,
        }
        for trial, pack, epochs, values in zip(
            change.trials.tolist(), packs.tolist(), change.epochs.tolist(), final, strict=True
        )
    ]
    if not rows:
        return []
    connection.execute(insert(schema.trials), rows)
    counter = _J[change.state.value]
    connection.execute(
        update(schema.jobs)
        .where(_J.uid == uid)
        .values({counter: counter + len(rows), _J.revision: _J.revision + 1})
    )
    return [change]


def count_off(connection: Connection, uid: str, state: TrialState, count: int) -> None:
    """Trials of this state have not ended after all."""
    counter = _J[state.value]
    connection.execute(update(schema.jobs).where(_J.uid == uid).values({counter: counter - count}))


def list_trials(
    connection: Connection, job: JobRecord, first: int, limit: int, states: tuple[TrialState, ...]
) -> list[TrialRecord]:
    """See Store.list_trials."""
    if first >= job.trials:
        return []  # beyond what a column can be compared with, maybe
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
