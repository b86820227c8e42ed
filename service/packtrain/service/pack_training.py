"""Trains the packs of a job, a segment at a time, whenever it is the job's turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from packtrain.service.errors import StoreUnavailableError
from packtrain.service.pack_run import PackRun, Recording
from packtrain.service.records import Failure
from packtrain.service.slots import FairSlots
from packtrain.service.store import Store
from packtrain.workers import Engine, SegmentFailedError, StateLostError

log = structlog.get_logger()

_STORE_RETRY_SECONDS = 1.0
# Why a smaller pack may be trained where this one was not. The system ends a process that takes too
# much memory without a word: that is seen as workers that die over one pack.
_TOO_LARGE = frozenset({"OUT_OF_MEMORY", "WORKER_LOST"})


class PackTrainer:
    """The packs of the job ``uid``, from one task each."""

    def __init__(self, uid: str, store: Store, engine: Engine, slots: FairSlots) -> None:
        self._uid = uid
        self._store = store
        self._engine = engine
        self._slots = slots
        self.is_stopped = False
        self._waiting: set[asyncio.Task[object]] = set()

    def stop(self) -> None:
        """Hand out no further segment: what is under way is the last."""
        self.is_stopped = True
        for task in self._waiting:
            task.cancel()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the job's turn, and hold it. Cancelling the job need not wait for a turn: it
        cancels the task, which must be one of the job's own in a task group."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            async with self._slots.turn(self._uid):
                self._waiting.discard(task)
                yield
        finally:
            self._waiting.discard(task)

    async def train(self, run: PackRun, begun: asyncio.Event | None = None) -> list[PackRun]:
        """Train until the pack is over: its end, or where its trials are compared with others.
        ``begun`` is set as soon as it no longer needs what it began from. Returned are the packs
        that it came to: several where it was too large for a worker.

        Raises StateLostError where the state is lost of a pack that can't be rebuilt by itself.
        """
        begun = begun or asyncio.Event()
        try:
            failure = await self._train_whole(run, begun)
            if failure is None:
                return [run]
            if failure.reason in _TOO_LARGE and run.is_divisible:
                return await self._train_halves(run, begun)
            run.abandon(failure)
            await self._store.fail_pack(self._uid, run.index, run.generation, failure)
            return [run]
        finally:
            begun.set()

    async def _train_whole(self, run: PackRun, begun: asyncio.Event) -> Failure | None:
        """Train it as one pack; why that can't be done, if it can't."""
        recording: asyncio.Task[None] | None = None
        try:
            while not run.is_over and not self.is_stopped:
                async with self.turn():
                    made = await self._run_segment(run)
                begun.set()
                # The next segment is handed out while this one is recorded, never two ahead.
                if recording is not None:
                    await recording
                recording = asyncio.create_task(self._record(made)) if made else None
        except SegmentFailedError as error:
            log.warning("pack_failed", pack=run.state_key, reason=error.reason, why=str(error))
            return Failure(error.reason, str(error))
        finally:
            if recording is not None:
                await recording
        return None

    async def _train_halves(self, run: PackRun, begun: asyncio.Event) -> list[PackRun]:
        """Go on with a pack as two, each of which may be split again, down to the one network that
        is to blame: that one fails alone, and the others' numbers are the same in any pack."""
        rows = run.halve()
        records = await self._store.split_pack(
            self._uid, run.index, run.generation, [run.trials_of(part) for part in rows]
        )
        log.info("pack_split", pack=run.state_key, into=[record.index for record in records])
        halves = [run.take(record, part) for record, part in zip(records, rows, strict=True)]
        events = [asyncio.Event() for _ in halves]
        lost: list[StateLostError] = []

        async def train(half: PackRun, event: asyncio.Event) -> list[PackRun]:
            # Raised, it would cancel the other one amid what it records.
            try:
                return await self.train(half, event)
            except StateLostError as error:
                lost.append(error)
                return [half]

        try:
            async with asyncio.TaskGroup() as tasks:
                pairs = zip(halves, events, strict=True)
                training = [tasks.create_task(train(*pair)) for pair in pairs]
                for event in events:
                    await event.wait()
                begun.set()
                await self._engine.drop_state(run.state_key)
            if lost:
                raise lost[0]
        except BaseException:
            for half in halves:
                await self._engine.drop_state(half.state_key)
            raise
        # Whoever waited for a turn when the job was stopped was cancelled.
        results = [
            [half] if t.cancelled() else t.result()
            for half, t in zip(halves, training, strict=True)
        ]
        return [part for parts in results for part in parts]

    async def _run_segment(self, run: PackRun) -> Recording | None:
        if not run.started:
            await self._store.start_pack(self._uid, run.index)
            run.started = True
        segment = run.next_segment()
        try:
            result = await self._engine.run_segment(segment)
        except StateLostError as error:
            log.warning("state_lost", pack=run.state_key, why=str(error))
            if not run.is_rebuildable:
                raise
            run.begin_again()
            return None
        return run.advance(segment, result)

    async def _record(self, recording: Recording) -> None:
        while True:
            try:
                await self._store.record_segment(
                    self._uid,
                    recording.pack_index,
                    recording.generation,
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
