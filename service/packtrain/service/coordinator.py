"""Decides which jobs train.

It holds no truth: whatever it knows is made anew from the store, so that a service that died goes
on when it is started again, and another replica goes on with the jobs of one that died. Cancelling,
pausing and fair shares happen between segments.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from packtrain.service.artifacts import Artifacts
from packtrain.service.contract import Planner
from packtrain.service.errors import (
    IllegalTransitionError,
    NotFoundError,
    NotOwnerError,
    StoreUnavailableError,
)
from packtrain.service.job_training import JobTraining
from packtrain.service.pack_run import LEAST_SAVE_SECONDS
from packtrain.service.records import ActiveJob, Failure
from packtrain.service.replica import Replica
from packtrain.service.slots import FairSlots
from packtrain.service.states import JobState
from packtrain.service.store import Store
from packtrain.workers import Engine, Reminder

log = structlog.get_logger()

# Held in memory at a time, and so with a fair share each; the rest wait in the store. A trial
# takes about 100 bytes.
_MAX_ACTIVE_JOBS = 1_000
_MAX_ACTIVE_TRIALS = 4_000_000
# Read at a time: of a thousand at once the first would train when nearly all are read, and calls
# would wait for all of them.
_OPENING_JOBS = 4
_STORE_RETRY_SECONDS = 1.0
# A node takes a minute to come: so often is often enough to say how many workers are wanted.
_DEMAND_SECONDS = 1.0
# The net under what other replicas tell: they change our jobs, and leave theirs to us.
_LOOK_SECONDS = 1.0
# Jobs whose algorithms propose at a time: they share one interpreter.
_PROPOSING_JOBS = 2


class Coordinator:
    """Trains the jobs that ``replica`` owns, from :meth:`run` until that is cancelled."""

    def __init__(
        self,
        store: Store,
        replica: Replica,
        engine: Engine,
        planner: Planner,
        models_dir: Path,
        artifacts: Artifacts,
        least_save_seconds: float = LEAST_SAVE_SECONDS,
    ) -> None:
        self._store = store
        self._replica = replica
        self._engine = engine
        self._planner = planner
        self._models_dir = models_dir
        self._artifacts = artifacts
        self._least_save_seconds = least_save_seconds
        self._slots = FairSlots(lambda: engine.workers if replica.may_train else 0)
        self._opening = asyncio.Semaphore(_OPENING_JOBS)
        # Turns at proposing, for algorithms that learn: by the same rules.
        self._proposing = FairSlots(lambda: _PROPOSING_JOBS if replica.may_train else 0)
        self._jobs: dict[str, JobTraining] = {}
        self._training: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._trials = 0
        # Held from reading the store until that is done: what is done last is what it said last.
        self._reading = asyncio.Lock()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be a new job, or the engine has changed."""
        self._wake.set()
        self._slots.refresh()

    @property
    def demand(self) -> int:
        """How many workers its jobs could use now."""
        return self._slots.demand

    def owner_of_new(self, trials: int) -> str | None:
        """Who is to own a job that is created here, of so many trials; None: whoever claims it."""
        return self._replica.id if self._has_room(trials) else None

    def let_go(self) -> None:
        """The replica was taken for dead: its jobs are others' now."""
        for uid, run in self._jobs.items():
            run.stop()
            self._slots.release(uid)

    def hear(self, uid: str | None) -> None:
        """Another replica has changed the job, or, None, any of them."""
        # Each segment that another records is told of too: they are none of ours.
        if uid is None or uid in self._jobs:
            self.wake()

    async def follow(self, uid: str) -> None:
        """The job has changed in the store: when this returns its training goes by that."""
        async with self._reading:
            if uid in self._jobs:
                await self._follow([uid])
        self.wake()

    async def _follow(self, uids: Sequence[str]) -> None:
        found = await self._store.find_active_jobs(uids)
        for uid in uids:
            if uid in self._jobs:  # it may have ended meanwhile
                self._obey(self._jobs[uid], found.get(uid))

    def _obey(self, run: JobTraining, job: ActiveJob | None) -> None:
        uid = run.job.uid
        if job is not None and job.owner != run.job.owner:
            job = None
        if job is not None:
            self._set_priority(uid, job.priority)
        if job is not None and job.state is JobState.PAUSED:
            self._slots.hold(uid)
            self._proposing.hold(uid)
            return
        if job is None or job.state is JobState.CANCELLING:
            run.stop()
        self._release(uid)

    def _set_priority(self, uid: str, priority: int) -> None:
        self._slots.set_priority(uid, priority)
        self._proposing.set_priority(uid, priority)

    def _release(self, uid: str) -> None:
        self._slots.release(uid)
        self._proposing.release(uid)

    async def run(self) -> None:
        """Train whatever there is, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_demand())
            reminder = Reminder()
            while True:
                self._wake.clear()
                try:
                    async with self._reading:
                        for run in self._begin_jobs(await self._find_jobs()):
                            task = tasks.create_task(self._run_job(run))
                            self._training.add(task)
                            task.add_done_callback(self._training.discard)
                    reminder.clear()
                except StoreUnavailableError as error:
                    if reminder.is_due(error.message, asyncio.get_running_loop().time()):
                        log.warning("store_unavailable", error=error.message)
                    await asyncio.sleep(_STORE_RETRY_SECONDS)
                    self._wake.set()
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS if self._replica.is_shared else None):
                        await self._wake.wait()

    async def stop(self, patience_seconds: float) -> None:
        """Before :meth:`run` is cancelled: hand out no further segment, let those end that are
        under way and record them, and save the states, as far as ``patience_seconds`` allow."""
        self._is_stopping = True
        for run in self._jobs.values():
            run.stop(saves=True)
        if self._training:
            _, late = await asyncio.wait(self._training, timeout=patience_seconds)
            if late:
                log.warning("jobs_not_saved", jobs=len(late), seconds=patience_seconds)

    async def _find_jobs(self) -> list[ActiveJob]:
        """The replica's jobs, those that it claims now among them."""
        me = self._replica.id
        if me is None or self._is_stopping or not self._replica.may_train:
            return []
        if self._replica.is_shared and self._jobs:
            await self._follow(list(self._jobs))
        found = await self._store.active_jobs(me, 2 * _MAX_ACTIVE_JOBS)
        claimed = await self._claim(me, found)
        return [replace(job, owner=me) for job in found if job.owner == me or job.uid in claimed]

    async def _claim(self, me: str, found: Sequence[ActiveJob]) -> set[str]:
        """Claim what is nobody's, as far as there is room beside what is ours already."""
        waiting = sum(job.owner == me and job.uid not in self._jobs for job in found)
        room = _MAX_ACTIVE_JOBS - len(self._jobs) - waiting
        free = [job for job in found if job.owner is None]
        fitting = [job.uid for job in free if self._has_room(job.trials)][: max(0, room)]
        if len(fitting) < len(free):
            self._put_away()
        return await self._store.replicas.claim(me, fitting) if fitting else set()

    async def _tell_demand(self) -> None:
        while True:
            self._engine.want_workers(self.demand)
            await asyncio.sleep(_DEMAND_SECONDS)

    def _begin_jobs(self, found: Sequence[ActiveJob]) -> Iterator[JobTraining]:
        """Those of the jobs that are not begun yet, as far as there is room."""
        is_crowded = False
        for job in found:
            if job.uid in self._jobs:
                continue
            if not self._has_room(job.trials):
                is_crowded = True
                continue
            self._trials += job.trials
            self._jobs[job.uid] = run = self._begin(job)
            self._set_priority(job.uid, job.priority)
            yield run
        if is_crowded:
            self._put_away()

    def _has_room(self, trials: int) -> bool:
        fits = self._trials + trials <= _MAX_ACTIVE_TRIALS and len(self._jobs) < _MAX_ACTIVE_JOBS
        return fits or not self._jobs

    def _put_away(self) -> None:
        """Let a paused job go, whose room others need: resumed, it begins anew from the store."""
        for uid, run in self._jobs.items():
            if self._slots.is_held(uid):
                run.stop()
                self._release(uid)
                return

    def _begin(self, job: ActiveJob) -> JobTraining:
        assert job.owner is not None
        return JobTraining(
            job,
            self._store.owned_job(job.uid, job.owner),
            self._store,
            self._engine,
            self._opening,
            self._slots,
            self._proposing,
            self._planner,
            self._models_dir / job.uid,
            self._artifacts,
            self._least_save_seconds,
        )

    async def _run_job(self, run: JobTraining) -> None:
        uid = run.job.uid
        try:
            await run.train()
        except StoreUnavailableError as error:
            log.warning("store_unavailable", job=run.job.job_id, error=error.message)
            await asyncio.sleep(_STORE_RETRY_SECONDS)
        except (IllegalTransitionError, NotFoundError, NotOwnerError) as error:
            # A call has changed, cancelled or deleted it meanwhile, or another replica has taken it
            # over: the store has the last word.
            log.info("job_left", job=run.job.job_id, reason=error.reason)
        except Exception:
            log.exception("job_crashed", job=run.job.job_id)
            await self._fail(run)
        finally:
            del self._jobs[uid]
            self._trials -= run.job.trials
            self._slots.forget(uid)
            self._proposing.forget(uid)
            self._wake.set()

    async def _fail(self, run: JobTraining) -> None:
        failure = Failure("INTERNAL", "the service could not train this job; see its log")
        try:
            await run.fail(failure)
        except Exception:
            # Whatever the reason, it ends no other job: this one is tried again.
            log.exception("job_not_ended", job=run.job.job_id)
            await asyncio.sleep(_STORE_RETRY_SECONDS)
