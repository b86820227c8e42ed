"""A real `packtrain serve`, for as long as it is measured."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service.processes import child_ids, cpu_seconds

_STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A server that listens on ``address``."""

    address: str
    process_id: int
    data_dir: Path

    @property
    def engine_ids(self) -> list[int]:
        """The engine's process: the service's child."""
        return list(child_ids(self.process_id))

    def cpu_seconds(self) -> float:
        """Processor time of the service and of its engine, which hands segments out; the workers'
        is not in it."""
        return sum(cpu_seconds(each) for each in (self.process_id, *self.engine_ids))


@contextlib.contextmanager
def running_server(data_dir: Path, workers: int, datasets: Sequence[Path]) -> Iterator[Server]:
    """Start one on a free port of the loopback, and stop it at the end."""
    data_dir.mkdir(parents=True)
    command = [sys.executable, "-m", "packtrain.service", "--listen", "127.0.0.1:0"]
    command += ["--data-dir", str(data_dir), "--workers", str(workers)]
    for directory in datasets:
        command += ["--datasets", str(directory)]
    with (data_dir / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if "on" not in words:
            told = (data_dir / "server.log").read_text().strip()
            raise SystemExit(f"the server did not start: {told}")
        yield Server(words[words.index("on") + 1], process.pid, data_dir)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
