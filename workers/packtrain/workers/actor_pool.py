"""The workers of an engine: actors of one CPU each, as many as are to be, each dead one replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray
import structlog

from packtrain.training import Speed
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.demand import Demand
from packtrain.workers.engine import EngineStartError
from packtrain.workers.liveness import SILENT, wait_until_lost
from packtrain.workers.machines import ClusterSize, Machines, size_cluster
from packtrain.workers.segment_actor import SegmentActor, Whereabouts

LOOK_SECONDS = 5.0
"""How often the cluster's size is looked at: nodes come and go in tens of seconds."""
COMPANY_SECONDS = 5.0
"""How long the first worker waits for the others before the engine begins: packs are sized by the
number of workers, which on a cluster may take minutes to be complete."""
RETRY_SECONDS = (1.0, 30.0)
"""First and longest pause after an actor that could not be started."""

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Worker:
    """An actor that is up; ``gone`` is set when its process has died, or is given up."""

    handle: Any
    where: Whereabouts
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    is_idle: bool = False

    @property
    def alive(self) -> bool:
        """Whether it may be handed out."""
        return not self.gone.is_set()


class ActorPool:
    """Hands out idle workers. ``on_change`` is told of the machines whenever workers come and go,
    for the first time when :meth:`start` returns.

    There is a worker for each CPU of the cluster, as nodes come and go, but no more than ``limit``.
    With ``max_workers`` there are as many as are wanted instead, up to so many: those for which no
    CPU is there yet wait in Ray, whose autoscaler then adds nodes, and those that were not wanted
    for ``idle_seconds`` end, so that it can take nodes away.

    The first worker of each node measures its speed before it takes segments; the slowest node's
    counts, because a job is done when its last pack is.
    """

    def __init__(
        self,
        limit: int | None,
        on_change: Callable[[Machines], None],
        max_workers: int | None = None,
        idle_seconds: float = 0.0,
    ) -> None:
        self._limit = limit
        self._max_workers = max_workers
        self._on_change = on_change
        make_actor: Any = ray.remote  # its annotations lack max_concurrency
        self._actor = make_actor(
            # Ray's own retries are silent and, when memory runs out, endless: ours alone.
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=3,
        )(SegmentActor)
        # The last to become idle is the first to be busy again: the others may be let go.
        self._idle: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()
        self._workers: set[Worker] = set()
        self._silent_nodes: set[str] = set()
        # By node; None while one of its workers measures.
        self._speeds: dict[str, Speed | None] = {}
        self._size = ClusterSize()
        self._demand = Demand(idle_seconds)
        self._wanted = 0
        self._share: ClusterShare | None = None
        self._is_started = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._first: asyncio.Future[None] | None = None
        self._pause = RETRY_SECONDS[0]

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those that are up."""
        return tuple(self._workers)

    async def start(self) -> None:
        """Return when all workers are up, or some of them after a while. Raises
        :class:`EngineStartError` if the first one dies."""
        self._first = asyncio.get_running_loop().create_future()
        self._keep(asyncio.create_task(self._watch_cluster()))
        await self._first
        if self._starting:
            await asyncio.wait(self._starting, timeout=COMPANY_SECONDS)
        self._is_started = True
        self._tell()

    async def acquire(self) -> Worker:
        """An idle worker, waiting for one in turn."""
        while True:
            worker = await self._idle.get()
            if worker.alive:
                worker.is_idle = False
                return worker

    def release(self, worker: Worker) -> None:
        """It is idle again, or others need its CPU. The dead are already being replaced."""
        if not worker.alive:
            return
        worker.is_idle = True
        self._idle.put_nowait(worker)
        if self._share is not None:
            self._let_go()

    def share_cluster(self, share: ClusterShare) -> None:
        """Other engines use the cluster too: have no more workers than this."""
        self._share = share
        self._resize()

    def want(self, count: int) -> None:
        """There is work for so many workers."""
        self._demand.tell(count, asyncio.get_running_loop().time())
        self._resize()

    def is_silent(self, node: str) -> bool:
        """Whether a node hangs: what it holds can't be had now, and may be gone."""
        return node in self._silent_nodes

    def kill(self, worker: Worker) -> None:
        """End a worker that does not answer; another takes its place."""
        if worker.where.node_id == ray.get_runtime_context().get_node_id():
            # A stopped process takes no message, and holds its memory until it is killed.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(worker.where.process_id, signal.SIGKILL)
        self.discard(worker)

    def discard(self, worker: Worker) -> None:
        """Give up a worker that a call found dead, which may be known here before the pool's own
        watch on it tells: it must not be handed out once more."""
        ray.kill(worker.handle)
        self._bury(worker)

    async def stop(self) -> None:
        """Start no more workers. Those that are up end with the connection to Ray."""
        tasks = self._tasks | self._starting
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch_cluster(self) -> None:
        while True:
            nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
            size = size_cluster(nodes)
            self._silent_nodes &= {node["NodeID"] for node in nodes if node["Alive"]}
            has_changed, self._size = size != self._size, size
            self._resize()
            if has_changed:
                self._tell()
            await asyncio.sleep(LOOK_SECONDS)

    def _resize(self) -> None:
        self._wanted = self._count_wanted()
        # Not for a node that is gone: its workers are found dead, and live ones would be ended in
        # their stead.
        if self._max_workers is not None or self._share is not None:
            self._let_go()
        self._fill()

    def _count_wanted(self) -> int:
        if self._max_workers is not None:
            peak = self._demand.peak(asyncio.get_running_loop().time())
            # What is shared is the cluster as large as it may become.
            return min(peak, self._share_of(self._max_workers))
        cpus = self._share_of(self._size.cpus)
        return cpus if self._limit is None else min(cpus, self._limit)

    def _share_of(self, cpus: int) -> int:
        return cpus if self._share is None else self._share.workers(cpus)

    def _let_go(self) -> None:
        """End idle workers that are not wanted, those first that have the fewest beside them, so
        that whole nodes become free."""
        excess = len(self._workers) - self._wanted
        if excess <= 0:
            return
        beside = Counter(worker.where.node_id for worker in self._workers)
        idle = [worker for worker in self._workers if worker.is_idle]
        for worker in sorted(idle, key=lambda w: beside[w.where.node_id])[:excess]:
            log.info("worker.let_go", node=worker.where.node_id)
            worker.gone.set()
            self._workers.discard(worker)
            ray.kill(worker.handle)
            self._tell()

    def _fill(self) -> None:
        while len(self._workers) + len(self._starting) < self._wanted:
            task = asyncio.create_task(self._bring_up())
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)
        # A node that is gone leaves actors behind that wait for a place.
        excess = len(self._workers) + len(self._starting) - self._wanted
        for task in list(self._starting)[: max(0, excess)]:
            task.cancel()

    async def _bring_up(self) -> None:
        handle = self._actor.remote()
        try:
            worker = Worker(handle, await handle.locate.remote())
            await self._measure(worker)
        except asyncio.CancelledError:
            ray.kill(handle)
            raise
        except ray.exceptions.RayError as error:
            await self._give_up(error)
            return
        self._pause = RETRY_SECONDS[0]
        self._silent_nodes.discard(worker.where.node_id)
        self._workers.add(worker)
        self.release(worker)
        self._keep(asyncio.create_task(self._attend(worker)))
        self._tell()
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    async def _measure(self, worker: Worker) -> None:
        """Measure the node's speed, unless that is known or being measured."""
        node = worker.where.node_id
        if node in self._speeds:
            return
        self._speeds[node] = None
        try:
            self._speeds[node] = await worker.handle.measure.remote()
        except ray.exceptions.RayTaskError as error:
            # It trains all the same.
            log.warning("worker.not_measured", node=node, error=str(error))
        finally:
            if self._speeds[node] is None:
                del self._speeds[node]

    def _slowest(self) -> Speed:
        nodes = {worker.where.node_id for worker in self._workers}
        known = {node: speed for node, speed in self._speeds.items() if speed is not None}
        # Between two workers there may be none; those that come are on nodes like these.
        speeds = [speed for node, speed in known.items() if node in nodes] or known.values()
        return Speed.slowest(speeds) if known else Speed()

    async def _give_up(self, error: Exception) -> None:
        log.error("worker.start_failed", error=str(error))
        if self._first is not None and not self._first.done():
            sentence = str(error).strip().splitlines()[-1]
            self._first.set_exception(
                EngineStartError(f"a Ray worker can't be started: {sentence}")
            )
        # Until the next look at the cluster at least: then it is tried again.
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, RETRY_SECONDS[1])

    async def _attend(self, worker: Worker) -> None:
        why = await wait_until_lost(worker.handle)
        if not worker.alive:
            return
        node = worker.where.node_id
        others = any(w.where.node_id == node for w in self._workers if w is not worker)
        if why == SILENT:
            log.warning("worker.silent", process_id=worker.where.process_id, node=node)
            if not others:
                self._silent_nodes.add(node)
            self.kill(worker)
        self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        if not worker.alive:
            return
        worker.gone.set()
        self._workers.discard(worker)
        log.warning("worker.lost", process_id=worker.where.process_id, node=worker.where.node_id)
        self._tell()
        self._fill()

    def _tell(self) -> None:
        if not self._is_started:
            return
        capacity = max(1, self._max_workers or self._wanted)
        self._on_change(
            Machines(
                workers=len(self._workers),
                capacity=capacity,
                speed=self._slowest(),
                memory=self._size.memory_of(capacity if self._max_workers else 0),
            )
        )

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
