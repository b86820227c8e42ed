"""A real server: a process of its own, real Ray, a real socket."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packtrain.client import (
    SGD,
    Client,
    DatasetSelection,
    JobHandle,
    JobSpec,
    Network,
    RandomSearch,
    RowRange,
    log_uniform,
)

SPEC = JobSpec(
    dataset=DatasetSelection(name="digits", training_rows=1000, validation=RowRange(first=1500)),
    network=Network(hidden=[30]),
    # The largest of these rates diverge in cost, not in weights: that is found again too.
    optimizer=SGD(learning_rate=log_uniform(0.01, 20), momentum=0.5),
    epochs=200,
    seed=11,
    search=RandomSearch(trials=12),
)


class ServerProcess:
    """`packtrain serve` on a data directory; may be killed and started again on its port."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self._options = options
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "packtrain.service", "--listen", self.address]
        command += ["--data-dir", str(self.data_dir), "--workers", "2", *self._options]
        with (self.data_dir / "server.log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        watchdog = threading.Timer(90, self._process.kill)
        watchdog.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        watchdog.cancel()
        words = line.split()
        assert "on" in words, (self.data_dir / "server.log").read_text()
        self._port = int(words[words.index("on") + 1].rpartition(":")[2])

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
        status = self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return status


def engine_of(service: int) -> int:
    """The process id of a server's engine."""
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            status = (directory / "stat").read_text()
            command = (directory / "cmdline").read_bytes()
        except OSError:
            continue
        parent = int(status.rpartition(")")[2].split()[1])
        if parent == service and b"packtrain.workers" in command:
            return int(directory.name)
    raise AssertionError("the service has no engine")


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Makes servers on data directories below tmp_path; ends them all."""
    made: list[ServerProcess] = []

    def make(name: str = "data", *options: str) -> ServerProcess:
        server = ServerProcess(tmp_path / name, *options)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.terminate()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of a process that leave it as it was."""
    mnist = Path(__file__).parents[3] / "shared" / "data"
    options = ("--datasets", str(mnist)) if (mnist / "mnist").is_dir() else ()
    server = ServerProcess(tmp_path_factory.mktemp("server") / "data", *options)
    server.start()
    yield server
    server.terminate()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


@pytest.fixture(scope="session")
def undisturbed(server: ServerProcess) -> Iterator[JobHandle]:
    """SPEC as it comes out where nothing dies."""
    with Client(server.address) as client:
        yield client.run(SPEC)
