"""Trains the packs of a job, a segment at a time, whenever it is the job's turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import structlog

from packtrain.service.checkpoints import Checkpoints
from packtrain.service.errors import StoreUnavailableError
from packtrain.service.pack_run import PackRun, Recording
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

    async def train(self, run: PackRun, begun: asyncio.Event | None = None) -> None:
        """Train until the pack is over: its end, or where its trials are compared with others.
        ``begun`` is set as soon as it no longer needs what it began from. Raises StateLostError
        where the state is lost of a pack that can't be rebuilt by itself."""
        recording: asyncio.Task[None] | None = None
        saving: asyncio.Task[bool] | None = None
        try:
            while not run.is_over and not self.is_stopped:
                async with self.turn():
                    made = await self._run_segment(run)
                if begun is not None:
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
            if recording is not None:
                await recording
            failure = Failure(error.reason, str(error))
            run.abandon(failure)
            await self._job.fail_pack(run.index, run.generation, failure)
        finally:
            if begun is not None:
                begun.set()
            if saving is not None:
                await _give_up(saving)
            if recording is not None:
                await recording

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
            segment = run.next_segment()
            result = await self._run_where_room(segment)
        except StateLostError as error:
            log.warning("state_lost", pack=run.state_key, why=str(error))
            if not run.is_rebuildable:
                raise
            run.begin_again()
            return None
        for key in run.give_back():
            await self._engine.drop_state(key)
        return run.advance(segment, result)

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
