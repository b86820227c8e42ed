"""One life of the engine process, seen from the service: born, asked, buried."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from packtrain.workers import failpoints
from packtrain.workers.channel import Channel
from packtrain.workers.cluster_address import describe_cluster
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
from packtrain.workers.machines import Machines
from packtrain.workers.messages import (
    Answer,
    Answered,
    CancelRequest,
    DescribeEngine,
    DropState,
    EngineOptions,
    EngineReport,
    LoadState,
    MachinesChanged,
    Refused,
    RunSegment,
    SaveState,
    ShareCluster,
    StartFailed,
    WantWorkers,
)
from packtrain.workers.process_session import end_session

LOG_NAME = "engine.log"
LOG_BYTES = 10 * 1024 * 1024
"""A log that has grown past this is begun anew with the next process."""
LAST_WORDS_BYTES = 4096
PING_SECONDS = 3.0
"""An engine is asked so long after its last answer, which takes it a millisecond."""
LOOK_SECONDS = 3.0
LOOKS = 5
"""One that does not answer in so many looks of so many seconds is given up. Of a time in which the
service itself was stopped no more than one look counts."""
END_SECONDS = 12.0
"""How long a child may take to end Ray; it takes 1 to 2 s on an idle machine."""

log = structlog.get_logger(__name__)


class EngineChild:
    """A running engine process."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: Channel,
        scratch: Path,
        log_file: BinaryIO,
        place: str,
    ) -> None:
        self.machines = Machines()
        self._process = process
        self._channel = channel
        self._scratch = scratch
        self._log_file = log_file
        self._place = place
        self._log_start = log_file.tell()
        self._request_ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._was_ready = False
        self._is_gone = False

    @classmethod
    async def spawn(
        cls, log_dir: Path | None, ray_address: str | None, **options: Any
    ) -> EngineChild:
        """Start a process; ``options`` are the others of :class:`EngineOptions`. Raises :class:`EngineStartError` where the system does not let it."""
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as undo, theirs:
            undo.enter_context(ours)
            try:
                # Not below TMPDIR, which may be long: see EngineOptions.
                scratch = Path(tempfile.mkdtemp(prefix="packtrain-", dir=_short_folder()))
                undo.callback(shutil.rmtree, scratch, ignore_errors=True)
                log_file = undo.enter_context(_open_log(log_dir))
                process = await _execute(theirs, log_file)
            except OSError as error:
                sentence = f"the engine process can't be started: {error}"
                raise EngineStartError(sentence) from error
            undo.pop_all()
        place = describe_cluster(ray_address) if ray_address else "this machine"
        child = cls(process, await Channel.over(ours), scratch, log_file, place)
        child._channel.post(EngineOptions(ray_address=ray_address, scratch=scratch, **options))
        return child

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Return when it has a worker. Raises :class:`EngineStartError`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                message = await self._channel.receive()
        except TimeoutError:
            raise EngineStartError(
                f"the engine had no worker after {timeout_seconds:.0f} s; check that "
                f"{self._place} answers and has a free CPU"
            ) from None
        except EOFError:
            await self._wait_exit(END_SECONDS)
            name = self._log_file.name
            more = f" (all that it said is in {name})" if isinstance(name, str) else ""
            raise EngineDiedError(
                f"the engine process ended while it started: {self._last_words()}{more}; start the "
                "server again"
            ) from None
        if isinstance(message, StartFailed):
            raise EngineStartError(message.message)
        self.machines = message.machines
        self._was_ready = True

    async def serve(self, on_change: Callable[[], None]) -> None:
        """Take its messages until it dies, or hangs, and is killed; then every request raises
        StateLostError."""
        taking = asyncio.create_task(self._take_all(on_change))
        pinging = asyncio.create_task(self._wait_silent())
        try:
            await asyncio.wait({taking, pinging}, return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                taking.result()
            else:
                log.error("engine.silent", process_id=self._process.pid)
                self._process.kill()
        finally:
            for task in (taking, pinging):
                task.cancel()
            await asyncio.wait({taking, pinging})

    async def _take_all(self, on_change: Callable[[], None]) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self._take(await self._channel.receive(), on_change)

    async def _wait_silent(self) -> None:
        """Return when it no longer answers: it is stopped, or its event loop hangs."""
        while True:
            await asyncio.sleep(PING_SECONDS)
            answer = asyncio.create_task(self.describe())
            try:
                for _ in range(LOOKS):
                    await asyncio.wait({answer}, timeout=LOOK_SECONDS)
                if not answer.done():
                    return
            finally:
                answer.cancel()

    def _take(self, message: object, on_change: Callable[[], None]) -> None:
        match message:
            case MachinesChanged(machines):
                self.machines = machines
                on_change()
            case Answered(request_id, answer):
                waiting = self._waiting.get(request_id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
            case Refused(request_id):
                waiting = self._waiting.get(request_id)
                if waiting is not None and not waiting.done():
                    waiting.set_exception(message.error())

    async def run_segment(self, segment: Segment) -> SegmentResult:
        """Run it. Raises :class:`StateLostError` or :class:`SegmentFailedError`."""
        request_id = next(self._request_ids)
        await failpoints.hit_async("service.before_segment_sent", _lost)
        answer = await self._ask(request_id, RunSegment(request_id, segment))
        await failpoints.hit_async("service.after_result_received", _lost)
        assert isinstance(answer, SegmentResult)
        return answer

    async def save_state(self, snapshot: Snapshot, uri: str) -> SavedState:
        """Write a held state. Raises :class:`StateLostError` or :class:`CheckpointError`."""
        request_id = next(self._request_ids)
        answer = await self._ask(request_id, SaveState(request_id, snapshot, uri))
        assert isinstance(answer, SavedState)
        return answer

    async def load_state(self, pack_key: str, file: CheckpointFile, signature: str) -> LoadedState:
        """Hold a checkpoint's state. Raises :class:`StateLostError` or :class:`CheckpointError`."""
        request_id = next(self._request_ids)
        answer = await self._ask(request_id, LoadState(request_id, pack_key, file, signature))
        assert isinstance(answer, LoadedState)
        return answer

    async def describe(self) -> EngineReport:
        """What the process holds."""
        request_id = next(self._request_ids)
        answer = await self._ask(request_id, DescribeEngine(request_id))
        assert isinstance(answer, EngineReport)
        return answer

    def drop_state(self, pack_key: str) -> None:
        """Forget a pack's state."""
        self._channel.post(DropState(pack_key))

    def want_workers(self, count: int) -> None:
        """There is work for so many."""
        self._channel.post(WantWorkers(count))

    def share_cluster(self, share: ClusterShare) -> None:
        """Use no more than this of the cluster."""
        self._channel.post(ShareCluster(share))

    async def _ask(self, request_id: int, request: object) -> Answer:
        if self._is_gone:
            raise StateLostError("the engine process is gone")
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = waiting
        try:
            self._channel.post(request)
            return await waiting
        except asyncio.CancelledError:
            self._channel.post(CancelRequest(request_id))
            raise
        finally:
            del self._waiting[request_id]

    async def bury(self) -> str:
        """End the process and all that it started, and every request with StateLostError.

        Returns its last words.
        """
        self._is_gone = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(StateLostError("the engine process is gone"))
        await self._channel.close()
        # One that is still starting does not listen before Ray is up, and has nothing to lose.
        if not await self._wait_exit(END_SECONDS if self._was_ready else 1.0):
            self._process.kill()
            await self._process.wait()
        await end_session(self._process.pid, patience_seconds=2.0 if self._was_ready else 0.5)
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        with self._log_file:
            return self._last_words()

    async def _wait_exit(self, timeout_seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._process.wait()
        return self._process.returncode is not None

    @property
    def exit_status(self) -> int | None:
        """The process's, negative for a signal; None while it runs."""
        return self._process.returncode

    def _last_words(self) -> str:
        end = self._log_file.seek(0, 2)
        self._log_file.seek(max(self._log_start, end - LAST_WORDS_BYTES))
        text = self._log_file.read().decode(errors="replace")
        return next(
            (line for line in reversed(text.split("\n")) if line.strip()), "it said nothing"
        )


def _lost() -> Exception:
    return StateLostError("a failpoint was reached")


async def _execute(theirs: socket.socket, log_file: BinaryIO) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # not the working directory, where a ray.py may lie
        "-m",
        "packtrain.workers.engine_process",
        str(theirs.fileno()),
        stdin=subprocess.DEVNULL,
        stdout=log_file,
        stderr=log_file,
        pass_fds=(theirs.fileno(),),
        # Ctrl-C in the terminal is for the service, which then ends the engine.
        start_new_session=True,
    )


def _short_folder() -> str | None:
    return "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - mkdtemp makes a private one


def _open_log(log_dir: Path | None) -> BinaryIO:
    if log_dir is None:
        return tempfile.TemporaryFile()
    log_dir.mkdir(parents=True, exist_ok=True)
    path = log_dir / LOG_NAME
    is_full = path.exists() and path.stat().st_size > LOG_BYTES
    log_file = path.open("wb+" if is_full else "ab+")
    log_file.seek(0, 2)
    return log_file
