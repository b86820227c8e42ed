"""Engines on one cluster: how many workers each may have."""

from __future__ import annotations

import pytest

from packtrain.workers.cluster_share import ClusterShare, share_cpus


@pytest.mark.parametrize(
    ("cpus", "demands", "shares"),
    [
        (4, [4], [4]),
        (4, [0], [4]),
        (4, [0, 0], [2, 2]),
        (4, [9, 0], [3, 1]),
        (4, [9, 9], [2, 2]),
        (5, [2, 9], [2, 3]),
        (8, [3, 1, 9], [3, 1, 4]),
        (10, [2, 2], [5, 5]),
        (1, [9, 9], [1, 1]),
        (0, [3], [1]),
    ],
)
def test_as_evenly_as_demands_let(cpus: int, demands: list[int], shares: list[int]) -> None:
    assert share_cpus(cpus, demands) == shares
    assert ClusterShare(tuple(demands), 0).workers(cpus) == shares[0]
