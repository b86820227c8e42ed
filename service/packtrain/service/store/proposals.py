"""Transactions of algorithms that learn: what they propose, and what they began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, insert, select, update

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.records import (
    EventBody,
    Failure,
    JobRecord,
    Lessons,
    NewPack,
    PackRecord,
    Proposal,
    TrialRecord,
    TrialsChanged,
)
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import schema
from packtrain.service.store.jobs import add_packs
from packtrain.service.store.locks import hold_job
from packtrain.service.store.log import append_events
from packtrain.service.store.training import count_off, fail_trials, list_packs, list_trials

# The packs of a paused job wait for it to go on.
_TRAINING = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)

_J, _Q, _L, _T = schema.jobs.c, schema.proposals.c, schema.lessons.c, schema.trials.c


def add_proposal(
    connection: Connection,
    uid: str,
    generation: int,
    proposal: Proposal,
    packs: Sequence[NewPack],
    trial_epochs: int,
    failures: Mapping[Failure, Sequence[int]],
) -> list[PackRecord]:
    """See OwnedJob.add_proposal."""
    if hold_job(connection, uid) not in _TRAINING:
        raise IllegalTransitionError("JOB_ENDED", "the job no longer trains")
    query = select(_J.generation).where(_J.uid == uid)
    if connection.execute(query).scalar_one() != generation:
        # What trains anew is learned from first.
        raise IllegalTransitionError("JOB_CHANGED", "the job has got more to train meanwhile")
    known = count_proposed(connection, uid)
    if known != proposal.first:
        raise IllegalTransitionError("PROPOSED", f"{known} assignments have been proposed before")
    connection.execute(
        insert(schema.proposals).values(
            job_uid=uid,
            first_assignment=proposal.first,
            assignments=len(proposal.points),
            points=proposal.points.astype("<f8").tobytes(),
            trials=sum(map(len, (*(pack.trials for pack in packs), *failures.values()))),
            trial_epochs=trial_epochs,
        )
    )
    estimate_epochs(connection, uid)
    append_events(connection, uid, fail_trials(connection, uid, failures))
    if not packs:
        return []
    first = add_packs(connection, uid, packs)
    return [pack for pack in list_packs(connection, uid) if pack.index >= first]


def estimate_epochs(connection: Connection, uid: str) -> None:
    """The epochs of all trials, if those to come train as long as those that are known."""
    trials = connection.execute(select(_J.trials).where(_J.uid == uid)).scalar_one()
    known, epochs = connection.execute(
        select(func.sum(_Q.trials), func.sum(_Q.trial_epochs)).where(_Q.job_uid == uid)
    ).one()
    if known:
        # PostgreSQL's sums are decimals.
        total = round(int(epochs) * trials / int(known))
        connection.execute(
            update(schema.jobs).where(_J.uid == uid).values(trial_epochs_total=total)
        )


def reopen_unproposed(connection: Connection, uid: str) -> list[EventBody]:
    """The trials that FAILED with their job, before they were proposed, wait for that again; the
    events that tell it."""
    proposed = select(func.coalesce(func.sum(_Q.trials), 0)).where(_Q.job_uid == uid)
    found = connection.execute(
        delete(schema.trials)
        .where(
            _T.job_uid == uid,
            _T.trial_index >= proposed.scalar_subquery(),
            _T.state == TrialState.FAILED.value,
        )
        .returning(_T.trial_index)
    ).scalars()
    trials = np.sort(np.array(found.all(), np.int32))
    if not len(trials):
        return []
    count_off(connection, uid, TrialState.FAILED, len(trials))
    return [TrialsChanged(TrialState.QUEUED, trials, np.zeros_like(trials))]


def count_proposed(connection: Connection, uid: str) -> int:
    """See Store.count_proposed."""
    count = select(func.coalesce(func.sum(_Q.assignments), 0)).where(_Q.job_uid == uid)
    return int(connection.execute(count).scalar_one())


def list_proposals(connection: Connection, uid: str) -> list[Proposal]:
    """See Store.list_proposals."""
    rows = connection.execute(
        select(schema.proposals).where(_Q.job_uid == uid).order_by(_Q.first_assignment)
    )
    return [Proposal(r.first_assignment, _to_array(r.points, r.assignments)) for r in rows]


def find_lessons(connection: Connection, uid: str) -> Lessons | None:
    """See Store.find_lessons."""
    row = connection.execute(select(schema.lessons).where(_L.job_uid == uid)).one_or_none()
    if row is None:
        return None
    count = row.assignments
    return Lessons(_to_array(row.points, count), _to_array(row.scores, count))


def read_results(
    connection: Connection, job: JobRecord, states: tuple[TrialState, ...]
) -> tuple[list[TrialRecord], list[Proposal]]:
    """See Store.read_results_blocking."""
    trials = list_trials(connection, job, 0, job.trials, states)
    return trials, list_proposals(connection, job.uid)


def _to_array(content: bytes, rows: int) -> NDArray[np.float64]:
    return np.frombuffer(content, "<f8").astype(np.float64).reshape(rows, -1)
