"""The engine that the service talks to: a child process, started again whenever it dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

from packtrain.training import Speed
from packtrain.workers.cluster_address import describe_cluster, require_answer, split_address
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.engine import (
    CheckpointFile,
    EngineDiedError,
    EngineStartError,
    LoadedState,
    SavedState,
    Segment,
    SegmentResult,
    Snapshot,
    StateLostError,
)
from packtrain.workers.engine_child import EngineChild
from packtrain.workers.machines import UNKNOWN_MEMORY, Machines, Memory
from packtrain.workers.messages import EngineReport
from packtrain.workers.reminder import Reminder

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
"""Short beside the 30 s within which training is to go on once Ray can be reached."""
FIRST_TRIES = 3
LOOK_SECONDS = 1.0
"""How often it is looked whether anybody answers at a cluster's address."""
SLOW_SECONDS = 20.0
"""A cluster that answers and has no worker after so long is told of: Ray itself tries for minutes."""
UNSEEN_WORKERS = 16
"""Packs are cut for so many before anything is known of a cluster. For fewer workers some more
packs than need be cost little; for more workers, too few packs would leave them idle."""

log = structlog.get_logger(__name__)


class EngineStatus(StrEnum):
    """What leads out of each: STARTING to READY or, by :meth:`SupervisedEngine.stop` or a first
    start that fails, to STOPPED; READY to STARTING when the process dies, or to STOPPED."""

    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"


class SupervisedEngine:
    """Runs segments on Ray in a child process, the Ray driver, which dies with Ray's head.

    ``workers`` None: one a CPU. ``ray_address`` None: a Ray cluster of its own, on loopback;
    otherwise "auto" or HOST:PORT of one that may be away, at the start too.
    ``max_workers``: as many workers as :meth:`want_workers` wants, up to so many, on a cluster that
    can grow.
    ``log_dir``: where the child's ``engine.log`` goes; None: only its last words are kept.
    ``on_change`` is called whenever ``status`` or ``workers`` changed. ``times`` are those of
    :class:`packtrain.workers.messages.EngineOptions`.
    """

    def __init__(
        self,
        workers: int | None = None,
        ray_address: str | None = None,
        *,
        max_workers: int | None = None,
        log_dir: Path | None = None,
        start_timeout_seconds: float = 90.0,
        on_change: Callable[[], None] | None = None,
        **times: float,
    ) -> None:
        if ray_address is not None:
            split_address(ray_address)
        self._ray_address = ray_address
        self._options: dict[str, Any] = {
            "workers": workers,
            "max_workers": max_workers,
            **times,
        }
        self._log_dir = log_dir
        self._start_timeout_seconds = start_timeout_seconds
        self._on_change = on_change or (lambda: None)
        self._child: EngineChild | None = None
        # As of the last child, while there is none.
        self._machines = Machines(
            capacity=max_workers or workers or UNSEEN_WORKERS, memory=UNKNOWN_MEMORY
        )
        self._problem = ""
        self._reminder = Reminder()
        self._wanted: int | None = None
        self._share: ClusterShare | None = None
        self._status = EngineStatus.STOPPED
        self._status_changed = asyncio.Event()
        self._supervision: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None

    @property
    def workers(self) -> int:
        """Segments that run at a time; 0 while the engine is not ready."""
        return 0 if self._child is None else self._child.machines.workers

    @property
    def machines(self) -> Machines:
        """Those that train, or were the last to."""
        return self._machines if self._child is None else self._child.machines

    @property
    def capacity(self) -> int:
        """Segments that are to run at a time as soon as there are so many."""
        return self.machines.capacity

    @property
    def speed(self) -> Speed:
        """That of the slowest machine that trains, or was the last to; the usual one before any
        was measured."""
        return self.machines.speed

    @property
    def memory(self) -> Memory:
        """That of the machines that train."""
        return Memory.of_this_machine() if self._ray_address is None else self.machines.memory

    def want_workers(self, count: int) -> None:
        """There is work for so many workers."""
        if count == self._wanted:
            return
        self._wanted = count
        if self._child is not None:
            self._child.want_workers(count)

    @property
    def status(self) -> EngineStatus:
        """Where the engine is in its life."""
        return self._status

    @property
    def problem(self) -> str:
        """Why the last try to start failed; empty while it is ready, and before it is known."""
        return self._problem

    async def start(self) -> None:
        """Return when segments can run. Raises :class:`EngineStartError`.

        On a cluster that others run, return at once: where it can't be reached it is tried for
        again and again, which is logged, and :attr:`problem` tells why.
        """
        if self._supervision is not None:
            raise RuntimeError("the engine was started before")
        self._ready = asyncio.get_running_loop().create_future()
        if self._ray_address is not None:
            self._ready.set_result(None)
        self._change(EngineStatus.STARTING)
        self._supervision = asyncio.create_task(self._supervise(self._ready))
        await self._ready

    async def wait_ready(self) -> None:
        """Return when segments can run. Raises :class:`StateLostError` if they never will."""
        await self._wait_child()

    async def run_segment(self, segment: Segment) -> SegmentResult:
        """Run it; one that begins at epoch 0 waits for an engine that is being started.

        Raises :class:`StateLostError` or :class:`SegmentFailedError`.
        """
        if segment.start_epoch and self._child is None:
            raise StateLostError("the engine process was started anew")
        return await (await self._wait_child()).run_segment(segment)

    async def save_state(self, snapshot: Snapshot, uri: str) -> SavedState:
        """Write a held state. Raises :class:`StateLostError` or :class:`CheckpointError`."""
        if self._child is None:
            raise StateLostError("the engine process was started anew")
        return await self._child.save_state(snapshot, uri)

    async def load_state(self, pack_key: str, file: CheckpointFile, signature: str) -> LoadedState:
        """Hold a checkpoint's state, waiting for an engine that is being started.

        Raises :class:`StateLostError` or :class:`CheckpointError`.
        """
        return await (await self._wait_child()).load_state(pack_key, file, signature)

    async def drop_state(self, pack_key: str) -> None:
        """Forget a pack's state. Unknown keys are no error."""
        if self._child is not None:
            self._child.drop_state(pack_key)

    def share_cluster(self, share: ClusterShare) -> None:
        """Use no more than this of a cluster that other engines use too; one of its own it has to
        itself."""
        if self._ray_address is None or share == self._share:
            return
        self._share = share
        if self._child is not None:
            self._child.share_cluster(share)

    async def describe(self) -> EngineReport:
        """Process ids and numbers of what is held, for diagnosis."""
        return await (await self._wait_child()).describe()

    async def stop(self) -> None:
        """End all workers and processes. Running segments raise StateLostError."""
        if self._supervision is not None:
            self._supervision.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervision
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(EngineStartError("the engine was stopped as it started"))
        self._change(EngineStatus.STOPPED)

    async def _wait_child(self) -> EngineChild:
        while self._child is None:
            if self._status is EngineStatus.STOPPED:
                raise StateLostError("the engine is stopped")
            await self._status_changed.wait()
        return self._child

    def _change(self, status: EngineStatus) -> None:
        self._status = status
        # Wakes all who wait; each looks for itself at what it has become.
        self._status_changed.set()
        self._status_changed = asyncio.Event()
        self._on_change()

    async def _supervise(self, ready: asyncio.Future[None]) -> None:
        pause, tries = FIRST_PAUSE_SECONDS, 1
        while True:
            try:
                await self._live_once(ready)
            except Exception as error:
                died = isinstance(error, EngineDiedError)
                if died and not ready.done() and tries < FIRST_TRIES:
                    tries += 1
                    continue
                if not ready.done():
                    self._change(EngineStatus.STOPPED)
                    # Anything else is a fault of ours, and not to be hidden.
                    ready.set_exception(error)
                    return
                self._tell(error)
            else:
                # It had come up: whatever ended it, it was not its start.
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _tell(self, error: Exception) -> None:
        self._problem = str(error)
        if self._reminder.is_due(self._problem, asyncio.get_running_loop().time()):
            log.warning(
                "engine.start_failed",
                error=self._problem,
                then="it is tried again until it starts; jobs are accepted, and wait",
                exc_info=not isinstance(error, EngineStartError),
            )

    @contextlib.contextmanager
    def _telling_of_slowness(self) -> Iterator[None]:
        if self._ray_address is None:
            yield
            return
        trouble = EngineStartError(
            f"{describe_cluster(self._ray_address)} has given no worker within {SLOW_SECONDS:.0f} s: "
            "it may be starting a node, have no free CPU, or be no Ray cluster"
        )
        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._tell, trouble)
        try:
            yield
        finally:
            slow.cancel()

    async def _wait_answer(self, address: str) -> None:
        was_missed = False
        while True:
            try:
                await require_answer(address)
            except EngineStartError as error:
                self._tell(error)
                was_missed = True
                await asyncio.sleep(LOOK_SECONDS)
            else:
                if was_missed:
                    # To join takes seconds, in which this would be told though it has passed.
                    self._problem = ""
                return

    async def _live_once(self, ready: asyncio.Future[None]) -> None:
        if self._ray_address is not None:
            await self._wait_answer(self._ray_address)
        spawning = asyncio.ensure_future(
            EngineChild.spawn(self._log_dir, self._ray_address, **self._options)
        )
        try:
            child = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            # Half a process can't be buried: it must be whole first.
            await (await spawning).bury()
            raise
        try:
            with self._telling_of_slowness():
                await child.wait_ready(self._start_timeout_seconds)
            self._child = child
            if self._wanted is not None:
                child.want_workers(self._wanted)
            if self._share is not None:
                child.share_cluster(self._share)
            self._problem = ""
            self._reminder.clear()
            self._change(EngineStatus.READY)
            log.info("engine.ready", **asdict(child.machines))
            if not ready.done():
                ready.set_result(None)
            await child.serve(self._on_change)
        finally:
            was_ready, self._child = self._child is not None, None
            if was_ready:
                self._machines = child.machines
                self._change(EngineStatus.STARTING)
            last_words = await child.bury()
            if was_ready and not asyncio.current_task().cancelling():  # type: ignore[union-attr]
                log.error("engine.died", exit_status=child.exit_status, last_words=last_words)
