"""The arrays of the kernel for tiny layers: trials lie in the last axis, the lanes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import DTypeLike, NDArray

from packtrain.training.activations import NEEDS_Z
from packtrain.training.kernel import Floats
from packtrain.training.spec import Signature

# Lanes are padded to a multiple of this, so that no axis of length 1 makes NumPy sum in another
# order for a single trial than for many.
LANE_MULTIPLE = 16


def count_lanes(trials: int) -> int:
    """The lanes of so many trials."""
    return -(-trials // LANE_MULTIPLE) * LANE_MULTIPLE


def lay_across(values: NDArray[np.float64], fill: float, dtype: DTypeLike) -> Floats:
    """Values of the trials, (trials,), in their lanes, (lanes,); ``fill`` in those beside."""
    laid = np.full(count_lanes(len(values)), fill, dtype)
    laid[: len(values)] = values
    return laid


class LaneParameters:
    """One number for each parameter and trial, 0 at first, in one array ``values`` of shape
    (parameters, lanes): all weights, then all biases. What is done to all of a kind is one call.

    ``weights[l]``, (n_in, n_out, lanes), and ``biases[l]``, (n_out, lanes), are views of it.
    """

    def __init__(self, signature: Signature, trials: int) -> None:
        pairs = list(pairwise(signature.sizes))
        lanes, self._trials = count_lanes(trials), trials
        ends = list(accumulate((n_in * n_out for n_in, n_out in pairs), initial=0))
        bias_ends = list(accumulate(signature.sizes[1:], initial=ends[-1]))
        self.values = np.zeros((bias_ends[-1], lanes), signature.data_type)
        self.all_weights = self.values[: ends[-1]]
        self.all_biases = self.values[ends[-1] :]
        self.weights = [
            self.values[first:end].reshape(*pair, lanes)
            for (first, end), pair in zip(pairwise(ends), pairs, strict=True)
        ]
        self.biases = [self.values[first:end] for first, end in pairwise(bias_ends)]

    def load(self, weights: Sequence[Floats], biases: Sequence[Floats]) -> None:
        """Take over (B, n_in, n_out) and (B, n_out) a layer."""
        pairs = (*zip(self.weights, weights, strict=True), *zip(self.biases, biases, strict=True))
        for lanes, trials in pairs:
            lanes[..., : self._trials] = np.moveaxis(trials, 0, -1)

    def unload(self) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
        """The weights and the biases, each as they were loaded."""
        return tuple(map(self._turn_back, self.weights)), tuple(map(self._turn_back, self.biases))

    def _turn_back(self, array: Floats) -> Floats:
        return np.ascontiguousarray(np.moveaxis(array[..., : self._trials], -1, 0))


class LanePass:
    """Buffers for a pass of ``rows`` rows; ``shown`` are a layer's inputs from the second on."""

    def __init__(self, signature: Signature, trials: int, rows: int) -> None:
        self.trials = slice(0, trials)
        lanes = count_lanes(trials)

        def layers(widths: Sequence[int]) -> list[Floats]:
            return [np.empty((rows, n, lanes), signature.data_type) for n in widths]

        self.a = layers(signature.sizes[1:])
        # Weighted inputs of hidden layers: activations replace them where they can.
        keeps = signature.hidden_activation in NEEDS_Z
        self.weighed = [np.empty_like(a) for a in self.a[:-1]] if keeps else self.a[:-1]
        self.z = np.empty_like(self.a[-1])
        self.delta = layers(signature.sizes[1:])
        self.scratch = layers(signature.sizes[1:])
        self.shown = list(self.a[:-1])
        self.masks: list[Floats] = []

    def make_masks(self) -> None:
        self.shown = [np.empty_like(a) for a in self.a[:-1]]
        self.masks = [np.ones_like(a) for a in self.a[:-1]]

    def total(self, values: Floats, layer: int) -> Floats:  # noqa: ARG002
        return total(values, self.trials.stop)

    def count_rows(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        counts: NDArray[np.intp] = np.count_nonzero(marks, axis=0)
        return counts[self.trials].astype(np.float64)

    def count_rows_by_output(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        counts: NDArray[np.intp] = np.count_nonzero(marks, axis=0)
        return counts.T[self.trials].astype(np.float64)


def total(values: Floats, trials: int) -> Floats:
    """The sum of (..., lanes) over all axes but the last, (trials,): a copy."""
    if values.size == values.shape[-1]:
        return values.ravel()[:trials].copy()
    sums: Floats = np.add.reduce(values.reshape(-1, values.shape[-1]), axis=0)
    return sums[:trials]
