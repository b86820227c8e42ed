"""Trains a job whose algorithm learns from results: a batch of trials at a time, each proposed
when all before it have ended. So what is proposed does not depend on the workers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from packtrain.service.contract import Expansion, Planner
from packtrain.service.objectives import score_trials
from packtrain.service.pack_training import PackTrainer
from packtrain.service.proposals import Proposer
from packtrain.service.records import Failure, JobRecord, PackRecord, Proposal
from packtrain.service.slices import SlicedComputation, Steps
from packtrain.service.slots import FairSlots
from packtrain.service.states import TrialState
from packtrain.service.store import OwnedJob, Store

T = TypeVar("T")
TrainBatch = Callable[[Sequence[PackRecord], Mapping[int, TrialState], Expansion], Awaitable[None]]


class BatchTraining:
    """The batches of one job of this ``generation``; ``proposing`` are turns at proposing,
    ``whole`` is the job's expansion, and ``train`` trains the packs of a batch to their ends."""

    def __init__(
        self,
        job: JobRecord,
        generation: int,
        owned: OwnedJob,
        store: Store,
        planner: Planner,
        trainer: PackTrainer,
        proposing: FairSlots,
        whole: Expansion,
        train: TrainBatch,
    ) -> None:
        assert whole.space is not None
        assert whole.learner is not None
        self._job, self._generation = job, generation
        self._owned, self._store = owned, store
        self._planner, self._trainer = planner, trainer
        self._proposing, self._train = proposing, train
        self._whole, self._space, self._learner = whole, whole.space, whole.learner

    async def train(self, packs: Sequence[PackRecord], ended: Mapping[int, TrialState]) -> None:
        """All batches, from wherever the store has them: it has these packs, and these trials have
        ended. Raises ServiceError."""
        proposer = await self._open_study()
        first = 0
        left = [pack for pack in packs if not pack.is_closed and _goes_on(pack, ended)]
        for batch in await self._store.list_proposals(self._job.uid):
            if self._trainer.is_stopped:
                return
            if any(self._is_of(pack, batch) for pack in left):
                await self._go_on(batch, packs, ended)
            await self._learn(proposer, batch)
            first += len(batch.points)
        while first < self._space.assignments and not self._trainer.is_stopped:
            count = min(self._learner.batch_size, self._space.assignments - first)
            points = await self._compute(proposer.propose(first, count))
            if points is None:
                return
            batch = Proposal(first, points)
            await self._begin(batch)
            await self._learn(proposer, batch)
            first += count

    async def _compute(self, steps: Steps[T]) -> T | None:
        """What the steps come to, a slice of them in each of the job's turns; None where the job
        was stopped meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            computing = tasks.create_task(self._take_turns(SlicedComputation(steps)))
        return None if computing.cancelled() else computing.result()

    async def _take_turns(self, computation: SlicedComputation[T]) -> T | None:
        while not self._trainer.is_stopped:
            async with self._trainer.turn(self._proposing):
                await computation.run_slice(lambda: self._trainer.is_stopped)
            if computation.is_over:
                return computation.result
        return None

    async def _open_study(self) -> Proposer:
        whole = self._whole
        objectives, seed = len(whole.objectives), whole.spec.seed
        proposer = Proposer(self._space.parameters, self._learner, objectives, seed)
        lessons = await self._store.find_lessons(self._job.uid)
        if lessons is not None:
            await self._compute(proposer.learn_lessons(lessons.points, lessons.scores))
        return proposer

    async def _begin(self, batch: Proposal) -> None:
        """Plan a new batch, and train it. What can't be planned fails alone."""
        expansion, failed = await asyncio.to_thread(self._planner.expand_batch, self._job, batch)
        failures: dict[Failure, list[int]] = defaultdict(list)
        for assignment, failure in failed.items():
            failures[failure] += self._trials_of(assignment)
        planned = self._planner.plan_packs(expansion.parts) if expansion else []
        epochs = expansion.trial_epochs if expansion else 0
        packs = await self._owned.add_proposal(
            self._generation,
            batch,
            [pack.to_new() for pack in planned],
            epochs,
            failures,
        )
        if expansion is not None:
            await self._train(packs, {}, expansion)

    def _trials_of(self, assignment: int) -> range:
        return range(assignment * self._space.repeats, (assignment + 1) * self._space.repeats)

    def _is_of(self, pack: PackRecord, batch: Proposal) -> bool:
        """Whether the pack trains trials of the batch, which are then all that it trains."""
        return 0 <= int(pack.trials[0]) // self._space.repeats - batch.first < len(batch.points)

    async def _go_on(
        self, batch: Proposal, packs: Sequence[PackRecord], ended: Mapping[int, TrialState]
    ) -> None:
        """Train what is left of a batch that was planned before: the rest of the last one, and
        what is trained anew of any."""
        expansion = await asyncio.to_thread(self._planner.expand_planned, self._job, batch, packs)
        await self._train([p for p in packs if self._is_of(p, batch)], ended, expansion)

    async def _learn(self, proposer: Proposer, batch: Proposal) -> None:
        """Tell what came of a batch: of repeats, their mean."""
        if self._trainer.is_stopped:
            return
        repeats, count = self._space.repeats, len(batch.points)
        trials = await self._store.list_trials(
            self._job, batch.first * repeats, count * repeats, ()
        )
        scores = score_trials(trials, self._whole.objectives).reshape(count, repeats, -1)
        await self._compute(proposer.learn(batch.first, batch.points, np.mean(scores, axis=1)))


def _goes_on(pack: PackRecord, ended: Mapping[int, TrialState]) -> bool:
    return any(trial not in ended for trial in pack.trials.tolist())
