"""Transactions on jobs and on the requests that made them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, case, delete, func, insert, or_, select

from packtrain.service.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    IllegalTransitionError,
    InvalidSpecError,
    NotFoundError,
    Violation,
)
from packtrain.service.learning_rates import RateFinding
from packtrain.service.records import (
    ActiveJob,
    JobChanged,
    JobRecord,
    LogPart,
    NewJob,
    NewPack,
    RequestKey,
)
from packtrain.service.resources import job_name
from packtrain.service.states import (
    ACTIVE_JOB_STATES,
    ENDED_JOB_STATES,
    JobState,
    TrialState,
)
from packtrain.service.store import schema
from packtrain.service.store.locks import hold_creation, hold_request
from packtrain.service.store.log import (
    append_events,
    now_microseconds,
    read_events,
    to_failure,
    to_time,
)
from packtrain.service.store.notices import announce
from packtrain.service.store.replicas import TURN, living

_J, _P = schema.jobs.c, schema.packs.c
_OWN_TABLES = (
    schema.events,
    schema.trials,
    schema.packs,
    schema.proposals,
    schema.lessons,
    schema.adaptations,
    schema.checkpoints,
)
_ACTIVE = tuple(s.value for s in ACTIVE_JOB_STATES)
# A client that repeats a request does so within minutes.
_REQUESTS_KEPT_MICROSECONDS = 24 * 3600 * 1_000_000


def to_job(row: Row[Any]) -> JobRecord:
    """A row of the table of jobs."""
    counted = (
        TrialState.SUCCEEDED,
        TrialState.DIVERGED,
        TrialState.FAILED,
        TrialState.CANCELLED,
        TrialState.STOPPED,
    )
    return JobRecord(
        job_id=row.job_id,
        uid=row.uid,
        order=row.order,
        spec=row.spec,
        plan=row.plan,
        state=JobState(row.state),
        revision=row.revision,
        created=to_time(row.created),
        started=to_time(row.started) if row.started is not None else None,
        ended=to_time(row.ended) if row.ended is not None else None,
        failure=to_failure(row.failure_reason, row.failure_message),
        trials=row.trials,
        trial_epochs=row.trial_epochs,
        trial_epochs_total=row.trial_epochs_total,
        counts={state: getattr(row, state.value) for state in counted},
        metrics=tuple(json.loads(row.metrics)),
        layer_sizes=tuple(json.loads(row.layer_sizes)),
        datasets=tuple(json.loads(row.datasets)),
        networks=row.networks,
        finding=RateFinding(**json.loads(row.finding)) if row.finding is not None else None,
        labels=row.labels,
        priority=row.priority,
        generation=row.generation,
    )


def get_job(connection: Connection, job_id: str, *, for_change: bool = False) -> JobRecord:
    """Raises NotFoundError. ``for_change``: it is held as by :func:`locks.hold_job`."""
    query = select(schema.jobs).where(_J.job_id == job_id)
    row = connection.execute(query.with_for_update() if for_change else query).one_or_none()
    if row is None:
        raise NotFoundError(
            "JOB_NOT_FOUND", f"there is no job jobs/{job_id}", metadata={"name": f"jobs/{job_id}"}
        )
    return to_job(row)


def find_job(connection: Connection, uid: str) -> JobRecord | None:
    """The job of this uid; None where it was deleted."""
    row = connection.execute(select(schema.jobs).where(_J.uid == uid)).one_or_none()
    return None if row is None else to_job(row)


def find_repeated(connection: Connection, request: RequestKey) -> JobRecord | None:
    """The job of an earlier, equal request. Raises InvalidSpecError, NotFoundError."""
    uid = repeated_uid(connection, request)
    if uid is None:
        return None
    job = find_job(connection, uid)
    if job is None:
        raise NotFoundError(
            "JOB_DELETED", "the job that this request_id created has been deleted since"
        )
    return job


def repeated_uid(connection: Connection, request: RequestKey) -> str | None:
    """The job's uid, where the same request came before. Raises InvalidSpecError."""
    table = schema.requests
    row = connection.execute(
        select(table).where(table.c.request_id == request.request_id)
    ).one_or_none()
    if row is None:
        return None
    if (row.method, row.digest) != (request.method, request.digest):
        description = "was used before for another request; give each request an id of its own"
        raise InvalidSpecError(
            "REQUEST_ID_REUSED",
            f"request_id: {description}",
            violations=[Violation("request_id", description)],
        )
    return str(row.job_uid)


def begin_change(
    connection: Connection, job_id: str, request: RequestKey | None
) -> tuple[JobRecord, bool]:
    """The job, held, and whether this very request changed it before. Raises InvalidSpecError,
    NotFoundError."""
    is_repeated = begin_request(connection, request) is not None
    return get_job(connection, job_id, for_change=True), is_repeated


def begin_request(connection: Connection, request: RequestKey | None) -> str | None:
    """As :func:`repeated_uid`, and nobody else begins the same request meanwhile."""
    if request is None:
        return None
    hold_request(connection, request.request_id)
    return repeated_uid(connection, request)


def remember_request(connection: Connection, request: RequestKey | None, uid: str) -> None:
    """Keep the request with what it did, in the same transaction."""
    if request is None:
        return
    table = schema.requests
    now = now_microseconds()
    # Without those that another transaction forgets at this moment: two that wait for rows of
    # each other would both be stuck.
    old = select(table.c.request_id).where(table.c.time < now - _REQUESTS_KEPT_MICROSECONDS)
    forgotten = table.c.request_id.in_(old.with_for_update(skip_locked=True))
    connection.execute(delete(table).where(forgotten))
    connection.execute(
        insert(table).values(
            request_id=request.request_id,
            method=request.method,
            digest=request.digest,
            job_uid=uid,
            time=now,
        )
    )


def remember_alone(connection: Connection, request: RequestKey, target: str) -> None:
    """See Store.remember."""
    if begin_request(connection, request) is None:
        remember_request(connection, request, target)


def check_free(connection: Connection, job_id: str) -> None:
    """See Store.check_free."""
    if connection.execute(select(_J.uid).where(_J.job_id == job_id)).first():
        raise AlreadyExistsError(
            "JOB_EXISTS",
            f"there is a job jobs/{job_id} already",
            metadata={"name": f"jobs/{job_id}"},
        )


def create_job(
    connection: Connection, job: NewJob, request: RequestKey | None, owner: str | None
) -> JobRecord:
    """See Store.create_job."""
    if request is not None:
        hold_request(connection, request.request_id)
        if (earlier := find_repeated(connection, request)) is not None:
            return earlier
    hold_creation(connection)
    check_free(connection, job.job_id)
    order = connection.execute(select(func.coalesce(func.max(_J.order), 0) + 1)).scalar_one()
    connection.execute(
        insert(schema.jobs).values(
            uid=job.uid,
            order=order,
            job_id=job.job_id,
            spec=job.spec,
            plan=job.plan,
            state=JobState.QUEUED.value,
            revision=1,
            created=now_microseconds(),
            trials=job.trials,
            trial_epochs=0,
            trial_epochs_total=job.trial_epochs_total,
            succeeded=0,
            diverged=0,
            failed=0,
            cancelled=0,
            stopped=0,
            metrics=json.dumps(job.metrics),
            layer_sizes=json.dumps(job.layer_sizes),
            datasets=json.dumps(job.datasets),
            networks=job.networks,
            labels=dict(job.labels),
            priority=job.priority,
            generation=0,
            last_sequence=0,
            owner=owner,
        )
    )
    add_packs(connection, job.uid, job.packs)
    if job.lessons is not None:
        connection.execute(
            insert(schema.lessons).values(
                job_uid=job.uid,
                assignments=len(job.lessons.points),
                points=job.lessons.points.astype("<f8").tobytes(),
                scores=job.lessons.scores.astype("<f8").tobytes(),
            )
        )
    append_events(connection, job.uid, [JobChanged(JobState.QUEUED)])
    remember_request(connection, request, job.uid)
    return get_job(connection, job.job_id)


def add_packs(connection: Connection, uid: str, packs: Sequence[NewPack]) -> int:
    """Append packs, if any, to the job's; the index of the first of them."""
    last = select(func.max(_P.pack_index)).where(_P.job_uid == uid)
    found = connection.execute(last).scalar_one()
    first = 0 if found is None else int(found) + 1
    rows = [
        {
            "job_uid": uid,
            "pack_index": first + i,
            "trials": pack.trials.astype("<i4").tobytes(),
            "metrics": ",".join(pack.metrics),
            "epochs": pack.begin,
            "until": pack.until,
            "started": pack.started,
            "is_closed": False,
            "arithmetics": json.dumps(pack.arithmetics),
            "generation": 0,
        }
        for i, pack in enumerate(packs)
    ]
    if rows:
        connection.execute(insert(schema.packs), rows)
    return first


def job_position(connection: Connection, uid: str) -> tuple[JobState, int] | None:
    """See Store.job_position."""
    row = connection.execute(select(_J.state, _J.last_sequence).where(_J.uid == uid)).one_or_none()
    return None if row is None else (JobState(row.state), row.last_sequence)


def read_log(connection: Connection, uid: str, after: int, max_bytes: int) -> LogPart | None:
    """See Store.read_log."""
    position = job_position(connection, uid)
    if position is None:
        return None
    state, last = position
    events = read_events(connection, uid, after, max_bytes) if after < last else []
    return LogPart(state, last, events)


def list_jobs(
    connection: Connection,
    limit: int,
    before: int | None,
    states: tuple[JobState, ...],
    labels: Mapping[str, str],
) -> list[JobRecord]:
    """See Store.list_jobs."""
    query = select(schema.jobs).order_by(_J.order.desc()).limit(limit)
    if before is not None:
        query = query.where(_J.order < before)
    if states:
        query = query.where(_J.state.in_([s.value for s in states]))
    for key, value in labels.items():
        query = query.where(_J.labels[key].as_string() == value)
    return [to_job(row) for row in connection.execute(query)]


def active_jobs(connection: Connection, owner: str, limit: int) -> list[ActiveJob]:
    """See Store.active_jobs."""
    query = (
        _select_active()
        .where(_J.state != JobState.PAUSED.value)
        .where(or_(_J.owner == owner, _J.owner.is_(None), _J.owner.not_in(living())))
        .order_by(*TURN)
        .limit(limit)
    )
    return [_to_active(row) for row in connection.execute(query)]


def find_active_jobs(connection: Connection, uids: tuple[str, ...]) -> dict[str, ActiveJob]:
    """See Store.find_active_jobs."""
    rows = connection.execute(_select_active().where(_J.uid.in_(uids)))
    return {row.uid: _to_active(row) for row in rows}


def _select_active() -> Select[Any]:
    columns = (_J.uid, _J.job_id, _J.state, _J.trials, _J.priority, _J.generation)
    owner = case((_J.owner.in_(living()), _J.owner)).label("owner")
    return select(*columns, owner).where(_J.state.in_(_ACTIVE))


def _to_active(row: Row[Any]) -> ActiveJob:
    return ActiveJob(
        row.uid,
        row.job_id,
        JobState(row.state),
        row.trials,
        row.priority,
        row.generation,
        row.owner,
    )


def datasets_in_use(connection: Connection) -> set[str]:
    """See Store.datasets_in_use."""
    rows = connection.execute(select(_J.datasets).where(_J.state.in_(_ACTIVE)).distinct())
    return {digest for row in rows for digest in json.loads(row.datasets)}


def networks_in_use(connection: Connection) -> set[str]:
    """See Store.networks_in_use."""
    in_use = select(_J.networks).where(_J.networks.is_not(None))
    return set(connection.execute(in_use.distinct()).scalars())


def all_uids(connection: Connection) -> set[str]:
    """See Store.all_uids."""
    return set(connection.execute(select(_J.uid)).scalars())


def check_etag(job: JobRecord, etag: str) -> None:
    """Raises EtagMismatchError where the job has another one than ``etag``, if that is given."""
    if etag and etag != job.etag:
        raise EtagMismatchError(
            "ETAG_MISMATCH",
            f"{job_name(job.job_id)} has changed: its etag is {job.etag}, not {etag}",
        )


def delete_job(
    connection: Connection, job_id: str, etag: str, request: RequestKey | None
) -> JobRecord | None:
    """See Store.delete_job."""
    if begin_request(connection, request) is not None:
        return None
    job = get_job(connection, job_id, for_change=True)
    check_etag(job, etag)
    if job.state not in ENDED_JOB_STATES:
        raise IllegalTransitionError(
            "JOB_NOT_ENDED",
            f"jobs/{job_id} is {job.state.name}; cancel it before you delete it",
            metadata={"state": job.state.name},
        )
    for table in _OWN_TABLES:
        connection.execute(delete(table).where(table.c.job_uid == job.uid))
    connection.execute(delete(schema.jobs).where(_J.uid == job.uid))
    announce(connection, job.uid)
    remember_request(connection, request, job.uid)
    return job
