"""The store: jobs, packs, ended trials and event logs, durable before a method returns.

Every transition is one statement guarded by the state that it leaves, with its event in the same
transaction. Only this package knows SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from packtrain.service.records import (
    ActiveJob,
    Adaptation,
    CheckpointRecord,
    Event,
    JobRecord,
    JobUpdate,
    Lessons,
    LogPart,
    NewJob,
    PackRecord,
    Proposal,
    RequestKey,
    Retry,
    TrialRecord,
)
from packtrain.service.results.columns import TrialColumns
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import (
    changes,
    checkpoints,
    endings,
    jobs,
    log,
    proposals,
    training,
    trial_columns,
)
from packtrain.service.store.adaptations import list_adaptations
from packtrain.service.store.database import Database
from packtrain.service.store.identity import read_identity
from packtrain.service.store.owned_job import OwnedJob
from packtrain.service.store.replicas import Replicas


class Store:
    """Everything durable, by domain words. All methods may raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self.replicas = Replicas(database)
        self._database = database
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        # Under way, by the job and the sequence after which they read.
        self._reads: dict[str, dict[int, asyncio.Task[LogPart | None]]] = defaultdict(dict)
        self._is_closing = False

    @property
    def is_closing(self) -> bool:
        """Whether watchers should come to their end, wherever they are."""
        return self._is_closing

    def end_watches(self) -> None:
        """The server stops: wake all listeners, to find the store closing."""
        self._is_closing = True
        for uid in list(self._listeners):
            self._tell(uid)

    @contextlib.contextmanager
    def listen(self, uid: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something is appended to the job's log."""
        changed = asyncio.Event()
        self._listeners[uid].add(changed)
        try:
            yield changed
        finally:
            self._listeners[uid].discard(changed)
            if not self._listeners[uid]:
                del self._listeners[uid]

    async def hear_others(self, on_change: Callable[[str | None], None]) -> None:
        """Until cancelled: wake listeners for what other processes append to the logs of the same
        store, and call ``on_change`` with the uid of each job that they change, or with None where
        any may have been changed: at first, after the store was gone, and every few seconds."""

        def hear(uid: str | None) -> None:
            for changed in list(self._listeners) if uid is None else [uid]:
                self._tell(changed)
            on_change(uid)

        await self._database.hear(hear)

    def _tell_of(self, record: JobRecord | None) -> None:
        if record is not None:
            self._tell(record.uid)

    def _tell(self, uid: str) -> None:
        # A read that began before may miss what is told of: nobody else joins it.
        self._reads.pop(uid, None)
        for changed in self._listeners.get(uid, ()):
            changed.set()

    async def read_identity(self) -> str:
        """The store's own id, which no other store has."""
        return await self._database.read(read_identity)

    # Jobs

    async def create_job(
        self, job: NewJob, request: RequestKey | None, owner: str | None = None
    ) -> JobRecord:
        """The new job, or, for a repeated request, the job of the first time. ``owner`` is the
        replica that trains it; None: whoever claims it.

        Raises AlreadyExistsError, InvalidSpecError (the request id was used otherwise).
        """
        return await self._database.write(
            partial(training.create_job, job=job, request=request, owner=owner)
        )

    async def repeated(self, request: RequestKey) -> JobRecord | None:
        """The job that this very request brought about before, if it did."""
        return await self._database.read(partial(jobs.find_repeated, request=request))

    async def repeated_target(self, request: RequestKey) -> str | None:
        """What this very request, of something else than a job, was for, if it came before."""
        return await self._database.read(partial(jobs.repeated_uid, request=request))

    async def remember(self, request: RequestKey, target: str) -> None:
        """The request, of something else than a job, is about to be carried out. ``target`` names
        what it is for in 32 characters at most."""
        await self._database.write(partial(jobs.remember_alone, request=request, target=target))

    async def get_job(self, job_id: str) -> JobRecord:
        """Raises NotFoundError."""
        return await self._database.read(partial(jobs.get_job, job_id=job_id))

    def get_job_blocking(self, job_id: str) -> JobRecord:
        """As :meth:`get_job`, for threads."""
        return self._database.read_blocking(partial(jobs.get_job, job_id=job_id))

    async def check_free(self, job_id: str) -> None:
        """Raises AlreadyExistsError where there is a job of this name."""
        await self._database.read(partial(jobs.check_free, job_id=job_id))

    async def job_position(self, uid: str) -> tuple[JobState, int] | None:
        """The job's state and the last sequence of its log; None where it was deleted."""
        return await self._database.read(partial(jobs.job_position, uid=uid))

    async def list_jobs(
        self,
        limit: int,
        before: int | None,
        states: Sequence[JobState],
        labels: Mapping[str, str] | None = None,
    ) -> list[JobRecord]:
        """Newest first; those older than order ``before``, with all of ``labels``."""
        return await self._database.read(
            partial(
                jobs.list_jobs,
                limit=limit,
                before=before,
                states=tuple(states),
                labels=labels or {},
            )
        )

    async def active_jobs(self, owner: str, limit: int) -> list[ActiveJob]:
        """Jobs that have neither ended nor are paused, and are ``owner``'s or nobody's: those begun
        first, then by their priority and their order."""
        return await self._database.read(partial(jobs.active_jobs, owner=owner, limit=limit))

    async def find_active_jobs(self, uids: Sequence[str]) -> dict[str, ActiveJob]:
        """Those of these jobs, paused or not, that have not ended."""
        return await self._database.read(partial(jobs.find_active_jobs, uids=tuple(uids)))

    def owned_job(self, uid: str, owner: str) -> OwnedJob:
        """The job as the replica that owns it may write it."""
        return OwnedJob(uid, owner, self._database, partial(self._tell, uid))

    async def datasets_in_use(self) -> set[str]:
        """Digests of the datasets of all jobs that have not ended."""
        return await self._database.read(jobs.datasets_in_use)

    async def networks_in_use(self) -> set[str]:
        """Digests of the networks that jobs begin from: ended ones may get more to train."""
        return await self._database.read(jobs.networks_in_use)

    async def cancel_job(self, job_id: str, request: RequestKey | None) -> JobRecord:
        """QUEUED to CANCELLED, RUNNING and PAUSED to CANCELLING. Raises
        IllegalTransitionError."""
        return await self._change(partial(endings.cancel_job, job_id=job_id, request=request))

    async def pause_job(self, job_id: str, request: RequestKey | None) -> JobRecord:
        """QUEUED or RUNNING to PAUSED. Raises NotFoundError, IllegalTransitionError."""
        return await self._change(partial(changes.pause_job, job_id=job_id, request=request))

    async def resume_job(self, job_id: str, request: RequestKey | None) -> JobRecord:
        """PAUSED to RUNNING, or to QUEUED where nothing was begun. Raises NotFoundError,
        IllegalTransitionError."""
        return await self._change(partial(changes.resume_job, job_id=job_id, request=request))

    async def update_job(
        self, job_id: str, change: JobUpdate, request: RequestKey | None
    ) -> JobRecord:
        """Change it; one that has ended and gets more to train is RUNNING.

        Raises NotFoundError, InvalidSpecError (too many labels), IllegalTransitionError (it was
        cancelled), EtagMismatchError (also where the extension is for another generation).
        """
        return await self._change(
            partial(changes.update_job, job_id=job_id, change=change, request=request)
        )

    async def retry_job(self, job_id: str, retry: Retry, request: RequestKey | None) -> JobRecord:
        """Trials that FAILED are QUEUED; a job that has ended is RUNNING. Raises as
        :meth:`update_job`."""
        return await self._change(
            partial(changes.retry_job, job_id=job_id, retry=retry, request=request)
        )

    async def _change(self, transaction: Callable[[Connection], JobRecord]) -> JobRecord:
        return await self._database.write(transaction, self._tell_of)

    async def delete_job(
        self, job_id: str, etag: str, request: RequestKey | None
    ) -> JobRecord | None:
        """Delete a job that has ended, with all that is its own; None: this request did so before.

        Raises NotFoundError, IllegalTransitionError, EtagMismatchError.
        """
        return await self._database.write(
            partial(jobs.delete_job, job_id=job_id, etag=etag, request=request), self._tell_of
        )

    async def all_uids(self) -> set[str]:
        """Of every job there is."""
        return await self._database.read(jobs.all_uids)

    # Training

    async def list_packs(self, uid: str) -> list[PackRecord]:
        """In the order of their index."""
        return await self._database.read(partial(training.list_packs, uid=uid))

    async def ended_trials(self, uid: str) -> dict[int, TrialState]:
        """The trials that have ended, by index, and how."""
        return await self._database.read(partial(training.ended_trials, uid=uid))

    async def list_adaptations(self, uid: str) -> list[Adaptation]:
        """What trials of a population copied, by epoch and trial."""
        return await self._database.read(partial(list_adaptations, uid=uid))

    async def list_checkpoints(self, uid: str) -> list[CheckpointRecord]:
        """Those of all the job's packs, the latest epoch first."""
        return await self._database.read(partial(checkpoints.list_checkpoints, uid=uid))

    async def checkpoints_in_use(self) -> dict[str, set[str]]:
        """The names of all checkpoints, by the uid of each job that has not ended."""
        return await self._database.read(checkpoints.checkpoints_in_use)

    async def count_proposed(self, uid: str) -> int:
        """How many assignments the job's algorithm has proposed, if it learns."""
        return await self._database.read(partial(proposals.count_proposed, uid=uid))

    async def list_proposals(self, uid: str) -> list[Proposal]:
        """What the job's algorithm has proposed, in its order."""
        return await self._database.read(partial(proposals.list_proposals, uid=uid))

    async def find_lessons(self, uid: str) -> Lessons | None:
        """What the job began with of another's results."""
        return await self._database.read(partial(proposals.find_lessons, uid=uid))

    def read_results_blocking(
        self, job: JobRecord, states: Sequence[TrialState]
    ) -> tuple[list[TrialRecord], list[Proposal]]:
        """The trials of these states, and what the job's algorithm has proposed; for threads."""
        return self._database.read_blocking(
            partial(proposals.read_results, job=job, states=tuple(states))
        )

    async def list_trials(
        self, job: JobRecord, first: int, limit: int, states: Sequence[TrialState]
    ) -> list[TrialRecord]:
        """Trials from index ``first``, in their order, ended or not."""
        return await self._database.read(
            partial(training.list_trials, job=job, first=first, limit=limit, states=tuple(states))
        )

    def list_trials_blocking(self, job: JobRecord, first: int, limit: int) -> list[TrialRecord]:
        """As :meth:`list_trials` in all states, for threads."""
        return self._database.read_blocking(
            partial(training.list_trials, job=job, first=first, limit=limit, states=())
        )

    async def load_trial_columns(self, job: JobRecord) -> TrialColumns:
        """All trials of the job as they stand, without parameters, which the store can't read."""
        return await self._database.read(partial(trial_columns.load_columns, job=job))

    async def find_packs_of_trials(self, job: JobRecord) -> NDArray[np.int32]:
        """The last pack of each trial, (trials,); -1 where it is in none yet."""
        return await self._database.read(partial(trial_columns.find_packs, job=job))

    async def read_news(self, uid: str, after: int) -> list[Event]:
        """Everything in the log after sequence ``after``."""
        return await self._database.read(partial(trial_columns.read_news, uid=uid, after=after))

    async def read_trials(
        self, uid: str, columns: TrialColumns, rows: NDArray[np.intp]
    ) -> list[TrialRecord]:
        """The trials of these indices, in their order, as the columns have them."""
        return await self._database.read(
            partial(trial_columns.read_records, uid=uid, columns=columns, rows=rows)
        )

    # Events

    async def read_log(self, uid: str, after: int, max_bytes: int) -> LogPart | None:
        """The job's state and its log after sequence ``after``, about ``max_bytes`` of it; None
        where the job was deleted. Those who ask for the same at a time share one read."""
        reads = self._reads[uid]
        read = reads.get(after)
        if read is None:
            query = partial(jobs.read_log, uid=uid, after=after, max_bytes=max_bytes)
            reads[after] = read = asyncio.create_task(self._database.read(query))
            read.add_done_callback(partial(self._finish_read, uid, after))
        return await asyncio.shield(read)

    def _finish_read(self, uid: str, after: int, read: asyncio.Task[LogPart | None]) -> None:
        if not read.cancelled():
            read.exception()  # told to those who ask, if there still are any
        if self._reads.get(uid, {}).get(after) is read:
            del self._reads[uid][after]
            if not self._reads[uid]:
                del self._reads[uid]

    async def read_events(
        self, uid: str, after: int, max_bytes: int, *, metrics_only: bool = False
    ) -> list[Event]:
        """The log after sequence ``after``: about ``max_bytes`` of it; empty at its end."""
        return await self._database.read(
            partial(
                log.read_events,
                uid=uid,
                after=after,
                max_bytes=max_bytes,
                metrics_only=metrics_only,
            )
        )

    def close(self) -> None:
        """Wait for what is under way, and close."""
        self._database.close()
