"""How stored inputs are scaled: block by block, so that they may lie in a memory map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.refusals import DataError

# Rows that are converted at a time: a block of 784 float64 inputs is 13 MB.
_BLOCK_ROWS = 2048

Rows = NDArray[np.int64]


class Scaling(StrEnum):
    """What is done to the inputs; the figures come from the training rows alone."""

    NONE = "none"
    STANDARDIZE = "standardize"
    MIN_MAX = "min_max"


@dataclass(frozen=True, eq=False)
class Scale:
    """What is taken away from each input, and what the difference is then divided by: each
    (features,), infinity for an input that is constant."""

    scaling: Scaling
    offset: NDArray[np.float64]
    divisor: NDArray[np.float64]

    def apply(self, part: NDArray[Any]) -> NDArray[Any]:
        """Scaled rows, (rows, features)."""
        if self.scaling is Scaling.NONE:
            return part
        return np.asarray((part - self.offset) / self.divisor)


def blocks_of(rows: Rows | slice) -> Iterator[Rows | slice]:
    """The rows in their order, some at a time."""
    if isinstance(rows, slice):
        for first in range(rows.start, rows.stop, _BLOCK_ROWS):
            yield slice(first, min(first + _BLOCK_ROWS, rows.stop))
    else:
        for first in range(0, len(rows), _BLOCK_ROWS):
            yield rows[first : first + _BLOCK_ROWS]


def count_rows(rows: Rows | slice) -> int:
    """How many they are."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def measure_scale(inputs: NDArray[Any], rows: Rows | slice, scaling: Scaling) -> Scale:
    """The figures of these rows. Raises :class:`DataError` where they are not finite."""
    features = inputs.shape[1]
    if scaling is Scaling.NONE:
        return Scale(scaling, np.zeros(features), np.ones(features))
    low, high = np.full(features, np.inf), np.full(features, -np.inf)
    total = np.zeros(features)
    # What overflows is refused below, in words.
    with np.errstate(over="ignore", invalid="ignore"):
        for block in blocks_of(rows):
            part = inputs[block]
            np.minimum(low, part.min(axis=0), out=low)
            np.maximum(high, part.max(axis=0), out=high)
            total += part.sum(axis=0, dtype=np.float64)
        # By its extremes, because the rounded variance of a constant need not be 0.
        constant = low == high
        if scaling is Scaling.MIN_MAX:
            offset, divisor = low, high - low
        else:
            offset = np.where(constant, low, total / count_rows(rows))
            divisor = _deviation(inputs, rows, offset)
    _check_finite(scaling, offset, divisor)
    return Scale(scaling, offset, np.where(constant | (divisor == 0), np.inf, divisor))


def _deviation(
    inputs: NDArray[Any], rows: Rows | slice, mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    squares = np.zeros(len(mean))
    for block in blocks_of(rows):
        squares += np.square(inputs[block] - mean).sum(axis=0)
    return np.asarray(np.sqrt(squares / count_rows(rows)))


def _check_finite(
    scaling: Scaling, offset: NDArray[np.float64], divisor: NDArray[np.float64]
) -> None:
    wrong = ~(np.isfinite(offset) & np.isfinite(divisor))
    if wrong.any():
        figure = "range" if scaling is Scaling.MIN_MAX else "mean and standard deviation"
        raise DataError(
            "scaling",
            f"the {figure} of input {int(wrong.argmax())} over the training rows can't be told: "
            "its numbers are too large, or not finite",
        )
