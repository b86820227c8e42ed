"""Trains the packs of a population from rung to rung: at each, some trials go on from the state of
others, with other numbers.

A trial's history includes that of others, so that a lost state can't be had again by training its
pack anew: the whole population trains again, from the last stage of which every pack has a
checkpoint or else from epoch 0, through the decisions that are stored. What it had recorded stays
so, and nothing is recorded twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import structlog
from numpy.typing import NDArray

from packtrain.service.bracket_training import (
    BeginPack,
    PlanPacks,
    keys_of,
    mean_left,
    wait_all,
)
from packtrain.service.checkpoints import share_trials
from packtrain.service.contract import Expansion
from packtrain.service.pack_run import Heirs, PackRun, trials_left
from packtrain.service.pack_training import PackTrainer
from packtrain.service.planner import TrialGroup, cut
from packtrain.service.population import PopulationBasedTraining, find_origins
from packtrain.service.records import Adaptation, PackRecord
from packtrain.service.standings import StandingsReader
from packtrain.service.states import TrialState
from packtrain.service.store import OwnedJob, Store
from packtrain.workers import Engine, StateLostError

log = structlog.get_logger()


class PopulationTraining:
    """The population of one job; ``begin`` makes a pack's run of its record, ``plan`` cuts parts
    into packs."""

    def __init__(
        self,
        job: OwnedJob,
        store: Store,
        engine: Engine,
        trainer: PackTrainer,
        expansion: Expansion,
        standings: StandingsReader,
        rule: PopulationBasedTraining,
        begin: BeginPack,
        plan: PlanPacks,
    ) -> None:
        self._job, self._store, self._engine = job, store, engine
        self._trainer, self._standings, self._rule = trainer, standings, rule
        self._begin, self._plan = begin, plan
        (self._initial,) = expansion.groups
        (self._bracket,) = expansion.brackets or ()

    async def train(self) -> None:
        """All trials, to their ends, from the beginning as often as a state is lost."""
        while not await self._train_through():
            log.warning("population_begins_again", job=self._job.uid)

    async def _train_through(self) -> bool:
        """Train from what is saved, through what was decided before; whether no state was lost."""
        stages = _find_stages(await self._store.list_packs(self._job.uid))
        ended = await self._store.ended_trials(self._job.uid)
        decided = await self._store.list_adaptations(self._job.uid)
        if all(t in ended for pack in stages[-1] for t in pack.trials.tolist()):
            return True
        held: set[str] = set()
        runs: list[PackRun] = []
        try:
            first, runs = await self._restore(stages, ended, decided)
            group = self._group_after(first, stages, decided)
            stages = stages[first + 1 :]
            while runs:
                if not await self._train_stage(runs, held):
                    return False
                held = keys_of(runs)
                await self._trainer.finish_stage(runs)
                rung = runs[0].until
                if self._trainer.is_stopped or rung == runs[0].total:
                    break
                if stages:
                    if await self._fail_all(runs, stages[-1]):
                        break
                    records = stages.pop(0)
                    adaptations: Sequence[Adaptation] = [a for a in decided if a.epoch == rung]
                else:
                    # New packs: none of their trials has ended.
                    ended = {}
                    records, adaptations = await self._pass_rung(rung, group, runs)
                group = self._rule.apply(group, adaptations)
                runs = [self._begin_run(r, group, ended, runs, adaptations) for r in records]
        except StateLostError:
            return False
        finally:
            await self._drop(held | keys_of(runs))
        return True

    async def _restore(
        self,
        stages: Sequence[Sequence[PackRecord]],
        ended: Mapping[int, TrialState],
        decided: Sequence[Adaptation],
    ) -> tuple[int, list[PackRun]]:
        """The last stage of which each pack has a checkpoint, at its place, with the runs that go
        on from these; the first one without. Raises StateLostError."""
        for place in reversed(range(len(stages))):
            saved = await self._trainer.checkpoints.find_saved_packs()
            if any(r.index not in saved and len(_left_of(r, ended)) for r in stages[place]):
                continue
            group = self._group_after(place, stages, decided)
            runs: list[PackRun] = []
            for record in stages[place]:
                run = await self._begin_saved(record, group, ended)
                if run is None:
                    break
                runs.append(run)
            else:
                log.info("population_restored", job=self._job.uid, until=runs[0].until)
                return place, runs
            await self._drop(keys_of(runs))
        return 0, [self._begin_run(r, self._initial, ended, (), ()) for r in stages[0]]

    async def _begin_saved(
        self, record: PackRecord, group: TrialGroup, ended: Mapping[int, TrialState]
    ) -> PackRun | None:
        ended = {} if record.is_closed else ended
        run = self._begin(record, group, ended, (), is_rebuildable=False)
        if not len(run.trials):
            return run
        loaded = await self._trainer.checkpoints.load_pack(run.state_key, record, run.signature)
        heirs = share_trials(run.trials, [loaded]) if loaded is not None else None
        if loaded is not None:
            run.borrow(loaded[0])
        if heirs is None:
            await self._drop(run.held_keys)
            return None
        run.go_on_from(heirs)
        return run

    def _group_after(
        self,
        place: int,
        stages: Sequence[Sequence[PackRecord]],
        decided: Sequence[Adaptation],
    ) -> TrialGroup:
        """The numbers that the trials of a stage have."""
        group = self._initial
        for stage in stages[:place]:
            group = self._rule.apply(group, [a for a in decided if a.epoch == stage[0].until])
        return group

    def _begin_run(
        self,
        record: PackRecord,
        group: TrialGroup,
        ended: Mapping[int, TrialState],
        before: Sequence[PackRun],
        adaptations: Sequence[Adaptation],
    ) -> PackRun:
        # Whoever ended after a pack was closed had not when it trained.
        ended = {} if record.is_closed else ended
        trials = _left_of(record, ended)
        origins = find_origins(trials, adaptations)
        found = [run.find_heirs(trials, origins) for run in before]
        heirs: list[Heirs] = [heir for heir in found if heir is not None]
        run = self._begin(record, group, ended, heirs, is_rebuildable=False)
        if before:
            run.clock.inherit(mean_left(before))
        return run

    async def _train_stage(self, runs: Sequence[PackRun], held: set[str]) -> bool:
        """Train up to where trials are compared, or to their end; whether no state was lost.
        ``held`` are the states that the packs begin from."""
        lost: list[PackRun] = []

        async def train(run: PackRun, begun: asyncio.Event) -> None:
            # Raised, it would cancel the others amid what they record.
            try:
                await self._trainer.train(run, begun)
            except StateLostError:
                lost.append(run)

        begun = [asyncio.Event() for _ in runs]
        async with asyncio.TaskGroup() as tasks:
            for run, event in zip(runs, begun, strict=True):
                tasks.create_task(train(run, event))
            # What the packs began from is held no longer than it takes them to begin.
            await wait_all(begun)
            await self._drop(held)
        return not lost

    async def _fail_all(self, runs: Sequence[PackRun], last: Sequence[PackRecord]) -> bool:
        """Where a pack failed that had been trained before, nobody's history can be had again:
        all trials fail that have not ended."""
        failure = next((run.failure for run in runs if run.failure is not None), None)
        if failure is None:
            return False
        for pack in last:
            await self._job.fail_pack(pack.index, pack.generation, failure)
        return True

    async def _pass_rung(
        self, rung: int, group: TrialGroup, runs: Sequence[PackRun]
    ) -> tuple[list[PackRecord], Sequence[Adaptation]]:
        """Compare the trials: the packs that they go on in, and who copied whom."""
        going = np.sort(np.concatenate([run.going for run in runs]))
        if not len(going):
            return [], ()
        standings = await self._standings.read(going, np.ones(len(going), np.bool_))
        adapt = self._rule.adapt
        adaptations = await asyncio.to_thread(adapt, group, rung, going, standings.last)
        until = self._bracket.next_rung(rung) or runs[0].total
        planned = self._plan(cut([group], going, rung, until))
        arithmetics = tuple(dict.fromkeys(name for run in runs for name in run.arithmetics))
        records = await self._job.pass_rung(
            rung,
            closed=[run.index for run in runs],
            stopped=going[:0],
            packs=[pack.to_new(arithmetics) for pack in planned],
            adaptations=adaptations,
        )
        return records, adaptations

    async def _drop(self, pack_keys: set[str]) -> None:
        for pack_key in pack_keys:
            await self._engine.drop_state(pack_key)


def _left_of(record: PackRecord, ended: Mapping[int, TrialState]) -> NDArray[np.int32]:
    """The trials that a pack trains, (K,): whoever ended after it was closed had not then."""
    return trials_left(record.trials, {} if record.is_closed else ended)


def _find_stages(packs: Sequence[PackRecord]) -> list[list[PackRecord]]:
    """The packs by where their trials are compared, first to last; of a closed one only the
    trials that went on: the others' ends are recorded, and nobody goes on from them."""
    rungs = sorted({pack.until for pack in packs if pack.until is not None})
    stages = [[p for p in packs if p.until == rung] for rung in rungs]
    to_the_end = [p for p in packs if p.until is None]
    stages += [to_the_end] if to_the_end else []
    for stage, later in pairwise(stages):
        going = np.concatenate([pack.trials for pack in later])
        left = [(p, p.trials[np.isin(p.trials, going)]) for p in stage]
        stage[:] = [replace(pack, trials=trials) for pack, trials in left if len(trials)]
    return stages
