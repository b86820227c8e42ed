"""An engine without Ray, in threads of this process: for tests and for nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import structlog
from threadpoolctl import threadpool_limits

from packtrain.training import PackState, SegmentMetrics, Speed
from packtrain.workers import segment_runner
from packtrain.workers.arithmetic import describe_arithmetic
from packtrain.workers.checkpoints import load_checkpoint, save_checkpoint
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.engine import (
    CheckpointFile,
    EngineError,
    LoadedState,
    SavedState,
    Segment,
    SegmentFailedError,
    SegmentResult,
    Snapshot,
    StateLostError,
    out_of_memory,
)
from packtrain.workers.machines import Memory
from packtrain.workers.state_table import StateTable

log = structlog.get_logger(__name__)


class LocalEngine:
    """Runs segments in ``workers`` threads.

    Faults come at named events: ``before_segment`` is awaited with each segment before it runs
    (a test holds it there, or raises), :meth:`lose_state` acts as the death of an engine
    process, :meth:`fail_next` ends the next segment with an error of choice. ``arithmetic`` may
    be changed, as if other machines ran the segments from then on; ``speed`` is what the engine
    tells of itself: it measures nothing.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        before_segment: Callable[[Segment], Awaitable[None]] | None = None,
        speed: Speed | None = None,
    ) -> None:
        self.arithmetic = describe_arithmetic()
        self.speed = speed or Speed()
        self.wanted_workers = 0
        self._limit = workers
        self._before_segment = before_segment
        self._states: StateTable[PackState] = StateTable()
        self._waiting: set[asyncio.Future[SegmentResult]] = set()
        self._next_errors: list[EngineError] = []
        self._threads: ThreadPoolExecutor | None = None
        self._blas_limit = ExitStack()

    @property
    def workers(self) -> int:
        """Segments that run at a time; 0 before the start and after the end."""
        return self._limit if self._threads is not None else 0

    @property
    def capacity(self) -> int:
        """Segments that are to run at a time."""
        return self._limit

    @property
    def memory(self) -> Memory:
        """That of this machine."""
        return Memory.of_this_machine()

    @property
    def problem(self) -> str:
        """It has none."""
        return ""

    def want_workers(self, count: int) -> None:
        """It has the threads that it has; what is wanted is kept for a test to see."""
        self.wanted_workers = count

    async def start(self) -> None:
        """Make the threads. BLAS keeps to one thread a segment, as it does in Ray's workers:
        a product split over threads may differ in its last bits."""
        self._threads = ThreadPoolExecutor(self._limit, thread_name_prefix="segment")
        self._blas_limit.enter_context(threadpool_limits(1))  # type: ignore[no-untyped-call]

    async def run_segment(self, segment: Segment) -> SegmentResult:
        """Run it. Raises :class:`StateLostError` or :class:`SegmentFailedError`."""
        if self._threads is None:
            raise StateLostError("the engine is not running")
        outcome: asyncio.Future[SegmentResult] = asyncio.get_running_loop().create_future()
        self._waiting.add(outcome)
        task = asyncio.create_task(self._run(segment))
        task.add_done_callback(lambda done: _pass_on(done, outcome))
        try:
            return await outcome
        finally:
            self._waiting.discard(outcome)
            task.cancel()

    async def _run(self, segment: Segment) -> SegmentResult:
        if self._before_segment is not None:
            await self._before_segment(segment)
        if self._next_errors:
            raise self._next_errors.pop(0)
        arithmetic = self.arithmetic
        claim = self._states.claim(segment)
        held = [held.state for held in claim.held]
        work = asyncio.get_running_loop().run_in_executor(self._threads, _train, segment, held)
        try:
            state, metrics, seconds = await work
        except SegmentFailedError:
            raise
        except MemoryError:
            raise out_of_memory(len(segment.pack)) from None
        except Exception as error:
            log.exception("segment.failed", pack_key=segment.pack_key)
            raise SegmentFailedError("TRAINING_ERROR", f"{type(error).__name__}: {error}") from None
        else:
            self._states.store(claim, state, seconds)
        finally:
            self._states.release(claim)
        return SegmentResult(metrics, seconds, arithmetic)

    async def save_state(self, snapshot: Snapshot, uri: str) -> SavedState:
        """Write a held state. Raises :class:`StateLostError` or :class:`CheckpointError`."""
        held = self._states.find(snapshot.pack_key, snapshot.epoch)
        return await asyncio.to_thread(save_checkpoint, held.state, snapshot, uri)

    async def load_state(self, pack_key: str, file: CheckpointFile, signature: str) -> LoadedState:
        """Hold a checkpoint's state. Raises :class:`StateLostError` or :class:`CheckpointError`."""
        if self._threads is None:
            raise StateLostError("the engine is not running")
        state, trials = await asyncio.to_thread(load_checkpoint, file, signature)
        self._states.put(pack_key, state.epoch, state)
        return LoadedState(state.epoch, trials)

    async def drop_state(self, pack_key: str) -> None:
        """Forget a pack's state. Unknown keys are no error."""
        self._states.drop(pack_key)

    def share_cluster(self, share: ClusterShare) -> None:
        """Its threads are its own: nothing happens."""

    def lose_state(self) -> None:
        """Forget every state and end every running segment with :class:`StateLostError`."""
        self._states.clear()
        for outcome in self._waiting:
            if not outcome.done():
                outcome.set_exception(StateLostError("the engine was started anew"))

    def fail_next(self, error: EngineError) -> None:
        """End the next segment with ``error`` before it runs."""
        self._next_errors.append(error)

    @property
    def held_states(self) -> int:
        """How many packs have a state here."""
        return len(self._states)

    async def stop(self) -> None:
        """End all workers. Running segments raise StateLostError."""
        self.lose_state()
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)
        self._blas_limit.close()


def _train(
    segment: Segment, states: Sequence[PackState]
) -> tuple[PackState, SegmentMetrics, float]:
    try:
        data = segment_runner.load_data(segment.data)
    except (OSError, ValueError) as error:
        raise SegmentFailedError("DATA_ERROR", f"the data can't be read: {error}") from error
    state, metrics, seconds = segment_runner.run(
        segment.pack,
        data,
        [(state, source.rows) for state, source in zip(states, segment.sources, strict=True)],
        epochs=segment.epochs,
        record_after=segment.record_after,
    )
    if segment.wants_model(metrics):
        segment_runner.write_end_state(segment, state)
    return state, metrics, seconds


def _pass_on(done: asyncio.Task[SegmentResult], outcome: asyncio.Future[SegmentResult]) -> None:
    if done.cancelled():
        return
    error = done.exception()
    if outcome.done():
        return
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())
