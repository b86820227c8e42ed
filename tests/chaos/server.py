"""`packtrain serve` on a port of its own, to be killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.chaos.processes import child_ids, kill_session

from packtrain.workers.failpoints import VARIABLE

START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class ServerProcess:
    """A server on ``data_dir``, and whatever it starts; its log is named after it."""

    def __init__(
        self, data_dir: Path, *options: str, workers: int | None = 2, name: str = "server"
    ) -> None:
        self.data_dir = data_dir
        self.name = name
        self._options = options if workers is None else ("--workers", str(workers), *options)
        self.address = f"127.0.0.1:{_free_port()}"
        self.started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        # Engines lead sessions of their own, and outlive a killed server by some seconds.
        self._sessions: set[int] = set()

    @property
    def pid(self) -> int:
        """The process id of the server that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it and its lives before said."""
        return self._log_path.read_text(errors="replace")

    def told(self, event: str, since: int = 0) -> list[dict[str, Any]]:
        """The events of this name in its log, from that many letters on."""
        lines = self.log[since:].splitlines()
        return [json.loads(line) for line in lines if f'"event": "{event}"' in line]

    @property
    def _log_path(self) -> Path:
        return self.data_dir / f"{self.name}.log"

    def start(self, failpoints: str = "", **environment: str) -> None:
        """Begin a start; it is not waited for."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "packtrain.service", "--listen", self.address]
        command += ["--data-dir", str(self.data_dir), *self._options]
        with self._log_path.open("a") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | {VARIABLE: failpoints} | environment,
                start_new_session=True,  # Ctrl-C is for the harness, which then ends this
            )
        self.started_at = time.monotonic()

    def wait_serving(self, timeout_seconds: float = START_SECONDS) -> float:
        """Wait until the API serves; the seconds since the start. Raises RuntimeError."""
        request = health_pb2.HealthCheckRequest()
        with grpc.insecure_channel(self.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while True:
                with contextlib.suppress(grpc.RpcError):
                    if (
                        stub.Check(request, timeout=5).status
                        == health_pb2.HealthCheckResponse.SERVING
                    ):
                        return time.monotonic() - self.started_at
                took = time.monotonic() - self.started_at
                if took > timeout_seconds or not self.is_alive:
                    raise RuntimeError(
                        f"the server does not serve after {took:.1f} s: {self.log[-2000:]}"
                    )
                time.sleep(0.02)

    def wait_exit(self, timeout_seconds: float) -> int | None:
        """Its exit status, negative for a signal; None where it still runs."""
        assert self._process is not None
        self._note_engines()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_seconds)
        self._note_engines()
        return None

    def engine(self, timeout_seconds: float = START_SECONDS) -> int:
        """The process id of its engine."""
        until = time.monotonic() + timeout_seconds
        while time.monotonic() < until:
            for child in child_ids(self.pid):
                with contextlib.suppress(OSError):
                    if b"engine_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                        self._sessions.add(child)
                        return child
            time.sleep(0.02)
        raise RuntimeError("the service has no engine")

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def signal(self, number: int) -> None:
        """Send the server itself a signal."""
        self._note_engines()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self, timeout_seconds: float = _STOP_SECONDS) -> tuple[int | None, float]:
        """SIGTERM: its exit status, None where it did not end in time, and how long it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.wait_exit(timeout_seconds), time.monotonic() - began

    def clean_up(self) -> None:
        """End it and all that its lives started."""
        if self._process is None:
            return
        if self.is_alive:
            status, _ = self.terminate()
            if status is None:
                self.kill()
        for session in self._sessions:
            kill_session(session)

    def _note_engines(self) -> None:
        if self.is_alive:
            self._sessions.update(child_ids(self.pid))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
