"""What a search is for."""

from __future__ import annotations

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.measurement import Measured
from packtrain.service.objectives import Objective
from packtrain.training import METRICS
from packtrain.v1 import spec_pb2

# How they are written, for whoever left them out.
OBJECTIVES_FORM = "objectives: [{metric: validation_accuracy}]"


def read_objectives(
    search: spec_pb2.Search, measured: Measured, violations: Violations
) -> tuple[Objective, ...]:
    """The objectives of a search, most important first; their metrics are measured then."""
    found: list[Objective] = []
    for i, message in enumerate(search.objectives):
        path = f"search.objectives[{i}]"
        metric = measured.follow(message.metric, f"{path}.metric", violations)
        if any(other.metric == metric for other in found):
            violations.add(f"{path}.metric", f"{metric} is an objective before: name each once")
        if metric in METRICS:
            found.append(Objective(metric, _read_goal(message, metric, path, violations)))
    return tuple(found)


def _read_goal(message: spec_pb2.Objective, metric: str, path: str, violations: Violations) -> bool:
    """Whether it is to be maximized."""
    if message.goal not in spec_pb2.Goal.values():
        violations.add(f"{path}.goal", "must be GOAL_MINIMIZE or GOAL_MAXIMIZE")
    if message.goal == spec_pb2.GOAL_UNSPECIFIED:
        return METRICS[metric].higher_is_better
    return message.goal == spec_pb2.GOAL_MAXIMIZE
