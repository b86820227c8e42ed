"""Which of two values of a metric is the better one: the one place that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from packtrain.service.errors import Violation
from packtrain.service.results.columns import unknown_field
from packtrain.training import METRICS


@dataclass(frozen=True)
class Goal:
    """A metric, and whether its highest or its lowest value is the best."""

    metric: str
    higher_is_better: bool

    def losses(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The values as what is to be low."""
        return -values if self.higher_is_better else values


def higher_is_better(metric: str) -> bool:
    """What an improvement of the metric is, by the catalogue: "weight_norm/2" is a weight_norm."""
    found = METRICS.get(metric.partition("/")[0])
    return found is not None and found.higher_is_better


def read_goal(text: str, metrics: Sequence[str], field: str) -> Goal | Violation:
    """ "METRIC", "METRIC asc" or "METRIC desc", of the job's metrics."""
    metric, *direction = text.split() or [""]
    if not metric:
        return Violation(field, f"must name a metric: {', '.join(metrics)}")
    if len(direction) > 1 or not {*direction} <= {"asc", "desc"}:
        return Violation(
            field, f"must be a metric, with asc or desc after it or neither, not {text!r}"
        )
    if metric not in metrics:
        return Violation(field, unknown_field(metric, metrics))
    return Goal(metric, direction == ["desc"] if direction else higher_is_better(metric))


def best_row(goal: Goal, values: NDArray[np.float32]) -> int | None:
    """The trial with the best finite value of ``values`` (trials,); of equal ones the first."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    return int(np.argmin(np.where(finite, goal.losses(values), np.inf)))
