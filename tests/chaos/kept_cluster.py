"""A real Ray cluster of several nodes on this machine, each of which is started again when it ends."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.ray_nodes import TOKEN, RayCluster, RayNode

# As docs/cluster.md and docker-compose.yml have them.
_TIMES = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    "RAY_raylet_liveness_self_check_interval_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
}
ENVIRONMENT = TOKEN | _TIMES
_LOOK_SECONDS = 0.2


class KeptCluster:
    """A head without CPUs, and ``count`` nodes of one CPU each. While there is a head, a node that
    has ended is started again, as systemd, Docker or Kubernetes would."""

    def __init__(self, folder: Path, count: int) -> None:
        self._cluster = RayCluster(folder, head_cpus=0, **_TIMES)
        self.address = self._cluster.address
        self.nodes: list[RayNode] = []
        self._count = count
        self._has_head = True
        self._lock = threading.Lock()
        self._stops = threading.Event()
        self._keeping = threading.Thread(target=self._keep, daemon=True)
        self._keeping.start()

    def lose_head(self) -> None:
        """kill -9 of all its processes."""
        with self._lock:
            self._has_head = False
        self._cluster.head.kill()

    def return_head(self) -> None:
        """Return when it is there again."""
        self._cluster.start_head()
        with self._lock:
            self._has_head = True

    def stop(self) -> None:
        """End all of it."""
        self._stops.set()
        self._keeping.join()
        self._cluster.stop()

    def _keep(self) -> None:
        while not self._stops.wait(_LOOK_SECONDS):
            with self._lock:
                for node in [node for node in self.nodes if node.has_ended]:
                    node.kill()  # what is left of it
                    self.nodes.remove(node)
                while self._has_head and len(self.nodes) < self._count:
                    self.nodes.append(self._cluster.add_node())


@contextlib.contextmanager
def kept_cluster(count: int) -> Iterator[KeptCluster]:
    """A cluster until the block is left."""
    # Ray's sockets are in this folder, and their paths may not be long.
    folder = Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp"))
    try:
        cluster = KeptCluster(folder, count)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
