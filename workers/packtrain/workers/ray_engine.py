"""Runs segments on Ray. Lives in the engine process, whose loop is the Ray driver's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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

from packtrain.training import PackState, TrainingData
from packtrain.workers.actor_pool import ActorPool, Worker
from packtrain.workers.checkpoints import load_checkpoint, save_checkpoint
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.data_store import DataStore
from packtrain.workers.deadlines import find_deadline
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
    out_of_memory,
)
from packtrain.workers.machines import Machines
from packtrain.workers.messages import EngineOptions, EngineReport
from packtrain.workers.segment_runner import write_end_state
from packtrain.workers.state_table import Claim, StateTable

DEATHS = 4
"""One epoch of one network over which so many workers die one after another is what kills them,
not chance."""
DEATHS_OF_MORE = 2
"""The same of more epochs or networks: whoever asked for them tries fewer, so that a mistake costs
little, and a worker that the system ends for want of memory is not told from others."""
LOOK_SECONDS = 2.0
"""How often it is asked, while a segment runs, whether a node that it begins from is silent."""

_LOST = (RayActorError, ActorUnavailableError, WorkerCrashedError, NodeDiedError)
_FULL = (OutOfMemoryError, ObjectStoreFullError, OutOfDiskError, MemoryError)

log = structlog.get_logger(__name__)

StateRef: TypeAlias = "ray.ObjectRef[PackState]"
DataRef: TypeAlias = "ray.ObjectRef[TrainingData]"
Outcome: TypeAlias = "tuple[PlacedState, SegmentResult]"


@dataclass(frozen=True, eq=False)
class PlacedState:
    """A state in the object store, and the node on which it came to be."""

    reference: StateRef
    node_id: str


class WorkerLostError(Exception):
    """A worker died, or did not answer in time, with a segment in its hands; ``reason`` is what the
    segment fails with if that goes on."""

    def __init__(self, message: str, reason: str = "WORKER_LOST") -> None:
        super().__init__(message)
        self.reason = reason


class NodeSilentError(Exception):
    """A node hangs that holds a state which a segment begins from."""


class RayEngine:
    """Runs segments on the cluster that this process is connected to.

    States stay in the object store; this process holds references to them, and a state's
    reference is given up only once its successor is there.
    """

    def __init__(self, options: EngineOptions, on_change: Callable[[Machines], None]) -> None:
        self._options = options
        self._pool = ActorPool(
            options.workers, on_change, options.max_workers, options.idle_seconds
        )
        self._states: StateTable[PlacedState] = StateTable()
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
        ``TRAINING_ERROR``, ``DATA_ERROR``, ``DATA_TOO_LARGE``, ``OUT_OF_MEMORY``, ``WORKER_LOST``,
        ``MODEL_NOT_WRITTEN`` or ``DISK_FULL``, after which it can be run again.
        """
        claim = self._states.claim(segment)
        try:
            state, result = await self._run_until_done(segment, claim)
            if segment.wants_model(result.metrics):
                await asyncio.to_thread(_write_model, segment, state.reference)
            self._states.store(claim, state, result.seconds)
        finally:
            self._states.release(claim)
        return result

    async def _run_until_done(self, segment: Segment, claim: Claim[PlacedState]) -> Outcome:
        count = len(segment.pack)
        lost = WorkerLostError("")
        for _ in range(DEATHS if count * segment.epochs == 1 else DEATHS_OF_MORE):
            data = await self._data.find(segment.data)
            try:
                return await self._run_once(segment, claim, data)
            except WorkerLostError as error:
                lost = error
                log.warning("segment.worker_lost", pack_key=segment.pack_key, error=str(error))
                if error.reason == "OUT_OF_MEMORY" and count > 1:
                    break
            except (ObjectLostError, NodeSilentError) as error:
                # Objects go with the node that held them, and it may have been the data.
                self._data.forget(segment.data)
                lost = WorkerLostError(_first_line(error))
                log.warning(
                    "segment.object_lost",
                    pack_key=segment.pack_key,
                    nodes=sorted({held.state.node_id for held in claim.held}),
                    error=str(lost),
                )
                if claim.held:
                    for source in segment.sources:
                        self._states.drop(source.pack_key)
                    raise StateLostError(
                        f"a state that pack {segment.pack_key} goes on from was on a node that is "
                        "gone"
                    ) from error
        if lost.reason == "OUT_OF_MEMORY":
            raise out_of_memory(count)
        what = "this network alone" if count == 1 else f"these {count} networks"
        raise SegmentFailedError(
            "WORKER_LOST",
            f"one worker after another died over {what}, most likely for want of memory: {lost}",
        )

    async def _run_once(
        self, segment: Segment, claim: Claim[PlacedState], data: DataRef
    ) -> Outcome:
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
        self, worker: Worker, segment: Segment, claim: Claim[PlacedState], data: DataRef
    ) -> Outcome:
        try:
            self._require_sources(claim)
            state, told = worker.handle.train.options(num_returns=2).remote(
                segment.pack,
                [data],
                segment.epochs,
                segment.record_after,
                [source.rows for source in segment.sources],
                *(held.state.reference for held in claim.held),
            )
            deadline = find_deadline(self._options, segment, claim.seconds_per_epoch)
            metrics, seconds = await self._await_answer(
                worker, told, claim, deadline, len(segment.pack)
            )
        finally:
            self._pool.release(worker)
        placed = PlacedState(state, worker.where.node_id)
        return placed, SegmentResult(metrics, seconds, worker.where.arithmetic)

    def _require_sources(self, claim: Claim[PlacedState]) -> None:
        """Raise NodeSilentError where a state that is to be had is on a node that hangs: Ray would
        wait for it until it gives the node up, after a minute."""
        for held in claim.held:
            if self._pool.is_silent(held.state.node_id):
                raise NodeSilentError(f"node {held.state.node_id} does not answer")

    async def _await_answer(
        self,
        worker: Worker,
        told: ray.ObjectRef[Any],
        claim: Claim[PlacedState],
        seconds: float,
        trials: int,
    ) -> Any:
        answer = asyncio.wrap_future(told.future())
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        gone = asyncio.ensure_future(worker.gone.wait())
        give_up_at = asyncio.get_running_loop().time() + seconds
        try:
            while not answer.done():
                left = give_up_at - asyncio.get_running_loop().time()
                if left <= 0:
                    self._pool.kill(worker)
                    raise WorkerLostError(f"a worker did not answer within {seconds:.0f} s")
                await asyncio.wait(
                    {answer, gone},
                    timeout=min(left, LOOK_SECONDS),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not answer.done():
                    await self._require_present(worker, answer, claim)
            return answer.result()
        except NodeSilentError:
            # It waits for a state that does not come, and all later calls wait behind this one.
            self._pool.discard(worker)
            raise
        except (RayError, MemoryError) as error:
            if isinstance(error, (*_LOST, OutOfMemoryError)):
                self._pool.discard(worker)
            raise _translate(error, trials) from error
        finally:
            gone.cancel()

    async def _require_present(
        self, worker: Worker, answer: asyncio.Future[Any], claim: Claim[PlacedState]
    ) -> None:
        """Raise WorkerLostError where the worker was given up, NodeSilentError where a node that
        the segment begins from hangs."""
        if not worker.alive:
            # The call itself tells why it died, at about the same time.
            await asyncio.wait({answer}, timeout=1.0)
            if not answer.done():
                raise WorkerLostError("a worker is silent: its process or its node hangs")
        self._require_sources(claim)

    def want_workers(self, count: int) -> None:
        """There is work for so many workers."""
        self._pool.want(count)

    async def save_state(self, snapshot: Snapshot, uri: str) -> SavedState:
        """Write a held state. Raises :class:`StateLostError` or :class:`CheckpointError`."""
        held = self._states.find(snapshot.pack_key, snapshot.epoch)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._savers, _save, held.state.reference, snapshot, uri)

    async def load_state(self, pack_key: str, file: CheckpointFile, signature: str) -> LoadedState:
        """Hold a checkpoint's state. Raises :class:`CheckpointError`."""
        loop = asyncio.get_running_loop()
        loaded, state = await loop.run_in_executor(self._loaders, _load, file, signature)
        here = ray.get_runtime_context().get_node_id()
        self._states.put(pack_key, loaded.epoch, PlacedState(state, here))
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


def _translate(error: BaseException, trials: int) -> Exception:
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, ObjectLostError):
        return cause
    if isinstance(error, OutOfMemoryError):
        return WorkerLostError(_first_line(error), "OUT_OF_MEMORY")
    if isinstance(cause, _FULL):
        return out_of_memory(trials)
    if isinstance(error, _LOST):
        return WorkerLostError(_first_line(error))
    log.error("segment.failed", error=str(error))
    return SegmentFailedError("TRAINING_ERROR", f"{type(cause).__name__}: {cause}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


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
