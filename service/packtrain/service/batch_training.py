"""Trains a job whose algorithm learns from results: a batch of trials at a time, each proposed
when all before it have ended. So what is proposed does not depend on the workers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from packtrain.service.contract import Expansion, Planner
from packtrain.service.objectives import score_trials
from packtrain.service.pack_training import PackTrainer
from packtrain.service.proposals import Proposer
from packtrain.service.records import Failure, JobRecord, PackRecord, Proposal
from packtrain.service.states import TrialState
from packtrain.service.store import OwnedJob, Store

# Sampling takes seconds at times: in threads of its own it delays no other call.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="proposals")

T = TypeVar("T")
TrainBatch = Callable[[Sequence[PackRecord], Mapping[int, TrialState], Expansion], Awaitable[None]]


class BatchTraining:
    """The batches of one job; ``whole`` is its expansion, ``train`` trains the packs of one of
    them to their ends."""

    def __init__(
        self,
        job: JobRecord,
        owned: OwnedJob,
        store: Store,
        planner: Planner,
        trainer: PackTrainer,
        whole: Expansion,
        train: TrainBatch,
    ) -> None:
        assert whole.space is not None
        self._job, self._owned, self._store = job, owned, store
        self._planner, self._trainer = planner, trainer
        self._whole, self._space, self._train = whole, whole.space, train

    async def train(self) -> None:
        """All batches, from wherever the store has them. Raises ServiceError."""
        proposer = await self._open_study()
        proposed = await self._store.list_proposals(self._job.uid)
        for batch in proposed:
            if batch is proposed[-1]:
                await self._go_on(batch)
            await self._learn(proposer, batch)
        first = sum(len(batch.points) for batch in proposed)
        while first < self._space.assignments and not self._trainer.is_stopped:
            count = min(self._batch_size, self._space.assignments - first)
            points = await _call(proposer.propose, first, count)
            batch = Proposal(first, points)
            await self._begin(batch)
            await self._learn(proposer, batch)
            first += count

    @property
    def _batch_size(self) -> int:
        assert self._whole.learner is not None
        return self._whole.learner.batch_size

    async def _open_study(self) -> Proposer:
        assert self._whole.learner is not None
        lessons = await self._store.find_lessons(self._job.uid)
        return await _call(
            Proposer,
            self._space.parameters,
            self._whole.learner,
            len(self._whole.objectives),
            self._whole.spec.seed,
            (lessons.points, lessons.scores) if lessons else None,
        )

    async def _begin(self, batch: Proposal) -> None:
        """Plan a new batch, and train it. What can't be planned fails alone."""
        expansion, failed = await asyncio.to_thread(self._planner.expand_batch, self._job, batch)
        failures: dict[Failure, list[int]] = defaultdict(list)
        for assignment, failure in failed.items():
            failures[failure] += self._trials_of(assignment)
        planned = self._planner.plan_packs(expansion.parts) if expansion else []
        epochs = expansion.trial_epochs if expansion else 0
        packs = await self._owned.add_proposal(
            batch, [pack.to_new() for pack in planned], epochs, failures
        )
        if expansion is not None:
            await self._train(packs, {}, expansion)

    def _trials_of(self, assignment: int) -> range:
        return range(assignment * self._space.repeats, (assignment + 1) * self._space.repeats)

    async def _go_on(self, batch: Proposal) -> None:
        """Train the rest of a batch that was planned before."""
        packs = await self._store.list_packs(self._job.uid)
        planned = {trial for pack in packs for trial in pack.trials.tolist()}
        assignments = range(batch.first, batch.first + len(batch.points))
        without = [k for k in assignments if self._trials_of(k)[0] not in planned]
        if len(without) == len(assignments):
            return
        expansion = await asyncio.to_thread(self._planner.expand_stored, self._job, batch, without)
        mine = set(expansion.members.tolist())
        ended = await self._store.ended_trials(self._job.uid)
        await self._train([p for p in packs if p.trials[0] in mine], ended, expansion)

    async def _learn(self, proposer: Proposer, batch: Proposal) -> None:
        """Tell what came of a batch: of repeats, their mean."""
        if self._trainer.is_stopped:
            return
        repeats, count = self._space.repeats, len(batch.points)
        trials = await self._store.list_trials(
            self._job, batch.first * repeats, count * repeats, ()
        )
        scores = score_trials(trials, self._whole.objectives).reshape(count, repeats, -1)
        await _call(proposer.learn, batch.first, batch.points, np.mean(scores, axis=1))


async def _call(function: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, function, *arguments)
