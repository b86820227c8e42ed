"""The checkpoints of one job: packs go on from them after the service, the engine or Ray died.

A checkpoint counts once it is in the store, which takes it only when its epoch is recorded: so
what goes on from it trains epochs that are recorded again, in silence, or new ones, and none is
left out. Whatever fails here costs time and never a result: it is logged, and no error of the
job's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from packtrain.service.artifacts import Artifacts
from packtrain.service.errors import (
    IllegalTransitionError,
    NotFoundError,
    NotOwnerError,
    StoreUnavailableError,
)
from packtrain.service.pack_run import Heirs, PackRun
from packtrain.service.records import CheckpointRecord, PackRecord
from packtrain.service.store import OwnedJob, Store
from packtrain.workers import (
    CheckpointError,
    CheckpointFile,
    Engine,
    LoadedState,
    Source,
    StateLostError,
)

log = structlog.get_logger()

# An object store that does not answer holds up nothing for longer.
_SAVE_SECONDS = _LOAD_SECONDS = 120.0


class Checkpoints:
    """Those of a job, whose files have names that begin with its uid."""

    def __init__(self, job: OwnedJob, store: Store, engine: Engine, artifacts: Artifacts) -> None:
        self._job = job
        self._uid = job.uid
        self._store = store
        self._engine = engine
        self._artifacts = artifacts

    async def save(self, run: PackRun, recorded: asyncio.Task[None] | None = None) -> bool:
        """Save the state that the run has now; whether there is a checkpoint of it then.

        It counts once its epoch is ``recorded``; None: it is.
        """
        snapshot = run.snapshot()
        if snapshot is None:
            return False
        name = f"{self._uid}/{run.index}-{snapshot.epoch}-{secrets.token_hex(6)}"
        try:
            async with asyncio.timeout(_SAVE_SECONDS):
                saved = await self._engine.save_state(snapshot, self._artifacts.uri_of(name))
                if recorded is not None:
                    await asyncio.shield(recorded)
                file = saved.file
                made = CheckpointRecord(
                    run.index, snapshot.epoch, name, file.size_bytes, file.digest
                )
                outdated = await self._job.add_checkpoint(run.generation, made)
        except (CheckpointError, TimeoutError, StoreUnavailableError) as error:
            run.clock.fail()
            why = str(error) or f"not within {_SAVE_SECONDS:.0f} s"
            log.warning("checkpoint_not_written", pack=run.state_key, why=why)
            await self._artifacts.remove_files([name])
            return False
        except (StateLostError, IllegalTransitionError, NotFoundError, NotOwnerError):
            # The pack has gone on otherwise or elsewhere meanwhile, and is as due as before.
            await self._artifacts.remove_files([name])
            return False
        run.note_saved(saved.seconds)
        await self._artifacts.remove_files(outdated)
        return True

    async def save_stage(self, runs: Sequence[PackRun]) -> None:
        """Save the packs of a stage, which are all where their trials are compared, if that is
        due for them together, or some were saved on their way: those that go on from them can
        then be had again by these alone."""
        going = [run for run in runs if len(run.going)]
        if not going or any(run.snapshot() is None for run in going):
            return
        left = np.mean([run.clock.left for run in going])
        saved = {c.pack_index for c in await self._store.list_checkpoints(self._uid)}
        if left > 0 and not any(run.index in saved for run in going):
            return
        if not all(await asyncio.gather(*(self.save(run) for run in going))):
            return
        packs = await self._store.list_packs(self._uid)
        found = await self._store.list_checkpoints(self._uid)
        await self.remove(find_outdated(found, packs, {run.index for run in going}))

    async def save_stopped(self, runs: Iterable[PackRun]) -> None:
        """The service ends: save what is worth it, wherever it is."""
        worth = [run for run in runs if run.clock.is_worth_saving and len(run.going)]
        await asyncio.gather(*(self.save(run) for run in worth))

    async def find_saved_packs(self) -> set[int]:
        """The indices of the packs that have a checkpoint."""
        return {c.pack_index for c in await self._store.list_checkpoints(self._uid)}

    async def restore(self, run: PackRun) -> None:
        """Let a run go on from the latest checkpoints that have all of its trials: its own, or
        those of packs that these came from. Raises StateLostError."""
        found = await self._store.list_checkpoints(self._uid)
        packs = {p.index: p for p in await self._store.list_packs(self._uid)} if found else {}
        for choice in find_choices(found, packs, run.trials, run.recorded):
            loaded = await self._load(choice, run)
            heirs = share_trials(run.trials, loaded)
            if heirs is not None:
                run.go_on_from(heirs)
                self._tell(run, choice[0].epoch)
                return
        run.go_without()

    async def load_pack(
        self, run_key: str, record: PackRecord, signature: str
    ) -> tuple[str, LoadedState] | None:
        """A pack's own last checkpoint that is good, and the key under which the engine holds
        its state; None without one. Raises StateLostError."""
        for checkpoint in await self._store.list_checkpoints(self._uid):
            if checkpoint.pack_index == record.index:
                key = f"{run_key}/{checkpoint.name}"
                state = await self._load_one(key, checkpoint, signature)
                if state is not None:
                    return key, state
        return None

    async def _load(
        self, choice: Sequence[CheckpointRecord], run: PackRun
    ) -> list[tuple[str, LoadedState]]:
        """What could be loaded of them; the run drops it when it has begun."""
        loaded = []
        for checkpoint in choice:
            key = f"{run.state_key}/{checkpoint.name}"
            run.borrow(key)
            state = await self._load_one(key, checkpoint, run.signature)
            if state is not None:
                loaded.append((key, state))
        return loaded

    async def _load_one(
        self, key: str, checkpoint: CheckpointRecord, signature: str
    ) -> LoadedState | None:
        uri = self._artifacts.uri_of(checkpoint.name)
        file = CheckpointFile(uri, checkpoint.size_bytes, checkpoint.digest)
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                return await self._engine.load_state(key, file, signature)
        except (CheckpointError, TimeoutError) as error:
            # Forgotten, so that this is told once.
            log.warning(
                "checkpoint_unreadable",
                job=self._uid,
                pack_index=checkpoint.pack_index,
                epoch=checkpoint.epoch,
                why=str(error) or f"not within {_LOAD_SECONDS:.0f} s",
            )
            await self.remove([checkpoint])
            return None

    def _tell(self, run: PackRun, epoch: int) -> None:
        again = run.recorded - epoch
        log.info("checkpoint_restored", pack=run.state_key, epoch=epoch, epochs_again=again)

    async def remove_of(self, pack_index: int) -> None:
        """The pack has ended."""
        found = await self._store.list_checkpoints(self._uid)
        await self.remove([c for c in found if c.pack_index == pack_index])

    async def remove(self, checkpoints: Sequence[CheckpointRecord]) -> None:
        """Forget them, and remove their files."""
        if checkpoints:
            await self._job.remove_checkpoints(checkpoints)
            await self._artifacts.remove_files([c.name for c in checkpoints])

    async def remove_all_files(self) -> None:
        """The job has ended or is deleted."""
        await self._artifacts.remove_folder(self._uid)


def find_choices(
    found: Sequence[CheckpointRecord],
    packs: dict[int, PackRecord],
    trials: NDArray[np.int32],
    recorded: int,
) -> Iterator[list[CheckpointRecord]]:
    """Checkpoints of one epoch that together have all of ``trials``, (K,), the latest epoch
    first. A trial's history is its own: whatever pack it was in, its state is the same."""
    for epoch in sorted({c.epoch for c in found if c.epoch <= recorded}, reverse=True):
        missing, choice = trials, []
        for checkpoint in found:
            here = np.isin(missing, packs[checkpoint.pack_index].trials)
            if checkpoint.epoch == epoch and here.any():
                choice.append(checkpoint)
                missing = missing[~here]
        if not len(missing):
            yield choice


def share_trials(
    trials: NDArray[np.int32], loaded: Sequence[tuple[str, LoadedState]]
) -> list[Heirs] | None:
    """Which of ``trials``, (K,), go on from which of the loaded states; None where some go on
    from none."""
    heirs = []
    for key, state in loaded:
        here = np.isin(trials, state.trials)
        if here.any():
            order = np.argsort(state.trials)
            rows = order[np.searchsorted(state.trials, trials[here], sorter=order)]
            heirs.append(Heirs(trials[here], state.epoch, Source(key, rows)))
            trials = trials[~here]
    return None if len(trials) else heirs


def find_outdated(
    found: Sequence[CheckpointRecord], packs: Sequence[PackRecord], saved: set[int]
) -> list[CheckpointRecord]:
    """The checkpoints that are no longer needed once the packs ``saved`` are, at the epoch where
    their trials are compared: those of closed packs with the same trials, but for the latest such
    epoch before, should one of the last be spoilt."""
    members = np.concatenate([packs[index].trials for index in saved])
    before = [
        c
        for c in found
        if packs[c.pack_index].is_closed
        and c.pack_index not in saved
        and np.isin(packs[c.pack_index].trials, members).any()
    ]
    rungs = [c.epoch for c in before if c.epoch == packs[c.pack_index].until]
    last = max(rungs, default=0)
    return [c for c in before if (packs[c.pack_index].until or 0) < last]
