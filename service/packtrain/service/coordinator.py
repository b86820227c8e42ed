"""Decides which jobs train.

It holds no truth: whatever it knows is made anew from the store, so that a service that died goes
on when it is started again. Cancelling, pausing and fair shares happen between segments.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from packtrain.service.contract import Planner
from packtrain.service.errors import (
    IllegalTransitionError,
    NotFoundError,
    StoreUnavailableError,
)
from packtrain.service.job_training import JobTraining
from packtrain.service.records import ActiveJob, Failure
from packtrain.service.slots import FairSlots
from packtrain.service.states import JobState
from packtrain.service.store import Store
from packtrain.workers import Engine

log = structlog.get_logger()

# Held in memory at a time, and so with a fair share each; the rest wait in the store. A trial
# takes about 100 bytes.
_MAX_ACTIVE_JOBS = 1_000
_MAX_ACTIVE_TRIALS = 4_000_000
_STORE_RETRY_SECONDS = 1.0
# A node takes a minute to come: so often is often enough to say how many workers are wanted.
_DEMAND_SECONDS = 1.0


class Coordinator:
    """Owns the training of all jobs of one store, from :meth:`run` until that is cancelled."""

    def __init__(self, store: Store, engine: Engine, planner: Planner, models_dir: Path) -> None:
        self._store = store
        self._engine = engine
        self._planner = planner
        self._models_dir = models_dir
        self._slots = FairSlots(lambda: engine.workers)
        self._jobs: dict[str, JobTraining] = {}
        self._trials = 0
        # Held from reading the store until that is done: what is done last is what it said last.
        self._reading = asyncio.Lock()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be a new job, or the engine has changed."""
        self._wake.set()
        self._slots.refresh()

    async def follow(self, uid: str) -> None:
        """The job has changed in the store: when this returns its training goes by that."""
        async with self._reading:
            if uid in self._jobs:
                self._obey(uid, await self._store.find_active_job(uid))
        self.wake()

    def _obey(self, uid: str, job: ActiveJob | None) -> None:
        run = self._jobs.get(uid)
        if run is None:
            return  # it has ended meanwhile
        if job is not None:
            self._slots.set_priority(uid, job.priority)
        if job is not None and job.state is JobState.PAUSED:
            self._slots.hold(uid)
            return
        if job is None or job.state is JobState.CANCELLING:
            run.stop()
        self._slots.release(uid)

    async def run(self) -> None:
        """Train whatever there is, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_demand())
            while True:
                self._wake.clear()
                try:
                    async with self._reading:
                        found = await self._store.active_jobs(2 * _MAX_ACTIVE_JOBS)
                        for run in self._begin_jobs(found):
                            tasks.create_task(self._run_job(run))
                except StoreUnavailableError as error:
                    log.warning("store_unavailable", error=error.message)
                    await asyncio.sleep(_STORE_RETRY_SECONDS)
                    self._wake.set()
                    continue
                await self._wake.wait()

    async def _tell_demand(self) -> None:
        while True:
            self._engine.want_workers(self._slots.demand)
            await asyncio.sleep(_DEMAND_SECONDS)

    def _begin_jobs(self, found: Sequence[ActiveJob]) -> Iterator[JobTraining]:
        """Those of the jobs that are not begun yet, as far as there is room."""
        is_crowded = False
        for job in found:
            if job.uid in self._jobs:
                continue
            if not self._has_room(job):
                is_crowded = True
                continue
            self._trials += job.trials
            self._jobs[job.uid] = run = self._begin(job)
            self._slots.set_priority(job.uid, job.priority)
            yield run
        if is_crowded:
            self._put_away()

    def _has_room(self, job: ActiveJob) -> bool:
        trials = self._trials + job.trials
        fits = trials <= _MAX_ACTIVE_TRIALS and len(self._jobs) < _MAX_ACTIVE_JOBS
        return fits or not self._jobs

    def _put_away(self) -> None:
        """Let a paused job go, whose room others need: resumed, it begins anew from the store."""
        for uid, run in self._jobs.items():
            if self._slots.is_held(uid):
                run.stop()
                self._slots.release(uid)
                return

    def _begin(self, job: ActiveJob) -> JobTraining:
        return JobTraining(
            job, self._store, self._engine, self._slots, self._planner, self._models_dir / job.uid
        )

    async def _run_job(self, run: JobTraining) -> None:
        uid = run.job.uid
        try:
            await run.train()
        except StoreUnavailableError as error:
            log.warning("store_unavailable", job=run.job.job_id, error=error.message)
            await asyncio.sleep(_STORE_RETRY_SECONDS)
        except (IllegalTransitionError, NotFoundError) as error:
            # A call has changed, cancelled or deleted it meanwhile: the store has the last word.
            log.info("job_left", job=run.job.job_id, reason=error.reason)
        except Exception:
            log.exception("job_crashed", job=run.job.job_id)
            failure = Failure("INTERNAL", "the service could not train this job; see its log")
            # The store may be the reason: then the job is tried again, and ends no other one.
            with contextlib.suppress(StoreUnavailableError):
                await run.fail(failure)
        finally:
            del self._jobs[uid]
            self._trials -= run.job.trials
            self._slots.forget(uid)
            self._wake.set()
