"""The engine process: a Ray driver that serves one channel and ends with it.

Started by :mod:`packtrain.workers.engine_child` as ``python -m packtrain.workers.engine_process
DESCRIPTOR``. It holds no truth: it may die, or be killed, at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from packtrain.workers import failpoints
from packtrain.workers.channel import Channel
from packtrain.workers.engine import (
    EngineError,
    EngineStartError,
    Segment,
    SegmentFailedError,
    SegmentResult,
    StateLostError,
)
from packtrain.workers.messages import (
    Answer,
    Answered,
    CancelRequest,
    DescribeEngine,
    DropState,
    EngineOptions,
    LoadState,
    Refused,
    RunSegment,
    SaveState,
    ShareCluster,
    StartFailed,
    WorkersChanged,
)
from packtrain.workers.ray_environment import set_environment

if TYPE_CHECKING:
    from packtrain.workers.ray_engine import RayEngine

END_SECONDS = 8.0
"""How long Ray may take to end; after that the process goes, and its cluster goes with it."""
REMOVALS = 10

log = structlog.get_logger(__name__)


class EngineProcess:
    """Serves the requests of one channel until it is closed."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._running: dict[int, asyncio.Task[None]] = {}
        self.scratch: Path | None = None

    async def serve(self) -> None:
        """Return when the other end is gone."""
        try:
            options: EngineOptions = await self._channel.receive()
            self.scratch = options.scratch
            await self._serve(options)
        except EOFError:
            log.info("engine.service_gone")
        except EngineStartError as error:
            log.exception("engine.start_failed")
            self._channel.post(StartFailed(str(error)))
            await self._channel.close()

    async def _serve(self, options: EngineOptions) -> None:
        # Nothing else runs yet, so Ray may block: a service that goes away meanwhile is noticed
        # right after.
        failpoints.hit("engine.before_start", _not_started)
        engine = _connect(options, self._channel)
        first_request = asyncio.create_task(self._channel.receive())
        start = asyncio.create_task(engine.start())
        try:
            await asyncio.wait({start, first_request}, return_when=asyncio.FIRST_COMPLETED)
            if not start.done() and first_request.done():
                first_request.result()  # the end of the channel, most likely
            await start
            await failpoints.hit_async("engine.before_ready", _not_started)
            log.info("engine.ready")
            self._take(engine, await first_request)
            while True:
                self._take(engine, await self._channel.receive())
        finally:
            for task in (start, first_request, *self._running.values()):
                task.cancel()
            await engine.stop()

    def _take(self, engine: RayEngine, request: object) -> None:
        match request:
            case RunSegment(request_id, segment):
                self._answer(request_id, _run_segment(engine, segment))
            case SaveState(request_id, snapshot, uri):
                self._answer(request_id, engine.save_state(snapshot, uri))
            case LoadState(request_id, pack_key, file, signature):
                self._answer(request_id, engine.load_state(pack_key, file, signature))
            case CancelRequest(request_id):
                if request_id in self._running:
                    self._running[request_id].cancel()
            case DropState(pack_key):
                engine.drop_state(pack_key)
            case ShareCluster(share):
                engine.share_cluster(share)
            case DescribeEngine(request_id):
                self._channel.post(Answered(request_id, engine.describe()))

    def _answer(self, request_id: int, work: Awaitable[Answer]) -> None:
        task = asyncio.create_task(self._run(request_id, work))
        self._running[request_id] = task
        task.add_done_callback(lambda _: self._running.pop(request_id))

    async def _run(self, request_id: int, work: Awaitable[Answer]) -> None:
        try:
            answer = await work
        except EngineError as error:
            self._channel.post(Refused.by(request_id, error))
        except Exception as error:
            log.exception("request.unexpected_error")
            sentence = f"{type(error).__name__}: {error}"
            self._channel.post(Refused.by(request_id, SegmentFailedError("ENGINE_ERROR", sentence)))
        else:
            self._channel.post(Answered(request_id, answer))


def _not_started() -> Exception:
    return EngineStartError("a failpoint was reached")


async def _run_segment(engine: RayEngine, segment: Segment) -> SegmentResult:
    await failpoints.hit_async("engine.after_segment_received", _lost)
    result = await engine.run_segment(segment)
    await failpoints.hit_async("engine.before_result_sent", _lost)
    return result


def _lost() -> Exception:
    return StateLostError("a failpoint was reached")


def _connect(options: EngineOptions, channel: Channel) -> RayEngine:
    set_environment(is_local=options.ray_address is None)
    try:
        from packtrain.workers import ray_cluster
        from packtrain.workers.ray_engine import RayEngine
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise EngineStartError(
            "Ray is not installed: run `pip install 'packtrain[server]'`"
        ) from error
    ray_cluster.connect(options)
    return RayEngine(options, lambda *change: channel.post(WorkersChanged(*change)))


async def _serve(descriptor: int) -> Path | None:
    """Returns the folder that is to be removed once Ray has ended."""
    end = socket.socket(fileno=descriptor)
    # Ray's processes must not hold the channel open when this one is gone.
    end.set_inheritable(False)
    channel = await Channel.over(end)
    process = EngineProcess(channel)
    serving = asyncio.create_task(process.serve())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    return process.scratch


def _end_ray() -> None:
    watchdog = threading.Timer(END_SECONDS, os._exit, [1])
    watchdog.daemon = True
    watchdog.start()
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


def _remove(folder: Path) -> None:
    # Ray's processes may write their last lines while the folder is being removed.
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.2)


def main() -> None:
    """Serve the channel whose descriptor is the only argument."""
    logging.basicConfig(stream=sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    failpoints.arm_from_environment()
    scratch = None
    try:
        scratch = asyncio.run(_serve(int(sys.argv[1])))
    finally:
        _end_ray()
    if scratch is not None:
        _remove(scratch)


if __name__ == "__main__":
    main()
