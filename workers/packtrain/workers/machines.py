"""The machines that train, as an engine tells of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packtrain.training import Speed

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Memory:
    """Bytes of memory: of all machines that train together, and of the smallest of them."""

    total_bytes: int
    machine_bytes: int

    @classmethod
    def of_this_machine(cls) -> Memory:
        """What this machine, or the container that this process runs in, has."""
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if _CGROUP_LIMIT.is_file() and (text := _CGROUP_LIMIT.read_text().strip()).isdigit():
            found = min(found, int(text))
        return cls(found, found)

    @property
    def is_known(self) -> bool:
        """Whether any machine has been seen."""
        return self != UNKNOWN_MEMORY


UNKNOWN_MEMORY = Memory(1 << 60, 1 << 60)
"""Of machines that nobody has seen: nothing is too large for them."""


@dataclass(frozen=True, kw_only=True)
class Machines:
    """``workers`` are up, each of which runs a segment at a time; ``capacity`` is how many there
    are to be as soon as there is work for them; ``speed`` is that of the slowest machine."""

    workers: int = 0
    capacity: int = 1
    speed: Speed = field(default_factory=Speed)
    memory: Memory = field(default_factory=Memory.of_this_machine)


@dataclass(frozen=True)
class ClusterSize:
    """What the nodes of a cluster that have CPUs have: of them all, of the smallest, and of the
    poorest for each of its CPUs."""

    cpus: int = 0
    memory: Memory = field(default_factory=lambda: Memory(0, 0))
    bytes_per_cpu: int = 0

    def memory_of(self, workers: int) -> Memory:
        """The memory of the cluster once it has grown to so many workers."""
        total = max(self.memory.total_bytes, workers * self.bytes_per_cpu)
        return Memory(total, self.memory.machine_bytes)


def size_cluster(nodes: Iterable[Mapping[str, Any]]) -> ClusterSize:
    """The size of the cluster that ``ray.nodes()`` tells of. A node's memory is what Ray leaves to
    workers: without the object store, and some for Ray itself."""
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    with_cpus = [
        (int(r["CPU"]), int(r.get("memory", 0))) for r in resources if int(r.get("CPU", 0)) > 0
    ]
    if not with_cpus:
        return ClusterSize()
    memory = Memory(sum(size for _, size in with_cpus), min(size for _, size in with_cpus))
    per_cpu = min(size // cpus for cpus, size in with_cpus)
    return ClusterSize(sum(cpus for cpus, _ in with_cpus), memory, per_cpu)
