"""How many workers are wanted, how large a cluster is, and how long a segment may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from packtrain.workers.deadlines import find_deadline
from packtrain.workers.demand import Demand
from packtrain.workers.machines import ClusterSize, Memory, size_cluster
from packtrain.workers.messages import EngineOptions

PEAK_SECONDS = 30.0


def test_demand_rises_at_once_and_falls_after_a_while() -> None:
    demand = Demand(PEAK_SECONDS)
    assert demand.peak(0.0) == 1
    demand.tell(3, 1.0)
    demand.tell(8, 2.0)
    demand.tell(7, 3.0)
    assert demand.peak(3.0) == 8
    # For a moment between two segments.
    demand.tell(0, 4.0)
    demand.tell(5, 4.5)
    assert demand.peak(5.0) == 8
    # What was wanted up to 3.0 no longer counts, what was wanted up to 4.0 does.
    assert demand.peak(3.5 + PEAK_SECONDS) == 7
    assert demand.peak(5.0 + PEAK_SECONDS) == 5
    # It lasts until another is told.
    assert demand.peak(1000.0) == 5
    demand.tell(0, 1000.0)
    assert demand.peak(1000.0 + PEAK_SECONDS / 2) == 5
    assert demand.peak(1001.0 + PEAK_SECONDS) == 1


def test_demand_takes_no_memory() -> None:
    demand = Demand(PEAK_SECONDS)
    for second in range(10_000):
        demand.tell(10_000 - second, second)
        demand.peak(second)
    assert len(demand._told) < 2 * PEAK_SECONDS


def node(cpus: float, gigabytes: int, *, alive: bool = True) -> dict[str, Any]:
    resources = {"CPU": cpus} if cpus else {}
    return {"Alive": alive, "Resources": resources | {"memory": float(gigabytes * 10**9)}}


def test_the_size_of_a_cluster() -> None:
    nodes = [node(0, 1), node(4, 8), node(2, 16), node(64, 1, alive=False)]
    size = size_cluster(nodes)
    assert size == ClusterSize(6, Memory(24 * 10**9, 8 * 10**9), 2 * 10**9)
    assert size.memory_of(6) == size.memory
    # Grown by nodes like the poorest.
    assert size.memory_of(40) == Memory(80 * 10**9, 8 * 10**9)
    assert size_cluster([node(0, 1)]) == ClusterSize()


@pytest.mark.parametrize("slower", [1, 5])
@pytest.mark.parametrize("seconds_per_epoch", [1e-6, 0.5, 60.0])
def test_a_busy_machine_keeps_the_deadline(
    segment: Any, seconds_per_epoch: float, slower: int
) -> None:
    options = EngineOptions(workers=1, ray_address=None, scratch=Path())
    epochs = max(1, int(1 / seconds_per_epoch))
    going_on = segment("a", 3, epochs)
    takes = slower * seconds_per_epoch * epochs
    assert find_deadline(options, going_on, seconds_per_epoch) >= 4 * takes
    first = segment("a", 0, epochs, expected_seconds=seconds_per_epoch * epochs)
    assert find_deadline(options, first, None) >= max(900, 4 * takes)
