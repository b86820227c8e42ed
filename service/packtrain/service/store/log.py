"""The event log of a job: an append-only sequence, the one source of truth for watchers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, insert, select, update

from packtrain.service.records import (
    Adaptation,
    Event,
    EventBody,
    Failure,
    JobChanged,
    MetricsRecorded,
    TrialsAdapted,
    TrialsChanged,
)
from packtrain.service.results.columns import last_measured
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import schema
from packtrain.service.store.notices import announce

# A message of the watch carries one event, and clients read 4 MiB at most by default.
MAX_EVENT_BYTES = 1 << 20
# Each has a few paths and numbers.
_ADAPTATIONS_AT_A_TIME = 2_000


def now_microseconds() -> int:
    """The time as the tables keep it."""
    return int(datetime.now(UTC).timestamp() * 1e6)


def to_time(microseconds: int) -> datetime:
    """A table's time."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def to_failure(reason: str | None, message: str | None) -> Failure | None:
    """A row's failure, if it has one."""
    return None if reason is None else Failure(reason, message or "")


def append_events(connection: Connection, uid: str, bodies: list[EventBody]) -> None:
    """Append to the job's log, in the transaction of what they tell, and announce it."""
    pieces = [piece for body in bodies for piece in _split(body)]
    if not pieces:
        return
    last = connection.execute(
        update(schema.jobs)
        .where(schema.jobs.c.uid == uid)
        .values(last_sequence=schema.jobs.c.last_sequence + len(pieces))
        .returning(schema.jobs.c.last_sequence)
    ).scalar_one()
    time = now_microseconds()
    first = last - len(pieces) + 1
    # All rows of one statement name the same columns.
    rows = [
        _EMPTY | {"job_uid": uid, "sequence": first + i, "time": time} | _encode(body)
        for i, body in enumerate(pieces)
    ]
    connection.execute(insert(schema.events), rows)
    announce(connection, uid)


def read_events(
    connection: Connection, uid: str, after: int, max_bytes: int, metrics_only: bool = False
) -> list[Event]:
    """The events after sequence ``after``, at least one if there is one, up to ``max_bytes``."""
    table = schema.events
    query = select(table).where(table.c.job_uid == uid, table.c.sequence > after)
    if metrics_only:
        query = query.where(table.c.kind == "metrics")
    found: list[Event] = []
    size = 0
    result = connection.execute(
        query.order_by(table.c.sequence).execution_options(yield_per=8, max_row_buffer=8)
    )
    for row in result:
        found.append(Event(row.sequence, to_time(row.time), _decode(row)))
        size += 200 + len(row._mapping["values"] or b"") + len(row.trials or b"")
        if size >= max_bytes:
            break
    result.close()
    return found


def last_values(
    connection: Connection, uid: str, trials: set[int]
) -> dict[int, NDArray[np.float32]]:
    """What was measured last, (metrics,), of each of these trials of which something was."""
    values: dict[int, NDArray[np.float32]] = {}
    if not trials:
        return values
    for block in read_blocks_backwards(connection, uid):
        rows, last = last_measured(block.values)
        for trial, found in zip(block.trials[rows].tolist(), last, strict=True):
            if trial in trials and trial not in values:
                values[trial] = found
        if len(values) == len(trials):
            break
    return values


def read_blocks_backwards(connection: Connection, uid: str) -> Iterator[MetricsRecorded]:
    """The job's blocks of metrics, the last one first, each read when it is asked for."""
    table = schema.events
    with connection.execute(
        select(table)
        .where(table.c.job_uid == uid, table.c.kind == "metrics")
        .order_by(table.c.sequence.desc())
        .execution_options(yield_per=1)
    ) as rows:
        for row in rows:
            block = _decode(row)
            assert isinstance(block, MetricsRecorded)
            yield block


def _split(body: EventBody) -> Iterator[EventBody]:
    """Pieces of at most MAX_EVENT_BYTES: by trials, and by epochs where one trial is too long."""
    if isinstance(body, TrialsChanged):
        step = MAX_EVENT_BYTES // 8
        for start in range(0, len(body.trials), step):
            cut = slice(start, start + step)
            yield TrialsChanged(body.state, body.trials[cut], body.epochs[cut], body.failure)
    elif isinstance(body, MetricsRecorded):
        trials, epochs, metrics = body.values.shape
        epoch_step = max(1, min(epochs, MAX_EVENT_BYTES // (4 * max(1, metrics))))
        trial_step = max(1, MAX_EVENT_BYTES // (4 * max(1, metrics) * epoch_step))
        for epoch in range(0, epochs, epoch_step):
            for trial in range(0, trials, trial_step):
                rows = slice(trial, trial + trial_step)
                values = body.values[rows, epoch : epoch + epoch_step]
                yield MetricsRecorded(
                    body.trials[rows], body.first_epoch + epoch, body.names, values
                )
    elif isinstance(body, TrialsAdapted):
        for start in range(0, len(body.adaptations), _ADAPTATIONS_AT_A_TIME):
            yield TrialsAdapted(body.adaptations[start : start + _ADAPTATIONS_AT_A_TIME])
    else:
        yield body


_EMPTY: dict[str, Any] = {
    c.name: None for c in schema.events.columns if c.name not in ("job_uid", "sequence", "time")
}


def _encode(body: EventBody) -> dict[str, Any]:
    if isinstance(body, MetricsRecorded):
        return {
            "kind": "metrics",
            "trials": body.trials.astype("<i4").tobytes(),
            "first_epoch": body.first_epoch,
            "metrics": ",".join(body.names),
            "values": np.ascontiguousarray(body.values, "<f4").tobytes(),
        }
    if isinstance(body, TrialsAdapted):
        told = [[a.epoch, a.trial, a.copied_trial, a.parameters] for a in body.adaptations]
        return {"kind": "adapted", "values": json.dumps(told).encode()}
    failure = body.failure
    row: dict[str, Any] = {
        "kind": "job",
        "state": body.state.value,
        "failure_reason": failure.reason if failure else None,
        "failure_message": failure.message if failure else None,
    }
    if isinstance(body, TrialsChanged):
        row |= {
            "kind": "trials",
            "trials": body.trials.astype("<i4").tobytes(),
            "epochs": body.epochs.astype("<i4").tobytes(),
        }
    return row


def _decode(row: Row[Any]) -> EventBody:
    if row.kind == "metrics":
        trials = np.frombuffer(row.trials, "<i4")
        names = tuple(row.metrics.split(",")) if row.metrics else ()
        # Through the mapping: a Row has attributes of its own.
        values = np.frombuffer(row._mapping["values"], "<f4")
        shaped = values.reshape(len(trials), -1, len(names))
        return MetricsRecorded(trials, row.first_epoch, names, shaped)
    if row.kind == "adapted":
        return TrialsAdapted(tuple(Adaptation(*a) for a in json.loads(row._mapping["values"])))
    failure = to_failure(row.failure_reason, row.failure_message)
    if row.kind == "trials":
        trials, epochs = (np.frombuffer(b, "<i4") for b in (row.trials, row.epochs))
        return TrialsChanged(TrialState(row.state), trials, epochs, failure)
    return JobChanged(JobState(row.state), failure)
