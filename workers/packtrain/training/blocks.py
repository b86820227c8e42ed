"""Divides a pack into blocks: trials that share every choice of arithmetic, few enough to stay
in cache.

Because the trials of a block agree on the cost, the order of the rows, and on which terms they
have at all (momentum, L1, dropout), a kernel needs no masks, and what a trial computes can't
depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.spec import Cost, Trials


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """B trials of a pack: ``rows`` are their places in it; columns are (B,) in float64."""

    rows: NDArray[np.intp]
    cost: Cost
    order_seed: int
    seeds: NDArray[np.uint64]
    learning_rate: NDArray[np.float64]
    momentum: NDArray[np.float64]
    l2: NDArray[np.float64]
    l1: NDArray[np.float64]
    dropout: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_momentum(self) -> bool:
        return bool(self.momentum[0] > 0)

    @property
    def has_l1(self) -> bool:
        return bool(self.l1[0] > 0)

    @property
    def has_dropout(self) -> bool:
        return bool(self.dropout[0] > 0)

    def select(self, keep: NDArray[Any]) -> Block:
        """The block of the trials that ``keep``, a mask or places, names."""
        names = ("rows", "seeds", "learning_rate", "momentum", "l2", "l1", "dropout")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})


def divide_trials(trials: Trials, rows: NDArray[np.intp], most_trials: int) -> Iterator[Block]:
    """Blocks of at most ``most_trials`` that together hold the trials at ``rows`` once each."""
    columns = np.stack(
        [
            trials.cost[rows].astype(np.uint64),
            trials.order_seeds[rows],
            (trials.momentum[rows] > 0).astype(np.uint64),
            (trials.l1[rows] > 0).astype(np.uint64),
            (trials.dropout[rows] > 0).astype(np.uint64),
        ],
        axis=1,
    )
    _, group = np.unique(columns, axis=0, return_inverse=True)
    in_groups = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group))
    for places in np.split(in_groups, ends[:-1]) if len(rows) else ():
        # Of even size: a small last block would pay as much overhead as a full one.
        for part in np.array_split(places, -(-len(places) // most_trials)):
            yield _make_block(trials, rows[part])


def _make_block(trials: Trials, rows: NDArray[np.intp]) -> Block:
    return Block(
        rows=rows,
        cost=trials.costs[int(trials.cost[rows[0]])],
        order_seed=int(trials.order_seeds[rows[0]]),
        seeds=trials.seeds[rows],
        learning_rate=trials.learning_rate[rows],
        momentum=trials.momentum[rows],
        l2=trials.l2[rows],
        l1=trials.l1[rows],
        dropout=trials.dropout[rows],
    )
