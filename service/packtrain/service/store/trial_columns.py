"""The trials of a job as columns, and records of those that are shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from packtrain.service.records import Event, JobRecord, TrialRecord
from packtrain.service.results.columns import (
    GOING,
    STATE_CODES,
    STATES,
    TrialColumns,
    last_measured,
)
from packtrain.service.states import TrialState
from packtrain.service.store import schema
from packtrain.service.store.adaptations import adaptations_by_trial
from packtrain.service.store.log import read_blocks_backwards, read_events, to_failure
from packtrain.service.store.training import NO_PACK, list_packs

_J, _P, _T = schema.jobs.c, schema.packs.c, schema.trials.c
# What is read at a time, of what happened since.
_READ_BYTES = 16 << 20


def load_columns(connection: Connection, job: JobRecord) -> TrialColumns:
    """See Store.load_trial_columns."""
    sequence = connection.execute(
        select(_J.last_sequence).where(_J.uid == job.uid)
    ).scalar_one_or_none()
    columns = TrialColumns(
        sequence=sequence or 0,
        metrics=job.metrics,
        states=np.full(job.trials, STATE_CODES[TrialState.QUEUED], np.int8),
        epochs=np.zeros(job.trials, np.int32),
        packs=np.full(job.trials, NO_PACK, np.int32),
        values=np.full((job.trials, len(job.metrics)), np.nan, np.float32),
    )
    packs = list_packs(connection, job.uid)
    for pack in packs:
        columns.packs[pack.trials] = pack.index
        columns.epochs[pack.trials] = pack.epochs
        if pack.started:
            columns.states[pack.trials] = STATE_CODES[TrialState.RUNNING]
    _load_ended(connection, job.uid, columns, {p.index: p.metrics for p in packs})
    _load_latest(connection, job.uid, columns)
    return columns


def find_packs(connection: Connection, job: JobRecord) -> NDArray[np.int32]:
    """See Store.find_packs_of_trials."""
    found = np.full(job.trials, NO_PACK, np.int32)
    query = select(_P.pack_index, _P.trials).where(_P.job_uid == job.uid)
    for index, trials in connection.execute(query.order_by(_P.pack_index)):
        found[np.frombuffer(trials, "<i4")] = index
    return found


def _load_ended(
    connection: Connection, uid: str, columns: TrialColumns, metrics: dict[int, tuple[str, ...]]
) -> None:
    query = select(_T.trial_index, _T.pack_index, _T.state, _T.epochs, _T.final)
    rows = connection.execute(query.where(_T.job_uid == uid).order_by(_T.pack_index)).all()
    if not rows:
        return
    index, pack, state, epochs, final = zip(*rows, strict=True)
    trials = np.array(index, np.int32)
    codes = {known.value: code for known, code in STATE_CODES.items()}
    columns.states[trials] = [codes[word] for word in state]
    columns.epochs[trials] = epochs
    # Those without one come first, and were not measured.
    bounds = np.flatnonzero(np.diff(pack, prepend=NO_PACK))
    for start, stop in pairwise([*bounds, len(rows)]):
        names = metrics[pack[start]]
        values = np.frombuffer(b"".join(final[start:stop]), "<f4").reshape(-1, len(names))
        columns.put(trials[start:stop], names, values)


def _load_latest(connection: Connection, uid: str, columns: TrialColumns) -> None:
    """What was measured last of the trials that have not ended."""
    wanted = np.isin(columns.states, GOING) & (columns.epochs > 0)
    if not wanted.any():
        return
    for block in read_blocks_backwards(connection, uid):
        rows, values = last_measured(block.values)
        trials = block.trials[rows]
        new = wanted[trials]
        columns.put(trials[new], block.names, values[new])
        wanted[trials] = False
        if not wanted.any():
            break


def read_news(connection: Connection, uid: str, after: int) -> list[Event]:
    """See Store.read_news."""
    found: list[Event] = []
    while events := read_events(connection, uid, after, _READ_BYTES):
        found += events
        after = events[-1].sequence
    return found


def read_records(
    connection: Connection, uid: str, columns: TrialColumns, rows: NDArray[np.intp]
) -> list[TrialRecord]:
    """See Store.read_trials."""
    shown = rows.tolist()
    packs = _read_packs(connection, uid, np.unique(columns.packs[rows]).tolist())
    query = select(_T.trial_index, _T.failure_reason, _T.failure_message).where(
        _T.job_uid == uid, _T.trial_index.in_(shown), _T.failure_reason.is_not(None)
    )
    failures = {row[0]: to_failure(row[1], row[2]) for row in connection.execute(query)}
    adapted = adaptations_by_trial(connection, uid, shown)
    records: list[TrialRecord] = []
    for row in shown:
        pack = int(columns.packs[row])
        names, arithmetics = packs.get(pack, ((), ()))  # none: the job was deleted meanwhile
        measured = dict(zip(columns.metrics, columns.values[row].tolist(), strict=True))
        is_measured = columns.has_ended(row) or not np.isnan(columns.values[row]).all()
        records.append(
            TrialRecord(
                index=row,
                state=STATES[columns.states[row]],
                epochs=int(columns.epochs[row]),
                pack_index=None if pack == NO_PACK else pack,
                arithmetics=arithmetics,
                failure=failures.get(row),
                final_metrics={name: measured[name] for name in names} if is_measured else {},
                adaptations=adapted[row],
            )
        )
    return records


def _read_packs(
    connection: Connection, uid: str, indices: Sequence[int]
) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The metrics and the arithmetics of these packs."""
    query = select(_P.pack_index, _P.metrics, _P.arithmetics)
    rows = connection.execute(query.where(_P.job_uid == uid, _P.pack_index.in_(indices)))
    return {
        index: (tuple(metrics.split(",")), tuple(json.loads(arithmetics or "[]")))
        for index, metrics, arithmetics in rows
    }
