"""Which learning rates work, told from the costs of trials that differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

# Costs are recorded in float32: what differs by less than some of its steps is the same.
_ROUNDING = 1e-6
# A change of less, at every rate, is no ground for advice.
_LEAST_CHANGE = 0.01


class RateOutcome(StrEnum):
    """What a range came to: see ``LearningRateOutcome`` of the contract."""

    FOUND = "found"
    ALL_LOWERED = "all_lowered"
    TOO_LOW = "too_low"
    TOO_HIGH = "too_high"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class RateFinding:
    """The largest rate at which the cost still fell, the rate that ended with the least cost, and
    one to start from; None where there is none. ``explanation`` is the advice in words, or why
    there is none; ``outcome`` "unspecified" is of findings from before there was one."""

    threshold: float | None
    best: float | None
    suggestion: float | None
    initial_cost: float | None = None
    outcome: str = "unspecified"
    explanation: str = ""


def find_rates(
    rates: NDArray[np.float64], costs: NDArray[np.float32], initial_cost: float | None
) -> RateFinding:
    """What the costs tell (Nielsen, chapter 3, "How to choose a neural network's
    hyper-parameters?"; Smith, 2017).

    ``rates`` (points,) ascend; ``costs`` is (points, epochs), after each epoch that was measured,
    and holds NaN or infinity where a trial diverged; ``initial_cost`` is the cost before training,
    or None: the first of each trial then stands for it. The threshold ends the run of rates, from
    the smallest, whose cost fell: it ended below the initial and the first, and exceeded neither;
    rates so small that no change shows in float32 may lead that run. The suggestion is half the threshold, or the
    best rate where that is smaller; there is none where the costs give no reason for one.
    """
    if costs.shape[:1] != rates.shape or costs.ndim != 2 or costs.shape[1] < 1:
        raise ValueError(f"costs: expected shape ({len(rates)}, epochs), got {costs.shape}.")
    courses = _compare(costs, initial_cost)
    works = courses.fell | (courses.still & ~np.logical_or.accumulate(courses.fell))
    run = len(rates) if works.all() else int(np.argmin(works))
    best = float(rates[np.nanargmin(courses.ends)]) if courses.ended_lower.any() else None
    outcome = _judge(courses, run)
    if outcome not in (RateOutcome.FOUND, RateOutcome.ALL_LOWERED):
        said = _explain_silence(outcome, courses, run, rates, initial_cost)
        return RateFinding(None, best, None, initial_cost, outcome, said)
    assert best is not None
    threshold = float(rates[run - 1])
    suggestion = min(threshold / 2, best)
    said = _explain_advice(outcome, courses, rates, threshold, best, suggestion)
    return RateFinding(threshold, best, suggestion, initial_cost, outcome, said)


@dataclass(frozen=True, eq=False)
class _Courses:
    """How the cost of each rate went: each (points,). ``ends`` is NaN where the trial diverged;
    ``still``: float32 tells no change; ``hardly``: no change of a part that matters."""

    ends: NDArray[np.float64]
    ended_lower: NDArray[np.bool_]
    fell: NDArray[np.bool_]
    still: NDArray[np.bool_]
    hardly: NDArray[np.bool_]


def _compare(costs: NDArray[np.float32], initial_cost: float | None) -> _Courses:
    wide = costs.astype(np.float64)
    # Compared as though it had diverged, without arithmetic on infinities.
    finite = np.asarray(np.isfinite(wide).all(axis=1))
    wide = np.where(finite[:, None], wide, np.nan)
    first, ends = wide[:, 0], wide[:, -1]
    start = first if initial_cost is None else np.full(len(wide), initial_cost)
    step, changes = _ROUNDING * np.abs(start), np.abs(wide - start[:, None])
    greatest = wide.max(axis=1)
    ended_lower = np.asarray(ends < start - step)
    keeps_falling = (ends < first - step) & (greatest <= first + step)
    return _Courses(
        ends=ends,
        ended_lower=ended_lower,
        fell=ended_lower & keeps_falling & (greatest <= start + step),
        still=np.all(changes <= step[:, None], axis=1),
        hardly=np.all(changes <= _LEAST_CHANGE * np.abs(start)[:, None], axis=1),
    )


def _judge(courses: _Courses, run: int) -> RateOutcome:
    """What it came to; the first ``run`` rates lowered the cost or left it as it was."""
    if courses.hardly.all():
        return RateOutcome.TOO_LOW
    if courses.fell[:run].any():
        return RateOutcome.ALL_LOWERED if run == len(courses.fell) else RateOutcome.FOUND
    if run or courses.ended_lower.any():
        return RateOutcome.UNCLEAR
    return RateOutcome.TOO_HIGH


def _explain_advice(
    outcome: RateOutcome,
    courses: _Courses,
    rates: NDArray[np.float64],
    threshold: float,
    best: float,
    suggestion: float,
) -> str:
    further = "" if outcome is RateOutcome.FOUND else f", or try rates above {threshold:.3g}"
    # The smallest rates may have left the cost as it was.
    first = int(np.argmax(courses.fell))
    begin = f"from {rates[first]:.3g} " if first else ""
    return (
        f"Start from {suggestion:.2g}{further}: the training cost fell at every rate {begin}up to "
        f"{threshold:.3g}, and ended least at {best:.3g}."
    )


def _explain_silence(
    outcome: RateOutcome,
    courses: _Courses,
    run: int,
    rates: NDArray[np.float64],
    initial_cost: float | None,
) -> str:
    """Whatever it says of a rate is true of that rate's numbers, however erratic the others are."""
    tried = f"from {rates[0]:.3g} to {rates[-1]:.3g}"
    start = "the first that was measured"
    if initial_cost is not None:
        start = f"the initial one of {initial_cost:.4g}"
    if outcome is RateOutcome.TOO_LOW:
        return (
            f"No advice: at no rate {tried} did the training cost move by more than "
            f"{_LEAST_CHANGE:.0%} from {start}: try higher rates."
        )
    if courses.ended_lower[0]:
        return (
            f"No advice: at the smallest rate, {rates[0]:.3g}, the training cost ended below "
            f"{start}, but rose or stood still on its way: try lower rates, or more epochs."
        )
    if courses.ended_lower.any():
        lower = rates[np.argmax(courses.ended_lower)]
        remedy = "more points" if run else "lower rates"
        return (
            f"No advice: at the smallest rate, {rates[0]:.3g}, the training cost did not end below "
            f"{start}, although it did at {lower:.3g}: try {remedy}, or more epochs."
        )
    never = f"No advice: at no rate {tried} did the training cost end below {start}"
    if outcome is RateOutcome.TOO_HIGH:
        return f"{never}: try lower rates."
    return (
        f"{never}, and up to {rates[run - 1]:.3g} it did not move: try rates between that and "
        f"{rates[run]:.3g}."
    )


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
