"""Watching: replay a job's log from any point, then follow it, at the reader's own pace."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from packtrain.service.errors import (
    InvalidSpecError,
    NotFoundError,
    ServerStoppingError,
    Violation,
)
from packtrain.service.records import (
    Event,
    JobRecord,
    LogPart,
    MetricsRecorded,
    TrialsAdapted,
    TrialsChanged,
)
from packtrain.service.results.columns import unknown_field
from packtrain.service.states import ENDED_JOB_STATES
from packtrain.service.store import Store

# What a watcher holds at a time.
_READ_BYTES = 2 << 20

Body = TypeVar("Body")


def write_token(uid: str, sequence: int) -> str:
    """The token after which a later watch goes on."""
    return base64.urlsafe_b64encode(f"{uid}:{sequence}".encode()).decode()


def read_token(token: str, uid: str) -> int:
    """The sequence of a token of this very job; 0 for none. Raises InvalidSpecError."""
    if not token:
        return 0
    try:
        token_uid, _, sequence = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
    except (ValueError, binascii.Error):
        token_uid = sequence = ""
    if token_uid != uid or not sequence.isdecimal() or len(sequence) > 18:
        description = "is no token of this job (was the job deleted and created again?)"
        raise InvalidSpecError.of([Violation("resume_token", description)])
    return int(sequence)


@dataclass(frozen=True)
class Filter:
    """Which metrics are told, and of which trials; empty: all."""

    trials: frozenset[int] = frozenset()
    metrics: tuple[str, ...] = ()

    @classmethod
    def of(cls, job: JobRecord, trials: Sequence[int], metrics: Sequence[str]) -> Filter:
        """Raises InvalidSpecError for a trial or a metric that the job has not."""
        violations = [
            Violation(f"trials[{i}]", f"must be 0 to {job.trials - 1}, not {trial}")
            for i, trial in enumerate(trials)
            if not 0 <= trial < job.trials
        ] + [
            Violation(f"metrics[{i}]", unknown_field(name, job.metrics))
            for i, name in enumerate(metrics)
            if name not in job.metrics
        ]
        if violations:
            raise InvalidSpecError.of(violations)
        return cls(frozenset(trials), tuple(metrics))

    def apply(self, event: Event) -> Event | None:
        """The event with what was asked for; None where nothing of it was."""
        body = event.body
        if isinstance(body, MetricsRecorded):
            block = self.select(body)
            return None if block is None else replace(event, body=block)
        if isinstance(body, TrialsChanged) and self.trials:
            rows = np.flatnonzero(np.isin(body.trials, list(self.trials)))
            if len(rows) == 0:
                return None
            kept = replace(body, trials=body.trials[rows], epochs=body.epochs[rows])
            return replace(event, body=kept)
        if isinstance(body, TrialsAdapted) and self.trials:
            told = tuple(a for a in body.adaptations if a.trial in self.trials)
            return replace(event, body=TrialsAdapted(told)) if told else None
        return event

    def select(self, block: MetricsRecorded) -> MetricsRecorded | None:
        """The part of a block that was asked for."""
        if self.trials:
            rows = np.flatnonzero(np.isin(block.trials, list(self.trials)))
            if len(rows) == 0:
                return None
            block = replace(block, trials=block.trials[rows], values=block.values[rows])
        if self.metrics:
            columns = [i for i, name in enumerate(block.names) if name in self.metrics]
            if not columns:
                return None
            names = tuple(block.names[i] for i in columns)
            block = replace(block, names=names, values=block.values[:, :, columns])
        return block


class Told(NamedTuple):
    """What a watcher is told: an event, or None for a heartbeat, and the sequence after which it
    may go on."""

    sequence: int
    event: Event | None


async def watch_job(
    store: Store,
    job: JobRecord,
    after: int,
    chosen: Filter,
    heartbeat_seconds: float,
    *,
    follow: bool,
) -> AsyncIterator[Told]:
    """The job's events after sequence ``after``, each once, in order, as far as they were chosen;
    a heartbeat wherever nothing was told for ``heartbeat_seconds``.

    Ends when the job has ended, or, without ``follow``, where the log ends now. A server that
    stops tells with a last heartbeat where to go on. Raises
    NotFoundError when the job is deleted meanwhile, InvalidSpecError where the log is shorter
    than ``after``, ServerStoppingError.
    """
    clock = asyncio.get_running_loop().time
    told = clock()
    with store.listen(job.uid) as changed:
        while True:
            changed.clear()
            is_closing = store.is_closing
            part = await _read_log(store, job, after)
            for event in part.events:
                after = event.sequence
                shown = chosen.apply(event)
                # What is left out is no sign of life, and the next cut should not replay it.
                if shown is not None or clock() - told >= heartbeat_seconds:
                    yield Told(after, shown)
                    told = clock()
            is_at_end = after == part.last
            if is_at_end and (part.state in ENDED_JOB_STATES or not follow):
                return
            if is_closing:
                # Where to go on, also where all of late was left out.
                yield Told(after, None)
                raise _stopping()
            if not is_at_end:
                continue
            try:
                async with asyncio.timeout_at(told + heartbeat_seconds):
                    await changed.wait()
            except TimeoutError:
                yield Told(after, None)
                told = clock()


def _stopping() -> ServerStoppingError:
    return ServerStoppingError(
        "SERVER_STOPPING",
        "the server stops; the watch can be resumed with its last resume_token",
        retry_seconds=1.0,
    )


async def _read_log(store: Store, job: JobRecord, after: int) -> LogPart:
    part = await store.read_log(job.uid, after, _READ_BYTES)
    if part is None:
        raise NotFoundError("JOB_NOT_FOUND", f"jobs/{job.job_id} was deleted")
    if after > part.last:
        raise InvalidSpecError.of([Violation("resume_token", "is ahead of the job's log")])
    return part
