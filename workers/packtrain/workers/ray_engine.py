"""Runs segments on Ray. Lives in the engine process, whose loop is the Ray driver's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import ray
import structlog
from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from packtrain.training import PackState, Speed, TrainingData
from packtrain.workers.actor_pool import ActorPool, Worker
from packtrain.workers.checkpoints import load_checkpoint, save_checkpoint
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.data_store import DataStore
from packtrain.workers.engine import (
    CheckpointError,
    CheckpointFile,
    LoadedState,
    SavedState,
    Segment,
    SegmentFailedError,
    SegmentResult,
    Snapshot,
    StateLostError,
)
from packtrain.workers.messages import EngineOptions, EngineReport
from packtrain.workers.segment_runner import write_end_state
from packtrain.workers.state_table import Claim, StateTable

RETRIES = 3
"""How often a segment runs again after its worker died. A worker that dies four times over one
segment is killed by it, not by chance."""

_LOST = (RayActorError, ActorUnavailableError, WorkerCrashedError, NodeDiedError)
_FULL = (OutOfMemoryError, ObjectStoreFullError, OutOfDiskError, MemoryError)

log = structlog.get_logger(__name__)

StateRef: TypeAlias = "ray.ObjectRef[PackState]"
DataRef: TypeAlias = "ray.ObjectRef[TrainingData]"
Outcome: TypeAlias = "tuple[StateRef, SegmentResult]"


class WorkerLostError(Exception):
    """A worker died, or did not answer in time, with a segment in its hands."""


class RayEngine:
    """Runs segments on the cluster that this process is connected to.

    States stay in the object store; this process holds references to them, and a state's
    reference is given up only once its successor is there.
    """

    def __init__(self, options: EngineOptions, on_change: Callable[[int, Speed], None]) -> None:
        self._options = options
        self._pool = ActorPool(options.workers, on_change)
        self._states: StateTable[StateRef] = StateTable()
        store_bytes = ray.cluster_resources().get("object_store_memory", 10**9)  # type: ignore[no-untyped-call]
        self._data = DataStore(int(store_bytes) // 2)
        self._occupied: set[asyncio.Task[Outcome]] = set()
        # One checkpoint is written and one is read at a time: no more memory than that is in use.
        self._savers = ThreadPoolExecutor(1, thread_name_prefix="save")
        self._loaders = ThreadPoolExecutor(1, thread_name_prefix="load")

    async def start(self) -> None:
        """Return when workers are up. Raises :class:`EngineStartError`."""
        await self._pool.start()

    async def run_segment(self, segment: Segment) -> SegmentResult:
        """Run it, on another worker if need be.

        Raises :class:`StateLostError`, or :class:`SegmentFailedError` with the reason
        ``TRAINING_ERROR``, ``DATA_ERROR``, ``OUT_OF_MEMORY``, ``WORKER_LOST``,
        ``MODEL_NOT_WRITTEN`` or ``DISK_FULL``, after which it can be run again.
        """
        claim = self._states.claim(segment)
        try:
            state, result = await self._run_until_done(segment, claim)
            if segment.wants_model(result.metrics):
                await asyncio.to_thread(_write_model, segment, state)
            self._states.store(claim, state, result.seconds)
        finally:
            self._states.release(claim)
        return result

    async def _run_until_done(self, segment: Segment, claim: Claim[StateRef]) -> Outcome:
        lost = ""
        for _ in range(1 + RETRIES):
            data = await self._data.find(segment.data)
            try:
                return await self._run_once(segment, claim, data)
            except WorkerLostError as error:
                lost = str(error)
                log.warning("segment.worker_lost", pack_key=segment.pack_key, error=lost)
            except ObjectLostError as error:
                # Objects go with the node that held them, and it may have been the data.
                self._data.forget(segment.data)
                lost = str(error).strip().splitlines()[0]
                log.warning("segment.object_lost", pack_key=segment.pack_key, error=lost)
                if claim.held:
                    for source in segment.sources:
                        self._states.drop(source.pack_key)
                    raise StateLostError(
                        f"a state that pack {segment.pack_key} goes on from was on a node that is "
                        "gone"
                    ) from error
        raise SegmentFailedError(
            "WORKER_LOST", f"{1 + RETRIES} workers died one after another: {lost}"
        )

    async def _run_once(self, segment: Segment, claim: Claim[StateRef], data: DataRef) -> Outcome:
        worker = await self._pool.acquire()
        # A task of its own: when the caller is cancelled the worker stays busy until its call,
        # which can't be interrupted, returns.
        task = asyncio.create_task(self._occupy(worker, segment, claim, data))
        self._occupied.add(task)
        task.add_done_callback(self._finish_occupied)
        return await asyncio.shield(task)

    def _finish_occupied(self, task: asyncio.Task[Outcome]) -> None:
        self._occupied.discard(task)
        if not task.cancelled():
            task.exception()  # told to the caller, if there still is one

    async def _occupy(
        self, worker: Worker, segment: Segment, claim: Claim[StateRef], data: DataRef
    ) -> Outcome:
        try:
            state, told = worker.handle.train.options(num_returns=2).remote(
                segment.pack,
                [data],
                segment.epochs,
                segment.record_after,
                [source.rows for source in segment.sources],
                *(held.state for held in claim.held),
            )
            metrics, seconds = await self._await_answer(
                worker, told, self._deadline(segment, claim)
            )
        finally:
            self._pool.release(worker)
        return state, SegmentResult(metrics, seconds, worker.where.arithmetic)

    async def _await_answer(self, worker: Worker, told: ray.ObjectRef[Any], seconds: float) -> Any:
        answer = asyncio.wrap_future(told.future())
        done, _ = await asyncio.wait({answer}, timeout=seconds)
        if not done:
            answer.add_done_callback(lambda late: late.cancelled() or late.exception())
            self._pool.kill(worker)
            raise WorkerLostError(f"a worker did not answer within {seconds:.0f} s")
        try:
            return answer.result()
        except (RayError, MemoryError) as error:
            if isinstance(error, (*_LOST, OutOfMemoryError)):
                self._pool.discard(worker)
            raise _translate(error) from error

    def _deadline(self, segment: Segment, claim: Claim[StateRef]) -> float:
        """Seconds: Ray notices a dead process at once, a hung node only after a minute, and a
        stopped process never."""
        seconds_per_epoch = claim.seconds_per_epoch
        if seconds_per_epoch is None:
            least, expected = self._options.first_deadline_seconds, segment.expected_seconds
        else:
            least = self._options.least_deadline_seconds
            expected = seconds_per_epoch * segment.epochs
        return max(least, self._options.deadline_factor * expected)

    async def save_state(self, snapshot: Snapshot, uri: str) -> SavedState:
        """Write a held state. Raises :class:`StateLostError` or :class:`CheckpointError`."""
        held = self._states.find(snapshot.pack_key, snapshot.epoch)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._savers, _save, held.state, snapshot, uri)

    async def load_state(self, pack_key: str, file: CheckpointFile, signature: str) -> LoadedState:
        """Hold a checkpoint's state. Raises :class:`CheckpointError`."""
        loop = asyncio.get_running_loop()
        loaded, state = await loop.run_in_executor(self._loaders, _load, file, signature)
        self._states.put(pack_key, loaded.epoch, state)
        return loaded

    def drop_state(self, pack_key: str) -> None:
        """Forget a pack's state. Unknown keys are no error."""
        self._states.drop(pack_key)

    def share_cluster(self, share: ClusterShare) -> None:
        """Use no more than this of the cluster."""
        self._pool.share_cluster(share)

    def describe(self) -> EngineReport:
        """What this engine holds."""
        return EngineReport(
            process_id=os.getpid(),
            worker_process_ids=tuple(w.where.process_id for w in self._pool.workers),
            busy_workers=len(self._occupied),
            held_states=len(self._states),
            held_data=len(self._data),
        )

    async def stop(self) -> None:
        """End the tasks; the workers end with the connection to Ray."""
        await self._pool.stop()
        for task in tuple(self._occupied):
            task.cancel()
        self._states.clear()
        for threads in (self._savers, self._loaders):
            threads.shutdown(wait=False, cancel_futures=True)


def _translate(error: BaseException) -> Exception:
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, ObjectLostError):
        return cause
    if isinstance(cause, _FULL):
        return SegmentFailedError(
            "OUT_OF_MEMORY", "a worker ran out of memory; train fewer trials at a time"
        )
    if isinstance(error, _LOST):
        return WorkerLostError(str(error).strip().splitlines()[0])
    log.error("segment.failed", error=str(error))
    return SegmentFailedError("TRAINING_ERROR", f"{type(cause).__name__}: {cause}")


def _save(state: StateRef, snapshot: Snapshot, uri: str) -> SavedState:
    # Here and not in the worker, as models are. The state is not copied: it is read where the
    # object store has it.
    try:
        found = ray.get(state)
    except RayError as error:
        raise CheckpointError(f"the state is lost: {str(error).strip().splitlines()[0]}") from error
    return save_checkpoint(found, snapshot, uri)


def _load(file: CheckpointFile, signature: str) -> tuple[LoadedState, StateRef]:
    state, trials = load_checkpoint(file, signature)
    try:
        return LoadedState(state.epoch, trials), ray.put(state)
    except (RayError, MemoryError) as error:
        sentence = f"{file.uri} can't be held: {str(error).strip().splitlines()[0]}"
        raise CheckpointError(sentence) from error


def _write_model(segment: Segment, state: StateRef) -> None:
    # Here and not in the worker, which may be on another machine, without this one's folders.
    write_end_state(segment, ray.get(state))
