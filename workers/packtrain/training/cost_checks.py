"""Whether costs go with their outputs and targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.costs import ALLOWED_OUTPUTS
from packtrain.training.data import TrainingData
from packtrain.training.refusals import PackError, require_kind, require_number
from packtrain.training.spec import Cost, CostKind, Pack, Signature
from packtrain.training.targets import TargetKind


def check_costs(pack: Pack, data: TrainingData) -> None:
    """Raise :class:`PackError` for the first cost of a trial that doesn't fit."""
    for index in sorted(set(pack.trials.cost.tolist())):
        cost, field = pack.trials.costs[index], f"trials.costs[{index}]"
        require_kind(f"{field}.kind", cost.kind, CostKind, "a CostKind, such as CostKind.HINGE")
        _check_numbers(cost, field, pack.signature)
        if cost.label_smoothing > 0 or cost.class_weights:
            _check_classes(cost, field, data)
        _check_targets(cost, "data.y", data.y)
        if data.y_validation is not None:
            _check_targets(cost, "data.y_validation", data.y_validation)


def _check_numbers(cost: Cost, field: str, signature: Signature) -> None:
    allowed, output = ALLOWED_OUTPUTS[cost.kind], signature.output_activation
    if output not in allowed:
        names = " or ".join(sorted(allowed))
        raise PackError(field, f"{cost} needs {names} outputs, got {output}.")
    require_number(f"{field}.huber_delta", cost.huber_delta, above=0)
    require_number(f"{field}.label_smoothing", cost.label_smoothing, at_least=0, below=1)
    if cost.label_smoothing > 0 and cost.kind is CostKind.HINGE:
        raise PackError(
            f"{field}.label_smoothing", "hinge needs targets of 0 or 1, which can't be smoothed."
        )
    require_kind(f"{field}.class_weights", cost.class_weights, tuple, "a tuple of numbers")
    classes = max(signature.sizes[-1], 2)
    if len(cost.class_weights) not in (0, classes):
        raise PackError(
            f"{field}.class_weights",
            f"expected {classes} numbers, one a class, got {len(cost.class_weights)}.",
        )
    for place, weight in enumerate(cost.class_weights):
        require_number(f"{field}.class_weights[{place}]", weight, at_least=0)


def _check_classes(cost: Cost, field: str, data: TrainingData) -> None:
    name = "class_weights" if cost.class_weights else "label_smoothing"
    splits = [y for y in (data.y, data.y_validation) if y is not None]
    if data.target_kind is not TargetKind.CLASSES or not all(map(_are_classes, splits)):
        raise PackError(
            f"{field}.{name}",
            "needs targets that stand for classes: one-hot rows, or one column of 0 and 1.",
        )


def _are_classes(y: NDArray[Any]) -> bool:
    return _are_binary(y) and (y.shape[1] == 1 or bool((y.sum(axis=1) == 1).all()))


def _are_binary(y: NDArray[Any]) -> bool:
    return bool(((y == 0) | (y == 1)).all())


def _check_targets(cost: Cost, field: str, y: NDArray[Any]) -> None:
    match cost.kind:
        case CostKind.CROSS_ENTROPY:
            if not (y.min() >= 0 and y.max() <= 1):
                raise PackError(field, "cross_entropy needs targets from 0 to 1.")
        case CostKind.LOG_LIKELIHOOD:
            if not (y.min() >= 0 and np.allclose(y.sum(axis=1), 1, atol=1e-4)):
                raise PackError(
                    field, "log_likelihood needs targets of 0 or more, in rows that sum to 1."
                )
        case CostKind.HINGE:
            if not _are_binary(y):
                raise PackError(field, "hinge needs targets that are 0 or 1.")
        case CostKind.POISSON:
            if not y.min() >= 0:
                raise PackError(field, "poisson needs targets of 0 or more.")
