"""Trains the packs of a job, a segment at a time, whenever it is the job's turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import structlog

from packtrain.service.checkpoints import Checkpoints
from packtrain.service.errors import StoreUnavailableError
from packtrain.service.pack_run import PackRun
from packtrain.service.recordings import Recording
from packtrain.service.records import Failure
from packtrain.service.slots import FairSlots
from packtrain.service.store import OwnedJob
from packtrain.workers import (
    Engine,
    Segment,
    SegmentFailedError,
    SegmentResult,
    StateLostError,
)

log = structlog.get_logger()

_STORE_RETRY_SECONDS = 1.0
# Why a smaller pack may be trained where this one was not. The system ends a process that takes too
# much memory without a word: that is seen as workers that die over one pack.
_TOO_LARGE = frozenset({"OUT_OF_MEMORY", "WORKER_LOST"})
# A pack that is over waits no longer for a checkpoint that is being written.
_SAVING_SECONDS = 10.0
_DISK_RETRY_SECONDS = 5.0


class PackTrainer:
    """The packs of one job, from one task each."""

    def __init__(
        self, job: OwnedJob, engine: Engine, slots: FairSlots, checkpoints: Checkpoints
    ) -> None:
        self.checkpoints = checkpoints
        self._job = job
        self._engine = engine
        self._slots = slots
        self.is_stopped = False
        self._saves = False
        self._waiting: set[asyncio.Task[object]] = set()

    def stop(self, *, saves: bool = False) -> None:
        """Hand out no further segment: what is under way is the last. ``saves``: then save the
        states, to go on from them later."""
        self.is_stopped = True
        self._saves = saves
        for task in self._waiting:
            task.cancel()

    @contextlib.asynccontextmanager
    async def turn(self, slots: FairSlots | None = None) -> AsyncIterator[None]:
        """Wait for the job's turn at a worker, or at other ``slots``, and hold it. Cancelling the
        job need not wait for a turn: it cancels the task, which must be one of the job's own in a
        task group."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            async with (slots or self._slots).turn(self._job.uid):
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
            await self._job.fail_pack(run.index, run.generation, failure)
            return [run]
        finally:
            begun.set()

    async def _train_whole(self, run: PackRun, begun: asyncio.Event) -> Failure | None:
        """Train it as one pack; why that can't be done, if it can't."""
        recording: asyncio.Task[None] | None = None
        saving: asyncio.Task[bool] | None = None
        try:
            while not run.is_over and not self.is_stopped:
                async with self.turn():
                    made = await self._run_segment(run)
                begun.set()
                # The next segment is handed out while this one is recorded, never two ahead. Made
                # before anything is waited for: what is trained is recorded, cancelled or not.
                before = recording
                recording = asyncio.create_task(self._record(made, before)) if made else before
                if before is not None:
                    await asyncio.shield(before)
                if run.clock.is_due and not run.is_over and (saving is None or saving.done()):
                    saving = asyncio.create_task(self.checkpoints.save(run, recording))
            if saving is not None:
                # Given up early, it would leave a file behind, and the next one would wait for it.
                await asyncio.wait({saving}, timeout=_SAVING_SECONDS)
        except SegmentFailedError as error:
            log.warning("pack_failed", pack=run.state_key, reason=error.reason, why=str(error))
            return Failure(error.reason, str(error))
        finally:
            if saving is not None:
                await _give_up(saving)
            if recording is not None:
                await recording
        return None

    async def _train_halves(self, run: PackRun, begun: asyncio.Event) -> list[PackRun]:
        """Go on with a pack as two, each of which may be split again, down to the one network that
        is to blame: that one fails alone, and the others' numbers are the same in any pack."""
        rows = run.halve()
        records = await self._job.split_pack(
            run.index, run.generation, [run.trials_of(part) for part in rows]
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
                await self._drop(run)
            if lost:
                raise lost[0]
        except BaseException:
            for half in halves:
                await self._drop(half)
            raise
        # Whoever waited for a turn when the job was stopped was cancelled.
        results = [
            [half] if t.cancelled() else t.result()
            for half, t in zip(halves, training, strict=True)
        ]
        return [part for parts in results for part in parts]

    async def _drop(self, run: PackRun) -> None:
        for key in run.held_keys:
            await self._engine.drop_state(key)

    async def finish_stage(self, runs: Sequence[PackRun]) -> None:
        """The runs have come to where their trials are compared, to their ends, or to where they
        were stopped: save them, or remove what is no longer needed."""
        if self.is_stopped:
            if self._saves:
                await self.checkpoints.save_stopped(runs)
        elif runs[0].until < runs[0].total:
            await self.checkpoints.save_stage(runs)
        else:
            for run in runs:
                await self.checkpoints.remove_of(run.index)

    async def _run_segment(self, run: PackRun) -> Recording | None:
        if not run.started:
            await self._job.start_pack(run.index)
            run.started = True
        try:
            if run.wants_restoring:
                await self.checkpoints.restore(run)
                if run.is_over:
                    return None
            segment, result = await self._run_next(run)
        except StateLostError as error:
            log.warning("state_lost", pack=run.state_key, why=str(error))
            if not run.is_rebuildable:
                raise
            run.begin_again()
            return None
        for key in run.give_back():
            await self._engine.drop_state(key)
        return run.advance(segment, result)

    async def _run_next(self, run: PackRun) -> tuple[Segment, SegmentResult]:
        """Run its next segment, of fewer epochs each time that workers died over it: by chance that
        happens to long ones, and what a pack does to its workers it does in one epoch too."""
        while True:
            segment = run.next_segment()
            try:
                return segment, await self._run_where_room(segment)
            except SegmentFailedError as error:
                if error.reason != "WORKER_LOST" or not run.shorten():
                    raise
                log.warning("segment_shortened", pack=segment.pack_key, why=str(error))

    async def _run_where_room(self, segment: Segment) -> SegmentResult:
        """Run it, again and again while the disk has no room for its model: that is no fault of
        the trials, and passes."""
        while True:
            try:
                return await self._engine.run_segment(segment)
            except SegmentFailedError as error:
                if error.reason != "DISK_FULL":
                    raise
                if self.is_stopped:
                    raise StateLostError(str(error)) from error
                log.warning("disk_full", pack=segment.pack_key, why=str(error))
                await asyncio.sleep(_DISK_RETRY_SECONDS)

    async def _record(self, recording: Recording, before: asyncio.Task[None] | None) -> None:
        """Record it once what came before is recorded."""
        if before is not None:
            await before
        while True:
            try:
                await self._job.record_segment(
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


async def _give_up(saving: asyncio.Task[bool]) -> None:
    saving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await saving
