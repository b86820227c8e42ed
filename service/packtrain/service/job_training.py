"""Trains one job, from wherever the store has it to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from packtrain.service.artifacts import Artifacts
from packtrain.service.batch_training import BatchTraining
from packtrain.service.bracket_training import BracketTraining
from packtrain.service.checkpoints import Checkpoints
from packtrain.service.contract import Expansion, Planner
from packtrain.service.errors import (
    IllegalTransitionError,
    ServiceError,
    StoreUnavailableError,
)
from packtrain.service.findings import find_learning_rates, measure_initial_cost
from packtrain.service.learning_rates import RateFinding
from packtrain.service.pack_run import Heirs, PackRun
from packtrain.service.pack_training import PackTrainer
from packtrain.service.planner import TrialGroup
from packtrain.service.population_training import PopulationTraining
from packtrain.service.records import ActiveJob, Failure, JobRecord, PackRecord
from packtrain.service.slots import FairSlots
from packtrain.service.standings import StandingsReader
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import OwnedJob, Store
from packtrain.workers import Engine


class JobTraining:
    """One job, in its owner's name, which is read while it holds ``opening``, and takes turns at
    ``slots``, the workers, and at ``proposing``; its models go into ``models_dir``, a folder of its
    own, its checkpoints into ``artifacts``, one of a pack at most every ``least_save_seconds`` of
    its training."""

    def __init__(
        self,
        job: ActiveJob,
        owned: OwnedJob,
        store: Store,
        engine: Engine,
        opening: asyncio.Semaphore,
        slots: FairSlots,
        proposing: FairSlots,
        planner: Planner,
        models_dir: Path,
        artifacts: Artifacts,
        least_save_seconds: float,
    ) -> None:
        self.job = job
        self._owned = owned
        self._store = store
        self._engine = engine
        self._opening = opening
        self._proposing = proposing
        self._planner = planner
        self._models_dir = models_dir
        self._least_save_seconds = least_save_seconds
        self._checkpoints = Checkpoints(owned, store, engine, artifacts)
        self._trainer = PackTrainer(owned, engine, slots, self._checkpoints)
        if job.state is JobState.CANCELLING:
            self._trainer.stop()

    def stop(self, *, saves: bool = False) -> None:
        """Stop after the segments that are under way: the store says what becomes of the job.
        ``saves``: :meth:`train` returns once the states are saved that are worth it."""
        self._trainer.stop(saves=saves)

    async def train(self) -> None:
        """Until the job has ended, or was stopped. Raises ServiceError."""
        expansion = None
        if not self._trainer.is_stopped:
            async with self._opening:
                # In this order: packs that change after they were read are no longer recorded.
                packs = await self._store.list_packs(self.job.uid)
                ended = await self._store.ended_trials(self.job.uid)
                record = await self._store.get_job(self.job.job_id)
                try:
                    expansion = await asyncio.to_thread(self._planner.expand_stored, record)
                except StoreUnavailableError:
                    raise  # and tried again
                except ServiceError as error:
                    await self.fail(Failure("DATA_UNREADABLE", error.message))
                    return
            await self._train_all(record, expansion, packs, ended)
        if self._trainer.is_stopped:
            await self._owned.finish_cancelling()
        else:
            await self._finish(expansion)
        await self._clean_up()

    async def _clean_up(self) -> None:
        """What has ended needs no checkpoints."""
        if not await self._store.find_active_jobs([self.job.uid]):
            await self._checkpoints.remove_all_files()

    async def fail(self, failure: Failure) -> None:
        """The job can't be trained."""
        try:
            await self._owned.finish_job(JobState.FAILED, failure, self.job.generation)
        except IllegalTransitionError:
            await self._owned.finish_cancelling()
        await self._clean_up()

    async def _train_all(
        self,
        record: JobRecord,
        expansion: Expansion,
        packs: Sequence[PackRecord],
        ended: Mapping[int, TrialState],
    ) -> None:
        self._standings = StandingsReader(
            self._store, self.job.uid, expansion.trials, expansion.objectives
        )
        if expansion.learner is None:
            await self._train_packs(packs, ended, expansion)
            return
        batches = BatchTraining(
            record,
            self.job.generation,
            self._owned,
            self._store,
            self._planner,
            self._trainer,
            self._proposing,
            expansion,
            self._train_packs,
        )
        await batches.train(packs, ended)

    async def _train_packs(
        self, packs: Sequence[PackRecord], ended: Mapping[int, TrialState], expansion: Expansion
    ) -> None:
        parts = (self._engine, self._trainer, expansion, self._standings)
        begin, plan = self._begin_pack, self._planner.plan_packs
        try:
            if expansion.population is not None:
                rule = expansion.population
                await PopulationTraining(
                    self._owned, self._store, *parts, rule, begin, plan
                ).train()
            else:
                training = BracketTraining(self._owned, *parts, begin, plan)
                await training.train([pack for pack in packs if not pack.is_closed], ended)
        except* ServiceError as errors:
            raise _first_of(errors) from None

    def _begin_pack(
        self,
        record: PackRecord,
        group: TrialGroup,
        ended: Mapping[int, TrialState],
        heirs: Sequence[Heirs],
        *,
        is_rebuildable: bool = True,
        is_saved: bool = False,
    ) -> PackRun:
        path = self._models_dir / f"{record.index}.safetensors"
        return PackRun(
            self.job.uid,
            record,
            group,
            ended,
            path,
            self._engine.speed,
            heirs,
            is_rebuildable=is_rebuildable,
            least_save_seconds=self._least_save_seconds,
            is_saved=is_saved,
        )

    async def _finish(self, expansion: Expansion | None) -> None:
        now = await self._store.get_job(self.job.job_id)
        state, failure = JobState.SUCCEEDED, None
        if now.counts[TrialState.FAILED] == now.trials:
            failed = await self._store.list_trials(now, 0, 1, [TrialState.FAILED])
            state, failure = JobState.FAILED, failed[0].failure
        finding = None
        if expansion is not None and failure is None:
            finding = await self._find_rates(now, expansion)
        try:
            await self._owned.finish_job(state, failure, self.job.generation, finding)
        except IllegalTransitionError:
            await self._owned.finish_cancelling()

    async def _find_rates(self, job: JobRecord, expansion: Expansion) -> RateFinding | None:
        rates = expansion.range_rates
        if rates is None:
            return None
        async with asyncio.TaskGroup() as tasks:
            measuring = tasks.create_task(self._measure_start(expansion.groups[0]))
        if self._trainer.is_stopped:
            return None
        return await find_learning_rates(self._store, job, rates, measuring.result())

    async def _measure_start(self, group: TrialGroup) -> float | None:
        if self._trainer.is_stopped:
            return None
        async with self._trainer.turn():
            return await measure_initial_cost(self._engine, self.job.uid, group)


def _first_of(errors: BaseExceptionGroup[ServiceError]) -> BaseException:
    """The first of those that came together, within however many groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
