"""A pack between two segments, and what a segment measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PackState:
    """Everything that a pack needs to go on after ``epoch`` epochs.

    For layer l of L: ``weights[l]`` is (K, n_in, n_out), ``biases[l]`` is (K, n_out), of the
    pack's data type; the velocities have the same shapes and are empty tuples where no trial of
    the pack has momentum. ``diverged_at`` is (K,): the epoch in which a trial's numbers ceased
    to be finite, or 0.
    """

    epoch: int
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    weight_velocities: tuple[Array, ...]
    bias_velocities: tuple[Array, ...]
    diverged_at: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.diverged_at)

    def select(self, rows: NDArray[np.intp]) -> PackState:
        """The state of these rows, in this order."""
        return PackState(
            self.epoch,
            tuple(w[rows] for w in self.weights),
            tuple(b[rows] for b in self.biases),
            tuple(v[rows] for v in self.weight_velocities),
            tuple(v[rows] for v in self.bias_velocities),
            self.diverged_at[rows],
        )


def stack_states(states: Sequence[PackState]) -> PackState:
    """One state of all trials of ``states``, which are at one epoch and of one shape."""
    if len({s.epoch for s in states}) != 1:
        raise ValueError("states must be at the same epoch to be stacked")

    def joined(name: str) -> tuple[Array, ...]:
        return tuple(
            np.concatenate(arrays)
            for arrays in zip(*(getattr(s, name) for s in states), strict=True)
        )

    return PackState(
        states[0].epoch,
        joined("weights"),
        joined("biases"),
        joined("weight_velocities"),
        joined("bias_velocities"),
        np.concatenate([s.diverged_at for s in states]),
    )


@dataclass(frozen=True, eq=False)
class SegmentMetrics:
    """What a segment measured.

    ``values`` is (K, epochs, metrics) in float32: the first epoch is ``first_epoch`` (from 1),
    the metrics are in the order of ``names``. NaN where nothing was measured and after the
    epoch in which a trial diverged. ``diverged_at`` is (K,): that epoch, or 0.
    """

    first_epoch: int
    names: tuple[str, ...]
    values: NDArray[np.float32]
    diverged_at: NDArray[np.int32]
