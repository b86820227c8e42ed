"""The trials that no other one beats by every metric."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pareto_front(losses: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows of ``losses`` (trials, metrics), all to be low, no other row dominates.

    A row dominates another where it is as low by every metric and lower by one: equal rows are on
    the front together. A row with a value that is not finite is neither on it nor dominates.
    """
    front = np.zeros(len(losses), bool)
    finite = np.flatnonzero(np.isfinite(losses).all(axis=1))
    if not finite.size:
        return front
    ordered = finite[np.lexsort(losses[finite].T[::-1])]
    rows = losses[ordered]
    # Equal rows stand beside each other: the first of them decides for all.
    first = np.concatenate([[True], np.any(rows[1:] != rows[:-1], axis=1)])
    kept = _front_of_two(rows[first]) if losses.shape[1] == 2 else _front(rows[first])
    front[ordered] = kept[np.cumsum(first) - 1]
    return front


def _front_of_two(ordered: NDArray[np.float32]) -> NDArray[np.bool_]:
    """By the first metric in order, a row counts that is below all before it by the second."""
    before = np.minimum.accumulate(ordered[:, 1])
    return np.concatenate([[True], ordered[1:, 1] < before[:-1]])


def _front(ordered: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Rows in lexical order: none is dominated by a later one, so that the first that is left is
    always on the front, and strikes out what it dominates."""
    kept = np.zeros(len(ordered), bool)
    left = np.arange(len(ordered))
    while left.size:
        first = left[0]
        kept[first] = True
        left = left[np.any(ordered[left] < ordered[first], axis=1)]
    return kept
