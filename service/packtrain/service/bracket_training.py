"""Trains the packs of a job from rung to rung: at each, some trials are stopped, and those that go
on are stacked anew, so that stopping saves time and not only epochs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from packtrain.service.contract import Expansion
from packtrain.service.early_stopping import Bracket, Standings
from packtrain.service.pack_run import Heirs, PackRun
from packtrain.service.pack_training import PackTrainer
from packtrain.service.planner import Part, PlannedPack, TrialGroup, cut
from packtrain.service.records import PackRecord
from packtrain.service.standings import StandingsReader
from packtrain.service.states import TrialState
from packtrain.service.store import OwnedJob
from packtrain.workers import Engine

PlanPacks = Callable[[Sequence[Part]], list[PlannedPack]]


class BeginPack(Protocol):
    """Makes a pack's run: see PackRun."""

    def __call__(
        self,
        record: PackRecord,
        group: TrialGroup,
        ended: Mapping[int, TrialState],
        heirs: Sequence[Heirs],
        *,
        is_rebuildable: bool = True,
        is_saved: bool = False,
    ) -> PackRun: ...


class BracketTraining:
    """The brackets of one job, or of a batch of it; ``begin`` makes a pack's run of its record,
    ``plan`` cuts parts into packs."""

    def __init__(
        self,
        job: OwnedJob,
        engine: Engine,
        trainer: PackTrainer,
        expansion: Expansion,
        standings: StandingsReader,
        begin: BeginPack,
        plan: PlanPacks,
    ) -> None:
        self._job, self._engine = job, engine
        self._trainer, self._expansion = trainer, expansion
        self._standings = standings
        self._begin, self._plan = begin, plan

    async def train(self, packs: Sequence[PackRecord], ended: Mapping[int, TrialState]) -> None:
        """All of these open packs, to their ends; ``ended`` are the trials that have ended."""
        saved = await self._trainer.checkpoints.find_saved_packs()
        async with asyncio.TaskGroup() as tasks:
            for bracket, members in self._by_bracket(packs):
                runs = [self._begin_open(pack, ended, saved) for pack in members]
                tasks.create_task(self._train_bracket(bracket, runs))

    def _begin_open(
        self, pack: PackRecord, ended: Mapping[int, TrialState], saved: Container[int]
    ) -> PackRun:
        group = self._group_of(pack.trials)
        return self._begin(pack, group, ended, (), is_saved=pack.index in saved)

    def _by_bracket(
        self, packs: Sequence[PackRecord]
    ) -> Iterator[tuple[Bracket | None, Sequence[PackRecord]]]:
        """The packs that are compared with each other; one by one where none is."""
        if self._expansion.brackets is None:
            yield from ((None, [pack]) for pack in packs)
            return
        for bracket in self._expansion.brackets:
            members = [pack for pack in packs if pack.trials[0] in bracket.trials]
            if members:
                yield bracket, members

    async def _train_bracket(self, bracket: Bracket | None, runs: list[PackRun]) -> None:
        held: set[str] = set()
        try:
            while runs:
                begun = [asyncio.Event() for _ in runs]
                async with asyncio.TaskGroup() as tasks:
                    for run, event in zip(runs, begun, strict=True):
                        tasks.create_task(self._trainer.train(run, event))
                    # What the packs began from is held no longer than it takes them to begin.
                    await wait_all(begun)
                    await self._drop(held)
                held = keys_of(runs)
                await self._trainer.finish_stage(runs)
                if bracket is None or self._trainer.is_stopped:
                    return
                runs = await self._pass_rung(bracket, runs)
        finally:
            await self._drop(held | keys_of(runs))

    async def _pass_rung(self, bracket: Bracket, runs: Sequence[PackRun]) -> list[PackRun]:
        """Compare the trials; returned are the packs of those that go on."""
        rung = runs[0].until
        going = np.sort(np.concatenate([run.going for run in runs]))
        if rung == runs[0].total or not len(going):
            return []
        standings = await self._standings.read(bracket.trials, np.isin(bracket.trials, going))
        until = bracket.next_rung(rung) or runs[0].total
        # Many trials with several objectives take a second to be ranked.
        survivors, planned = await asyncio.to_thread(self._select, bracket, rung, until, standings)
        arithmetics = tuple(dict.fromkeys(name for run in runs for name in run.arithmetics))
        records = await self._job.pass_rung(
            rung,
            closed=[run.index for run in runs],
            stopped=np.setdiff1d(going, survivors, assume_unique=True),
            packs=[pack.to_new(arithmetics) for pack in planned],
        )
        return [self._begin_heir(record, runs) for record in records]

    def _select(
        self, bracket: Bracket, rung: int, until: int, standings: Standings
    ) -> tuple[NDArray[np.int32], list[PlannedPack]]:
        """Who goes on, and in which packs."""
        rule = self._expansion.early_stopping
        assert rule is not None
        survivors = bracket.trials[rule.find_survivors(bracket, rung, standings)]
        return survivors, self._plan(cut(self._expansion.groups, survivors, rung, until))

    def _begin_heir(self, record: PackRecord, runs: Sequence[PackRun]) -> PackRun:
        heirs = [found for run in runs if (found := run.find_heirs(record.trials)) is not None]
        run = self._begin(record, self._group_of(record.trials), {}, heirs)
        run.clock.inherit(mean_left(runs))
        return run

    def _group_of(self, trials: NDArray[np.int32]) -> TrialGroup:
        first = int(trials[0])
        for group in self._expansion.groups:
            position = int(group.indices.searchsorted(first))
            if position < len(group.indices) and group.indices[position] == first:
                return group
        raise AssertionError(f"trial {first} is in no group")

    async def _drop(self, pack_keys: set[str]) -> None:
        for pack_key in pack_keys:
            await self._engine.drop_state(pack_key)


def keys_of(runs: Sequence[PackRun]) -> set[str]:
    """What the engine holds for them."""
    return {key for run in runs for key in run.held_keys}


def mean_left(runs: Sequence[PackRun]) -> float:
    """Seconds of training until their states are due to be saved."""
    return sum(run.clock.left for run in runs) / len(runs)


async def wait_all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()
