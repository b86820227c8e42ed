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
_DISK_RETRY_SECONDS = 5.0


class PackTrainer:
    """The packs of one job, from one task each."""

    def __init__(self, job: OwnedJob, engine: Engine, slots: FairSlots) -> None:
        self._job = job
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
            if recording is not None:
                await recording

    async def _run_segment(self, run: PackRun) -> Recording | None:
        if not run.started:
            await self._job.start_pack(run.index)
            run.started = True
        segment = run.next_segment()
        try:
            result = await self._run_where_room(segment)
        except StateLostError as error:
            log.warning("state_lost", pack=run.state_key, why=str(error))
            if not run.is_rebuildable:
                raise
            run.begin_again()
            return None
        return run.advance(segment, result)

    async def _run_where_room(self, segment: Segment) -> SegmentResult:
        """Run it, again and again while the disk has no room for its model: that is no fault of
        the trials, and passes."""
        while True:
            try:
                return await self._engine.run_segment(segment)
            except SegmentFailedError as error:
                if error.reason != "DISK_FULL" or self.is_stopped:
                    raise
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
