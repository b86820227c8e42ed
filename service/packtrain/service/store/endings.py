"""Transactions of trials that end where they stand: with their job, or with their pack.

A job may have a hundred thousand of them. They are found once, and end some at a time: the one
writer serves others in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.learning_rates import RateFinding
from packtrain.service.records import (
    EndedTrials,
    Failure,
    JobRecord,
    RequestKey,
    TrialsChanged,
)
from packtrain.service.results.columns import GOING, TrialColumns
from packtrain.service.states import ENDED_JOB_STATES, JobState, TrialState, leading_to
from packtrain.service.store import schema
from packtrain.service.store.jobs import begin_change, find_job, get_job, remember_request
from packtrain.service.store.locks import hold_job
from packtrain.service.store.log import append_events, last_values
from packtrain.service.store.training import (
    NO_PACK,
    end_trials,
    move_job,
    require_training,
    to_pack,
    write_ends,
)
from packtrain.service.store.trial_columns import load_columns

_J, _P, _T = schema.jobs.c, schema.packs.c, schema.trials.c

# Trials that end in one transaction, of about a tenth of a second.
SLICE_TRIALS = 20_000
# Looked up in one statement, which names them all.
_LOOKED_UP = 1_000


@dataclass(frozen=True, kw_only=True)
class JobEnd:
    """How a job ends: to which state, and from which of them; ``generation`` is the one that it
    must be of, if any."""

    state: JobState
    leaving: Sequence[JobState]
    failure: Failure | None = None
    generation: int | None = None
    finding: RateFinding | None = None


CANCELLED = JobEnd(state=JobState.CANCELLED, leaving=[JobState.CANCELLING])


@dataclass(frozen=True, eq=False)
class Rest:
    """The trials of a job that have not ended, ``rows`` of its ``columns``, (K,), and the metrics
    of its packs."""

    columns: TrialColumns
    rows: NDArray[np.intp]
    pack_metrics: dict[int, tuple[str, ...]]

    def slices(self) -> Iterator[NDArray[np.intp]]:
        """The rows that end in one transaction each."""
        for start in range(0, len(self.rows), SLICE_TRIALS):
            yield self.rows[start : start + SLICE_TRIALS]

    def final(self, rows: NDArray[np.intp]) -> list[bytes]:
        """What was measured last of each of the rows, in the order of its pack's metrics."""
        found: list[bytes] = [b""] * len(rows)
        packs, which = np.unique(self.columns.packs[rows], return_inverse=True)
        names = [self.pack_metrics[pack] for pack in packs.tolist()]
        for measured in set(names):
            same = np.array([of_pack == measured for of_pack in names])
            places = np.flatnonzero(same[which])
            order = [self.columns.metrics.index(name) for name in measured]
            values = self.columns.values[rows[places]][:, order].astype("<f4")
            for place, row in zip(places.tolist(), values, strict=True):
                found[place] = row.tobytes()
        return found


def find_rest(connection: Connection, uid: str, end: JobEnd) -> Rest:
    """The trials of a job that have not ended. Raises IllegalTransitionError where it may not end
    so."""
    job = _check_end(find_job(connection, uid), end)
    columns = load_columns(connection, job)
    packs = select(_P.pack_index, _P.metrics).where(_P.job_uid == uid)
    metrics = {index: tuple(names.split(",")) for index, names in connection.execute(packs)}
    rows = np.flatnonzero(np.isin(columns.states, GOING))
    return Rest(columns, rows, metrics | {NO_PACK: ()})


def end_slice(
    connection: Connection, uid: str, rest: Rest, rows: NDArray[np.intp], end: JobEnd
) -> None:
    """These of the rest end as their job will. Raises IllegalTransitionError where that may no
    longer end so."""
    hold_job(connection, uid)
    _check_end(find_job(connection, uid), end)
    # Another process may have ended some since they were found.
    rows = np.setdiff1d(rows, _find_ended_between(connection, uid, rows[0], rows[-1]))
    state = TrialState[end.state.name]
    epochs = rest.columns.epochs[rows]
    change = TrialsChanged(state, rows.astype(np.int32), epochs, end.failure)
    packs = rest.columns.packs[rows]
    append_events(connection, uid, write_ends(connection, uid, change, packs, rest.final(rows)))


def _find_ended_between(
    connection: Connection, uid: str, first: np.intp, last: np.intp
) -> Sequence[int]:
    between = _T.trial_index.between(int(first), int(last))
    return (
        connection.execute(select(_T.trial_index).where(_T.job_uid == uid, between)).scalars().all()
    )


def finish_job(connection: Connection, uid: str, end: JobEnd) -> None:
    """See OwnedJob.finish_job; the trials have ended before."""
    hold_job(connection, uid)
    _check_end(find_job(connection, uid), end)
    move_job(connection, uid, end.state, end.failure, end.finding, leaving=end.leaving)


def _check_end(job: JobRecord | None, end: JobEnd) -> JobRecord:
    if job is None or end.generation not in (None, job.generation):
        raise IllegalTransitionError("JOB_CHANGED", "the job has got more to train meanwhile")
    if job.state not in end.leaving:
        refusal = f"the job may not become {end.state.name}: it is {job.state.name}"
        raise IllegalTransitionError("ILLEGAL_TRANSITION", refusal)
    return job


def cancel_job(connection: Connection, job_id: str, request: RequestKey | None) -> JobRecord:
    """See Store.cancel_job."""
    job, is_repeated = begin_change(connection, job_id, request)
    if is_repeated:
        return job
    if job.state in ENDED_JOB_STATES:
        raise IllegalTransitionError(
            "JOB_ENDED",
            f"jobs/{job_id} has ended as {job.state.name} and can't be cancelled",
            metadata={"state": job.state.name},
        )
    if job.state is JobState.QUEUED and job.trials <= SLICE_TRIALS:
        _cancel_at_once(connection, job.uid)
    else:
        move_job(connection, job.uid, JobState.CANCELLING)
    remember_request(connection, request, job.uid)
    return get_job(connection, job_id)


def _cancel_at_once(connection: Connection, uid: str) -> None:
    end = JobEnd(state=JobState.CANCELLED, leaving=leading_to(JobState.CANCELLED))
    rest = find_rest(connection, uid, end)
    for rows in rest.slices():
        end_slice(connection, uid, rest, rows, end)
    finish_job(connection, uid, end)


def fail_pack(
    connection: Connection, uid: str, pack_index: int, generation: int, failure: Failure
) -> None:
    """See OwnedJob.fail_pack."""
    require_training(connection, uid)
    query = select(schema.packs).where(_P.job_uid == uid, _P.pack_index == pack_index)
    pack = to_pack(connection.execute(query).one())
    if pack.generation != generation:
        raise IllegalTransitionError("PACK_CHANGED", f"pack {pack_index} trains on meanwhile")
    if pack.is_closed:
        return
    over = _find_ended(connection, uid, pack.trials.tolist())
    trials = np.setdiff1d(pack.trials, over)
    begun = set(trials.tolist()) if pack.epochs else set()
    values = last_values(connection, uid, begun)
    nothing = np.full(len(pack.metrics), np.nan, np.float32)
    final = np.array([values.get(trial, nothing) for trial in trials.tolist()], np.float32)
    epochs = np.full(len(trials), pack.epochs, np.int32)
    ended = EndedTrials(TrialState.FAILED, trials, epochs, final, failure)
    append_events(connection, uid, end_trials(connection, uid, pack_index, ended))


def _find_ended(connection: Connection, uid: str, trials: list[int]) -> list[int]:
    """Those of the trials that have ended. A job may have as many packs as trials: what one of
    them costs must not grow with the others."""
    found: list[int] = []
    for start in range(0, len(trials), _LOOKED_UP):
        some = trials[start : start + _LOOKED_UP]
        query = select(_T.trial_index).where(_T.job_uid == uid, _T.trial_index.in_(some))
        found += connection.execute(query).scalars()
    return found
