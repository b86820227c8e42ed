"""A real Ray cluster of several "nodes" on this machine, each in a session of its own, with a token."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from packtrain.workers.process_session import list_session

RAY = Path(sys.executable).with_name("ray")
TOKEN = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "RAY_USAGE_STATS_ENABLED": "0",
}
STORE = "--object-store-memory=100000000"
# Any free ports: Ray's own ranges are the same for every cluster of this machine.
PORTS = ("--min-worker-port=0", "--max-worker-port=0")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class RayNode:
    """A process `ray start --block`, and all that it starts."""

    def __init__(self, log: Path, *options: str, **environment: str) -> None:
        command = [str(RAY), "start", "--block", "--disable-usage-stats", STORE, *PORTS, *options]
        with log.open("a") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=os.environ | TOKEN | environment,
                start_new_session=True,
            )

    @property
    def process_ids(self) -> list[int]:
        return list_session(self._process.pid)

    @property
    def has_ended(self) -> bool:
        """Whether `ray start` has, as it does when the node is cast out."""
        return self._process.poll() is not None

    def find(self, word: str) -> list[int]:
        """Ids of its processes whose command line holds the word."""
        found = []
        for process_id in self.process_ids:
            with contextlib.suppress(OSError):
                if word in Path(f"/proc/{process_id}/cmdline").read_text():
                    found.append(process_id)
        return found

    def signal(self, number: int) -> None:
        for process_id in self.process_ids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, number)

    def kill(self) -> None:
        while self.process_ids:
            self.signal(signal.SIGKILL)
            time.sleep(0.05)
        self._process.wait()


class RayCluster:
    """A head, which has ``head_cpus`` CPUs, and nodes that come and go."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        port: int | None = None,
        head_cpus: int = 1,
        **environment: str,
    ) -> None:
        self.folder = folder
        self.log = folder / "nodes.log"
        port = port or free_port()
        self.address = f"127.0.0.1:{port}"
        self.environment = environment
        self._head_options = [
            "--head",
            "--include-dashboard=false",
            "--node-ip-address=127.0.0.1",
            f"--port={port}",
            f"--ray-client-server-port={free_port()}",
            f"--num-cpus={head_cpus}",
            f"--temp-dir={folder}/ray",
            *options,
        ]
        self.nodes: list[RayNode] = []
        self._places = itertools.count(2)
        self.start_head()

    def start_head(self) -> None:
        """One that is lost comes back at its address, without its memory: nodes have to join anew.

        Ray starts no head while a process on the machine names its address, as nodes of the old one
        do for a while: then it is started again.
        """
        started = self._count_heads()
        self.head = RayNode(self.log, *self._head_options, **self.environment)
        give_up_at = time.monotonic() + 90
        while self._count_heads() == started:
            assert time.monotonic() < give_up_at, self.log.read_text()[-2000:]
            if self.head.has_ended:
                self.head.kill()  # what is left of it
                self.head = RayNode(self.log, *self._head_options, **self.environment)
            time.sleep(0.1)

    def _count_heads(self) -> int:
        return self.log.read_text().count("ray start --address") if self.log.exists() else 0

    def add_node(self, *options: str) -> RayNode:
        """A node of another address of this machine, with one CPU."""
        place = f"--node-ip-address=127.0.0.{next(self._places)}"
        options = (f"--address={self.address}", "--num-cpus=1", place, *options)
        node = RayNode(self.log, *options, **self.environment)
        self.nodes.append(node)
        return node

    def stop(self) -> None:
        for node in (*self.nodes, self.head):
            node.signal(signal.SIGCONT)
            node.kill()


@contextlib.contextmanager
def running_cluster(folder: Path, *options: str, **fields: object) -> Iterator[RayCluster]:
    cluster = RayCluster(folder, *options, **fields)
    try:
        yield cluster
    finally:
        cluster.stop()
