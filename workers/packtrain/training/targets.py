"""What targets stand for, and how a cost sees them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.costs import smooth_targets, weigh_rows
from packtrain.training.kernel import Rows
from packtrain.training.spec import Cost

# Rows that are looked at a time: stored targets may be a memory map.
_BLOCK_ROWS = 2048


class TargetKind(StrEnum):
    """What targets stand for, and with it which metrics they have.

    CLASSES: each row is of one class, as a one-hot row or as a single 0 or 1. LABELS: each of two
    or more columns is a label that a row has, 1, or has not, 0. NUMBERS: anything else.
    """

    CLASSES = "classes"
    LABELS = "labels"
    NUMBERS = "numbers"


def find_target_kind(*targets: NDArray[Any]) -> TargetKind:
    """What stored targets stand for, (rows,) or (rows, columns) as in
    :class:`packtrain.training.Split`: those of all splits that are used, with all their rows, so
    that it doesn't hang on the rows that are selected.

    Class labels are classes, and so are one-hot rows; two or more columns of 0 and 1 that are not
    one-hot are labels.
    """
    if all(are_labels(part) for part in targets):
        return TargetKind.CLASSES
    if any(part.ndim != 2 or part.shape[1] < 2 for part in targets):
        return TargetKind.NUMBERS
    one_hot = True
    for part in targets:
        for first in range(0, len(part), _BLOCK_ROWS):
            values = part[first : first + _BLOCK_ROWS]
            if not ((values == 0) | (values == 1)).all():
                return TargetKind.NUMBERS
            one_hot = one_hot and bool((values.sum(axis=1) == 1).all())
    return TargetKind.CLASSES if one_hot else TargetKind.LABELS


def are_labels(targets: NDArray[Any]) -> bool:
    """Whether stored targets are class labels, (rows,) of whole numbers."""
    return targets.ndim == 1 and targets.dtype.kind in "iu"


class SplitRows:
    """Rows x (n, inputs) with targets y (n, outputs). What the last cost made of the targets is
    kept: blocks come ordered by cost."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        self._plain = Rows(x, y)
        self._cost: Cost | None = None
        self._shown = self._plain

    def __len__(self) -> int:
        return len(self._plain)

    def under(self, cost: Cost) -> Rows:
        """The rows as ``cost`` takes them: with its label smoothing and class weights."""
        if cost != self._cost:
            x, y = self._plain.x, self._plain.y
            weights = weigh_rows(cost, y)
            column = None if weights is None else weights[:, np.newaxis]
            self._cost, self._shown = cost, Rows(x, smooth_targets(cost, y), column)
        return self._shown
