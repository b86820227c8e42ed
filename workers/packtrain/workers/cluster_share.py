"""How several engines share one Ray cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterShare:
    """``demands`` are how many workers each engine could use, (engines,), in an order that is the
    same for all of them; ``position`` is where this engine stands in it."""

    demands: tuple[int, ...]
    position: int

    def workers(self, cpus: int) -> int:
        """How many of the cluster's CPUs are this engine's."""
        return share_cpus(cpus, self.demands)[self.position]


def share_cpus(cpus: int, demands: Sequence[int]) -> list[int]:
    """CPUs for each engine: at least one; beyond that as evenly as their demands let, and what
    nobody needs now as evenly as can be, so that it is there when it is needed."""
    shares = [1] * len(demands)
    left = cpus - len(demands)
    for wanted in (demands, [cpus] * len(demands)):
        hungry = deque(i for i, share in enumerate(shares) if share < wanted[i])
        while left > 0 and hungry:
            i = hungry.popleft()
            shares[i] += 1
            left -= 1
            if shares[i] < wanted[i]:
                hungry.append(i)
    return shares
