"""A pack between two segments, and what a segment measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32] | NDArray[np.float64]


Layers = tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class Watch:
    """How a metric has fared that a rule goes by: its best value so far, and the epoch of it, or
    of what the rule last did; each (K,). NaN and 0 before the first measurement."""

    best: NDArray[np.float64]
    since: NDArray[np.int32]

    @classmethod
    def new(cls, trials: int) -> Watch:
        """Before anything was measured."""
        return cls(np.full(trials, np.nan), np.zeros(trials, np.int32))

    def select(self, rows: NDArray[np.intp]) -> Watch:
        """Those of these rows."""
        return Watch(self.best[rows], self.since[rows])


@dataclass(frozen=True, eq=False)
class PackState:
    """Everything that a pack needs to go on after ``epoch`` epochs.

    For layer l of L: ``weights[l]`` is (K, n_in, n_out), ``biases[l]`` is (K, n_out), of the
    pack's data type; ``weight_moments[i][l]`` and ``bias_moments[i][l]`` have the same shapes,
    for as many i as the rule of any trial keeps moments. ``diverged_at`` and ``stopped_at`` are
    (K,): the epoch in which a trial's numbers ceased to be finite, or in which a rule ended it,
    or 0. ``rate_share`` is (K,): what plateaus have left of the learning rate.
    """

    epoch: int
    weights: Layers
    biases: Layers
    weight_moments: tuple[Layers, ...]
    bias_moments: tuple[Layers, ...]
    diverged_at: NDArray[np.int32]
    stopped_at: NDArray[np.int32]
    rate_share: NDArray[np.float64]
    plateau: Watch
    patience: Watch

    def __len__(self) -> int:
        return len(self.diverged_at)

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Which trials train no further, (K,)."""
        return (self.diverged_at > 0) | (self.stopped_at > 0)

    def select(self, rows: NDArray[np.intp]) -> PackState:
        """The state of these rows, in this order: a copy."""

        def layers(arrays: Layers) -> Layers:
            return tuple(array[rows] for array in arrays)

        return PackState(
            self.epoch,
            layers(self.weights),
            layers(self.biases),
            tuple(map(layers, self.weight_moments)),
            tuple(map(layers, self.bias_moments)),
            self.diverged_at[rows],
            self.stopped_at[rows],
            self.rate_share[rows],
            self.plateau.select(rows),
            self.patience.select(rows),
        )


def stack_states(states: Sequence[PackState]) -> PackState:
    """One state of all trials of ``states``, which are at one epoch and of one shape. Where
    they keep different numbers of moments, those that are missing are 0."""
    if len({s.epoch for s in states}) != 1:
        raise ValueError("states must be at the same epoch to be stacked")
    most = max(len(s.weight_moments) for s in states)

    def join(arrays: Sequence[Layers]) -> Layers:
        return tuple(np.concatenate(layer) for layer in zip(*arrays, strict=True))

    def moments(kept: str, shape: str) -> tuple[Layers, ...]:
        padded = [
            (*getattr(s, kept), *[tuple(map(np.zeros_like, getattr(s, shape)))] * most)[:most]
            for s in states
        ]
        return tuple(join(slot) for slot in zip(*padded, strict=True))

    def watch(name: str) -> Watch:
        watches = [getattr(s, name) for s in states]
        best = np.concatenate([w.best for w in watches])
        return Watch(best, np.concatenate([w.since for w in watches]))

    return PackState(
        states[0].epoch,
        join([s.weights for s in states]),
        join([s.biases for s in states]),
        moments("weight_moments", "weights"),
        moments("bias_moments", "biases"),
        np.concatenate([s.diverged_at for s in states]),
        np.concatenate([s.stopped_at for s in states]),
        np.concatenate([s.rate_share for s in states]),
        watch("plateau"),
        watch("patience"),
    )


@dataclass(frozen=True, eq=False)
class SegmentMetrics:
    """What a segment measured.

    ``values`` is (K, epochs, metrics) in float32: the first epoch is ``first_epoch`` (from 1),
    the metrics are in the order of ``names``. NaN where nothing was measured and after the
    epoch in which a trial diverged or was stopped. In memory it lies epoch by epoch: it is not
    contiguous. ``diverged_at`` and ``stopped_at`` are (K,): that epoch, or 0.
    """

    first_epoch: int
    names: tuple[str, ...]
    values: NDArray[np.float32]
    diverged_at: NDArray[np.int32]
    stopped_at: NDArray[np.int32]
