"""Trains jobs: hands segments of packs to the engine, and records what comes back.

It holds no truth: whatever it knows is made anew from the store, so that a service that died goes
on when it is started again. Cancelling and fair shares happen between segments.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from packtrain.service.contract import Expansion, Planner
from packtrain.service.errors import (
    IllegalTransitionError,
    NotFoundError,
    ServiceError,
    StoreUnavailableError,
)
from packtrain.service.findings import find_learning_rates, measure_initial_cost
from packtrain.service.learning_rates import RateFinding
from packtrain.service.pack_run import PackRun, Recording
from packtrain.service.planner import TrialGroup
from packtrain.service.records import ActiveJob, Failure, JobRecord, PackRecord
from packtrain.service.slots import FairSlots
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import Store
from packtrain.workers import Engine, SegmentFailedError, StateLostError

log = structlog.get_logger()

# Held in memory at a time, and so with a fair share each; the rest wait in the store. A trial
# takes about 100 bytes.
_MAX_ACTIVE_JOBS = 1_000
_MAX_ACTIVE_TRIALS = 4_000_000
_STORE_RETRY_SECONDS = 1.0


class _JobRun:
    def __init__(self, job: ActiveJob) -> None:
        self.job = job
        self.cancelling = job.state is JobState.CANCELLING
        self._waiting: set[asyncio.Task[object]] = set()

    def cancel(self) -> None:
        self.cancelling = True
        for task in self._waiting:
            task.cancel()

    @contextlib.asynccontextmanager
    async def turn(self, slots: FairSlots) -> AsyncIterator[None]:
        """Wait for a turn, and hold it. Cancelling the job need not wait for a turn: it cancels
        the task, which must be one of the job's own in a task group."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            async with slots.turn(self.job.uid):
                self._waiting.discard(task)
                yield
        finally:
            self._waiting.discard(task)


class Coordinator:
    """Owns the training of all jobs of one store, from :meth:`run` until that is cancelled."""

    def __init__(self, store: Store, engine: Engine, planner: Planner, models_dir: Path) -> None:
        self._store = store
        self._engine = engine
        self._planner = planner
        self._models_dir = models_dir
        self._slots = FairSlots(lambda: engine.workers)
        self._jobs: dict[str, _JobRun] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be a new job, or the engine has changed."""
        self._wake.set()
        self._slots.refresh()

    def cancel(self, uid: str) -> None:
        """The store says that the job is CANCELLING: stop it after its running segments."""
        run = self._jobs.get(uid)
        if run is not None:
            run.cancel()
        self.wake()

    async def run(self) -> None:
        """Train whatever there is, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                try:
                    found = await self._store.active_jobs(2 * _MAX_ACTIVE_JOBS)
                except StoreUnavailableError as error:
                    log.warning("store_unavailable", error=error.message)
                    await asyncio.sleep(_STORE_RETRY_SECONDS)
                    self._wake.set()
                    continue
                for job in found:
                    run = self._jobs.get(job.uid)
                    if run is not None and job.state is JobState.CANCELLING:
                        # Cancelled between being read here and being known to cancel().
                        run.cancel()
                    elif run is None and self._has_room(job):
                        self._jobs[job.uid] = run = _JobRun(job)
                        tasks.create_task(self._run_job(run))
                await self._wake.wait()

    def _has_room(self, job: ActiveJob) -> bool:
        trials = sum(run.job.trials for run in self._jobs.values())
        fits = trials + job.trials <= _MAX_ACTIVE_TRIALS and len(self._jobs) < _MAX_ACTIVE_JOBS
        return fits or not self._jobs

    async def _run_job(self, run: _JobRun) -> None:
        uid = run.job.uid
        try:
            await self._train_job(run)
        except StoreUnavailableError as error:
            log.warning("store_unavailable", job=run.job.job_id, error=error.message)
            await asyncio.sleep(_STORE_RETRY_SECONDS)
        except (IllegalTransitionError, NotFoundError) as error:
            # Cancelled or deleted by a call while this ran: the store has the last word.
            log.info("job_left", job=run.job.job_id, reason=error.reason)
        except Exception:
            log.exception("job_crashed", job=run.job.job_id)
            failure = Failure("INTERNAL", "the service could not train this job; see its log")
            # The store may be the reason: then the job is tried again, and ends no other one.
            with contextlib.suppress(StoreUnavailableError):
                await self._fail_job(uid, failure)
        finally:
            del self._jobs[uid]
            self._wake.set()

    async def _fail_job(self, uid: str, failure: Failure) -> None:
        try:
            await self._store.finish_job(uid, JobState.FAILED, failure)
        except IllegalTransitionError:
            await self._store.finish_cancelling(uid)

    async def _train_job(self, run: _JobRun) -> None:
        uid = run.job.uid
        expansion = None
        if not run.cancelling:
            record = await self._store.get_job(run.job.job_id)
            try:
                expansion = await asyncio.to_thread(self._planner.expand_stored, record)
            except ServiceError as error:
                await self._fail_job(uid, Failure("DATA_UNREADABLE", error.message))
                return
            ended = await self._store.ended_trials(uid)
            packs = await self._store.list_packs(uid)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for pack in packs:
                        group = _group_of(pack, expansion.groups)
                        tasks.create_task(self._train_pack(run, pack, group, ended))
            except* ServiceError as errors:
                raise errors.exceptions[0] from None
        if run.cancelling:
            await self._store.finish_cancelling(uid)
        else:
            await self._finish_job(run, expansion)

    async def _finish_job(self, run: _JobRun, expansion: Expansion | None) -> None:
        job = run.job
        now = await self._store.get_job(job.job_id)
        state, failure = JobState.SUCCEEDED, None
        if now.counts[TrialState.FAILED] == now.trials:
            failed = await self._store.list_trials(now, 0, 1, [TrialState.FAILED])
            state, failure = JobState.FAILED, failed[0].failure
        finding = None
        if expansion is not None and failure is None:
            finding = await self._find_rates(run, now, expansion)
        try:
            await self._store.finish_job(job.uid, state, failure, finding)
        except IllegalTransitionError:
            await self._store.finish_cancelling(job.uid)

    async def _find_rates(
        self, run: _JobRun, job: JobRecord, expansion: Expansion
    ) -> RateFinding | None:
        rates = expansion.range_rates
        if rates is None:
            return None
        async with asyncio.TaskGroup() as tasks:
            measuring = tasks.create_task(self._measure_start(run, expansion.groups[0]))
        if run.cancelling:
            return None
        return await find_learning_rates(self._store, job, rates, measuring.result())

    async def _measure_start(self, run: _JobRun, group: TrialGroup) -> float | None:
        if run.cancelling:
            return None
        async with run.turn(self._slots):
            return await measure_initial_cost(self._engine, run.job.uid, group)

    async def _train_pack(
        self,
        run: _JobRun,
        record: PackRecord,
        group: TrialGroup,
        ended: dict[int, TrialState],
    ) -> None:
        uid = run.job.uid
        model_path = self._models_dir / uid / f"{record.index}.safetensors"
        pack = PackRun(uid, record, group, ended, model_path, self._engine.speed)
        recording: asyncio.Task[None] | None = None
        try:
            while not pack.is_over and not run.cancelling:
                async with run.turn(self._slots):
                    made = await self._run_segment(uid, pack)
                # The next segment is handed out while this one is recorded, never two ahead.
                if recording is not None:
                    await recording
                recording = asyncio.create_task(self._record(uid, made)) if made else None
        except SegmentFailedError as error:
            log.warning("pack_failed", pack=pack.state_key, reason=error.reason, why=str(error))
            if recording is not None:
                await recording
            await self._store.fail_pack(uid, record.index, Failure(error.reason, str(error)))
        finally:
            try:
                if recording is not None:
                    await recording
            finally:
                await self._engine.drop_state(pack.state_key)

    async def _run_segment(self, uid: str, pack: PackRun) -> Recording | None:
        if not pack.started:
            await self._store.start_pack(uid, pack.index)
            pack.started = True
        segment = pack.next_segment()
        try:
            result = await self._engine.run_segment(segment)
        except StateLostError as error:
            log.warning("state_lost", pack=pack.state_key, why=str(error))
            pack.begin_again()
            return None
        return pack.advance(segment, result)

    async def _record(self, uid: str, recording: Recording) -> None:
        while True:
            try:
                await self._store.record_segment(
                    uid,
                    recording.pack_index,
                    recording.from_epoch,
                    recording.to_epoch,
                    recording.block,
                    list(recording.ended()),
                    recording.trial_epochs,
                    recording.arithmetics,
                )
            except StoreUnavailableError as error:
                log.warning("store_unavailable", error=error.message)
                await asyncio.sleep(_STORE_RETRY_SECONDS)
            else:
                return


def _group_of(pack: PackRecord, groups: tuple[TrialGroup, ...]) -> TrialGroup:
    first = int(pack.trials[0])
    for group in groups:
        position = int(group.indices.searchsorted(first))
        if position < len(group.indices) and group.indices[position] == first:
            return group
    raise AssertionError(f"trial {first} is in no group")
