"""Transactions by which its owner changes a job: pause, resume, update, retry."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from sqlalchemy import Connection, delete, update

from packtrain.service.errors import (
    EtagMismatchError,
    InvalidSpecError,
    Violation,
)
from packtrain.service.labels import MAX_LABELS
from packtrain.service.records import (
    EventBody,
    Extension,
    JobChanged,
    JobRecord,
    JobUpdate,
    LabelChange,
    RequestKey,
    Retry,
    TrialsChanged,
)
from packtrain.service.resources import job_name
from packtrain.service.states import ENDED_JOB_STATES, JobState, TrialState
from packtrain.service.store import schema
from packtrain.service.store.jobs import (
    add_packs,
    begin_change,
    check_etag,
    get_job,
    remember_request,
)
from packtrain.service.store.log import append_events
from packtrain.service.store.notices import announce
from packtrain.service.store.proposals import estimate_epochs, reopen_unproposed
from packtrain.service.store.training import count_off, fail_trials, move_job

_J, _P, _T = schema.jobs.c, schema.packs.c, schema.trials.c


def pause_job(connection: Connection, job_id: str, request: RequestKey | None) -> JobRecord:
    """See Store.pause_job."""
    job, is_repeated = begin_change(connection, job_id, request)
    if is_repeated:
        return job
    if not move_job(connection, job.uid, JobState.PAUSED):
        reason = "JOB_ENDED" if job.state in ENDED_JOB_STATES else f"JOB_{job.state.name}"
        raise job.refuse(reason, "only a job that is QUEUED or RUNNING can be paused")
    remember_request(connection, request, job.uid)
    return get_job(connection, job_id)


def resume_job(connection: Connection, job_id: str, request: RequestKey | None) -> JobRecord:
    """See Store.resume_job."""
    job, is_repeated = begin_change(connection, job_id, request)
    if is_repeated:
        return job
    state = JobState.QUEUED if job.started is None else JobState.RUNNING
    if not move_job(connection, job.uid, state, leaving=[JobState.PAUSED]):
        raise job.refuse("JOB_NOT_PAUSED", "only a job that is PAUSED can be resumed")
    remember_request(connection, request, job.uid)
    return get_job(connection, job_id)


def update_job(
    connection: Connection, job_id: str, change: JobUpdate, request: RequestKey | None
) -> JobRecord:
    """See Store.update_job."""
    job, is_repeated = begin_change(connection, job_id, request)
    if is_repeated:
        return job
    check_etag(job, change.etag)
    if change.labels is not None:
        labels = _change_labels(job.labels, change.labels)
        connection.execute(update(schema.jobs).where(_J.uid == job.uid).values(labels=labels))
    if change.priority is not None:
        priority = update(schema.jobs).where(_J.uid == job.uid).values(priority=change.priority)
        connection.execute(priority)
    if change.extension is not None:
        _extend(connection, job, change.extension)
    _revise(connection, job.uid)
    remember_request(connection, request, job.uid)
    return get_job(connection, job_id)


def _change_labels(labels: Mapping[str, str], change: LabelChange) -> dict[str, str]:
    changed = dict(change.labels) if change.replaces else {**labels, **change.labels}
    for key in change.removed:
        changed.pop(key, None)
    if len(changed) > MAX_LABELS:
        description = f"must be {MAX_LABELS} at most; the job would have {len(changed)}"
        raise InvalidSpecError.of([Violation("job.labels", description)])
    return changed


def _extend(connection: Connection, job: JobRecord, extension: Extension) -> None:
    """The trials that had come to the last epoch go on, and further ones begin."""
    job.check_changeable()
    _check_generation(job, extension.generation)
    events: list[EventBody] = []
    if extension.last_epoch is not None:
        events = _reopen(connection, job.uid, extension.last_epoch)
    if extension.packs:
        add_packs(connection, job.uid, extension.packs)
    events += fail_trials(connection, job.uid, extension.failures)
    if extension.learns:
        events += reopen_unproposed(connection, job.uid)
    connection.execute(
        update(schema.jobs)
        .where(_J.uid == job.uid)
        .values(
            spec=extension.spec,
            plan=extension.plan,
            trials=extension.trials,
            trial_epochs_total=extension.trial_epochs_total,
            metrics=json.dumps(extension.metrics),
            layer_sizes=json.dumps(extension.layer_sizes),
        )
    )
    if extension.learns:
        estimate_epochs(connection, job.uid)
    _train_on(connection, job, events)


def _reopen(connection: Connection, uid: str, last_epoch: int) -> list[EventBody]:
    """The trials that SUCCEEDED at the epoch that is no longer the last one are RUNNING. Whoever
    trains their packs towards that epoch still can record no more."""
    packs = (_P.job_uid == uid, _P.is_closed.is_(False))
    connection.execute(
        update(schema.packs).where(*packs).values({_P.generation: _P.generation + 1})
    )
    found = connection.execute(
        delete(schema.trials)
        .where(
            _T.job_uid == uid,
            _T.state == TrialState.SUCCEEDED.value,
            _T.epochs == last_epoch,
        )
        .returning(_T.trial_index)
    ).scalars()
    trials = np.sort(np.array(found.all(), np.int32))
    if not len(trials):
        return []
    count_off(connection, uid, TrialState.SUCCEEDED, len(trials))
    epochs = np.full(len(trials), last_epoch, np.int32)
    return [TrialsChanged(TrialState.RUNNING, trials, epochs)]


def retry_job(
    connection: Connection, job_id: str, retry: Retry, request: RequestKey | None
) -> JobRecord:
    """See Store.retry_job."""
    job, is_repeated = begin_change(connection, job_id, request)
    if is_repeated:
        return job
    job.check_changeable()
    _check_generation(job, retry.generation)
    failed = delete(schema.trials).where(
        _T.job_uid == job.uid,
        _T.state == TrialState.FAILED.value,
        _T.pack_index.in_(retry.closed),
    )
    if connection.execute(failed).rowcount != len(retry.trials):
        raise _changed(job)
    count_off(connection, job.uid, TrialState.FAILED, len(retry.trials))
    connection.execute(
        update(schema.packs)
        .where(_P.job_uid == job.uid, _P.pack_index.in_(retry.closed))
        .values(is_closed=True)
    )
    add_packs(connection, job.uid, retry.packs)
    events: list[EventBody] = [
        TrialsChanged(TrialState.QUEUED, p.trials, np.full(len(p.trials), p.begin, np.int32))
        for p in retry.packs
    ]
    if retry.learns:
        events += reopen_unproposed(connection, job.uid)
    _train_on(connection, job, events)
    _revise(connection, job.uid)
    remember_request(connection, request, job.uid)
    return get_job(connection, job_id)


def _train_on(connection: Connection, job: JobRecord, events: list[EventBody]) -> None:
    """The job has more to train: one that had ended is RUNNING again. Its log tells so first."""
    generation = {_J.generation: _J.generation + 1}
    connection.execute(update(schema.jobs).where(_J.uid == job.uid).values(generation))
    if not move_job(connection, job.uid, JobState.RUNNING, leaving=tuple(ENDED_JOB_STATES)):
        append_events(connection, job.uid, [JobChanged(job.state)])
    append_events(connection, job.uid, events)


def _revise(connection: Connection, uid: str) -> None:
    revision = {_J.revision: _J.revision + 1}
    connection.execute(update(schema.jobs).where(_J.uid == uid).values(revision))
    announce(connection, uid)


def _check_generation(job: JobRecord, generation: int) -> None:
    if job.generation != generation:
        raise _changed(job)


def _changed(job: JobRecord) -> EtagMismatchError:
    sentence = f"{job_name(job.job_id)} was changed by another call meanwhile: try again"
    return EtagMismatchError("JOB_CHANGED", sentence)
