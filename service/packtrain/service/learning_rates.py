"""Which learning rates work, told from the costs of trials that differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Costs are recorded in float32: what differs by less than some of its steps is the same.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class RateFinding:
    """The largest rate at which the cost still fell, the rate that ended with the least cost, and
    one to start from; None where there is none."""

    threshold: float | None
    best: float | None
    suggestion: float | None


def find_rates(rates: NDArray[np.float64], costs: NDArray[np.float32]) -> RateFinding:
    """What the costs tell (Nielsen, chapter 3, "How to choose a neural network's
    hyper-parameters?"; Smith, 2017).

    ``rates`` (points,) ascend; ``costs`` is (points, epochs), after each epoch that was measured,
    and holds NaN or infinity where a trial diverged. The threshold ends the run of rates, from
    the smallest, whose cost fell from the first epoch to the last and never exceeded the first;
    rates so small that no change shows in float32 may lead that run. The suggestion is half the
    threshold, or the best rate where that is smaller.
    """
    if costs.shape[:1] != rates.shape or costs.ndim != 2 or costs.shape[1] < 1:
        raise ValueError(f"costs: expected shape ({len(rates)}, epochs), got {costs.shape}.")
    costs = costs.astype(np.float64)
    finite = np.asarray(np.isfinite(costs).all(axis=1))
    # Compared as though it had diverged, without arithmetic on infinities.
    costs = np.where(finite[:, None], costs, np.nan)
    first, last = costs[:, 0], costs[:, -1]
    step = _ROUNDING * np.abs(first)
    fell = (last < first - step) & np.all(costs <= (first + step)[:, None], axis=1)
    still = np.all(np.abs(costs - first[:, None]) <= step[:, None], axis=1)
    works = fell | (still & ~np.logical_or.accumulate(fell))
    run = len(rates) if works.all() else int(np.argmin(works))
    threshold = float(rates[run - 1]) if fell[:run].any() else None
    best = float(rates[np.nanargmin(last)]) if finite.any() else None
    if threshold is None or best is None:
        return RateFinding(threshold, best, None)
    return RateFinding(threshold, best, min(threshold / 2, best))


class CostCourses:
    """The course of each trial's cost, gathered from blocks of what was measured: its first,
    greatest, least and last value, which is all that :func:`find_rates` asks for."""

    def __init__(self, trials: int) -> None:
        self._courses = np.full((trials, 4), np.nan, np.float32)

    def add(self, trials: NDArray[np.int32], costs: NDArray[np.float32]) -> None:
        """Take in ``costs`` (trials, epochs), NaN where nothing was measured, each trial's epochs
        in their order."""
        measured = ~np.isnan(costs)
        rows = np.flatnonzero(measured.any(axis=1))
        costs, measured, trials = costs[rows], measured[rows], trials[rows]
        at = np.arange(len(rows))
        first = costs[at, measured.argmax(axis=1)]
        last = costs[at, measured.shape[1] - 1 - measured[:, ::-1].argmax(axis=1)]
        known = self._courses[trials]
        self._courses[trials] = np.stack(
            [
                np.where(np.isnan(known[:, 0]), first, known[:, 0]),
                np.fmax(known[:, 1], np.fmax.reduce(costs, axis=1)),
                np.fmin(known[:, 2], np.fmin.reduce(costs, axis=1)),
                last,
            ],
            axis=1,
        )

    def costs(self, succeeded: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(trials, 4), NaN for a trial that did not succeed."""
        return np.where(succeeded[:, None], self._courses, np.float32(np.nan))
