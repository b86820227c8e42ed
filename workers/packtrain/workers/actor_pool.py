"""The workers of an engine: as many actors as there are CPUs, each dead one replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
import structlog

from packtrain.training import Speed
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.engine import EngineStartError
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
    """An actor that is up. ``alive`` turns false when its process dies."""

    handle: Any
    where: Whereabouts
    alive: bool = True


class ActorPool:
    """Hands out idle workers. ``on_change`` is told the number of workers that are up and their
    speed, for the first time when :meth:`start` returns.

    The first worker of each node measures its speed before it takes segments; the slowest node's
    counts, because a job is done when its last pack is.
    """

    def __init__(self, limit: int | None, on_change: Callable[[int, Speed], None]) -> None:
        self._limit = limit
        self._on_change = on_change
        make_actor: Any = ray.remote  # its annotations lack max_concurrency
        self._actor = make_actor(
            # Ray's own retries are silent and, when memory runs out, endless: ours alone.
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=2,
        )(SegmentActor)
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._workers: set[Worker] = set()
        # By node; None while one of its workers measures.
        self._speeds: dict[str, Speed | None] = {}
        self._cpus = 0
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
                return worker

    def release(self, worker: Worker) -> None:
        """It is idle again, or others need its CPU. The dead are already being replaced."""
        if not worker.alive:
            return
        self._idle.put_nowait(worker)
        if self._share is not None:
            self._retire_excess()

    def share_cluster(self, share: ClusterShare) -> None:
        """Other engines use the cluster too: have no more workers than this."""
        self._share = share
        self._want()
        self._fill()
        self._retire_excess()

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
            resources = await asyncio.to_thread(ray.cluster_resources)
            self._cpus = int(resources.get("CPU", 0))
            self._want()
            self._fill()
            await asyncio.sleep(LOOK_SECONDS)

    def _want(self) -> None:
        cpus = self._cpus if self._share is None else self._share.workers(self._cpus)
        self._wanted = cpus if self._limit is None else min(cpus, self._limit)

    def _fill(self) -> None:
        while len(self._workers) + len(self._starting) < self._wanted:
            task = asyncio.create_task(self._bring_up())
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)
        # A node that is gone leaves actors behind that wait for a place.
        excess = len(self._workers) + len(self._starting) - self._wanted
        for task in list(self._starting)[: max(0, excess)]:
            task.cancel()

    def _retire_excess(self) -> None:
        """End idle workers whose CPUs are others'. Not for a node that is gone, where none
        shares: its workers are found dead, and live ones would be ended in their stead."""
        while len(self._workers) > self._wanted and not self._idle.empty():
            worker = self._idle.get_nowait()
            if worker.alive:
                worker.alive = False
                self._workers.discard(worker)
                ray.kill(worker.handle)
                log.info("worker.retired", process_id=worker.where.process_id)
                self._tell()

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
        self._workers.add(worker)
        self._idle.put_nowait(worker)
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
        with contextlib.suppress(ray.exceptions.RayError):
            await worker.handle.stay.remote()
        self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        if not worker.alive:
            return
        worker.alive = False
        self._workers.discard(worker)
        log.warning("worker.lost", process_id=worker.where.process_id, node=worker.where.node_id)
        self._tell()
        self._fill()

    def _tell(self) -> None:
        if self._is_started:
            self._on_change(len(self._workers), self._slowest())

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
