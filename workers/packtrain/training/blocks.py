"""Divides a pack into blocks: trials that share every choice of arithmetic, few enough to stay
in cache.

Because the trials of a block agree on the cost, on the rows that they are shown (their order and
noise), and on which terms they have at all (momentum, L1, dropout, a decay that is more than
gentle), a kernel needs no masks, and what a trial computes can't depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.spec import Cost, Trials

# Steps that keep so much of a weight can be put together: their product stays far from 0.
GENTLE_KEEP = 0.9


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """B trials of a pack: ``rows`` are their places in it; columns are (B,) in float64.
    ``training_rows`` is n of the formulas (Nielsen, chapter 3)."""

    rows: NDArray[np.intp]
    cost: Cost
    order_seed: int
    input_noise: float
    seeds: NDArray[np.uint64]
    learning_rate: NDArray[np.float64]
    momentum: NDArray[np.float64]
    l2: NDArray[np.float64]
    l1: NDArray[np.float64]
    dropout: NDArray[np.float64]
    training_rows: int

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

    @property
    def decay(self) -> NDArray[np.float64]:
        """eta lambda / n, (B,): the share of a weight that L2 takes in a step."""
        return self.learning_rate * self.l2 / self.training_rows

    @property
    def shrink(self) -> NDArray[np.float64]:
        """eta lambda_1 / n, (B,): what L1 takes from a weight in a step."""
        return self.learning_rate * self.l1 / self.training_rows

    @property
    def is_linear(self) -> bool:
        """Whether a step is w <- k w - gradient, with k near 1 or 1."""
        gentle = bool(1 - self.decay[0] >= GENTLE_KEEP)
        return gentle and not (self.has_momentum or self.has_l1)

    def select(self, keep: NDArray[Any]) -> Block:
        """The block of the trials that ``keep``, a mask or places, names."""
        names = ("rows", "seeds", "learning_rate", "momentum", "l2", "l1", "dropout")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})


def divide_trials(
    trials: Trials, rows: NDArray[np.intp], most_trials: int, training_rows: int
) -> Iterator[Block]:
    """Blocks of at most ``most_trials`` that together hold the trials at ``rows`` once each."""
    if not len(rows):
        return
    whole = _make_block(trials, rows, training_rows)
    flags = (whole.momentum > 0, whole.l1 > 0, whole.dropout > 0, 1 - whole.decay >= GENTLE_KEEP)
    # Noise by its bits: columns are whole numbers.
    noise = trials.input_noise[rows].view(np.uint64)
    choices = (trials.cost[rows], trials.order_seeds[rows], noise, *flags)
    columns = np.stack([choice.astype(np.uint64) for choice in choices], axis=1)
    _, group = np.unique(columns, axis=0, return_inverse=True)
    in_groups = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group))
    for places in np.split(in_groups, ends[:-1]):
        # Of even size: a small last block would pay as much overhead as a full one.
        for part in np.array_split(places, -(-len(places) // most_trials)):
            yield _make_block(trials, rows[part], training_rows)


def _make_block(trials: Trials, rows: NDArray[np.intp], training_rows: int) -> Block:
    return Block(
        rows=rows,
        cost=trials.costs[int(trials.cost[rows[0]])],
        order_seed=int(trials.order_seeds[rows[0]]),
        input_noise=float(trials.input_noise[rows[0]]),
        seeds=trials.seeds[rows],
        learning_rate=trials.learning_rate[rows],
        momentum=trials.momentum[rows],
        l2=trials.l2[rows],
        l1=trials.l1[rows],
        dropout=trials.dropout[rows],
        training_rows=training_rows,
    )
