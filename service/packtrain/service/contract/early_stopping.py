"""Messages of early stopping to its rules."""

from __future__ import annotations

from collections.abc import Sequence

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.learning_rates import is_range
from packtrain.service.contract.numbers import NumberField, NumberFields, whole
from packtrain.service.contract.objectives import OBJECTIVES_FORM
from packtrain.service.early_stopping import (
    EarlyStopping,
    Hyperband,
    MedianRule,
    SuccessiveHalving,
)
from packtrain.v1 import spec_pb2

_HALVING, _HYPERBAND, _MEDIAN = (
    f"search.{name}" for name in ("successive_halving", "hyperband", "median")
)
_FACTOR, _EPOCHS = whole(2, 100, default=3), whole(1, 1_000_000, default=1)
_PATIENT: NumberField = whole(1, 1_000_000, default=5)
NUMBERS: NumberFields = {
    f"{_HALVING}.reduction_factor": _FACTOR,
    f"{_HALVING}.least_epochs": _EPOCHS,
    f"{_HYPERBAND}.reduction_factor": _FACTOR,
    f"{_HYPERBAND}.least_epochs": _EPOCHS,
    f"{_MEDIAN}.least_epochs": _PATIENT,
    f"{_MEDIAN}.every_epochs": _PATIENT,
}


def read_early_stopping(
    spec: spec_pb2.JobSpec, searched: Sequence[str], violations: Violations
) -> EarlyStopping | None:
    """The rule that stops trials early of a search over the paths ``searched``; None where none
    does."""
    search = spec.search
    kind = search.WhichOneof("early_stopping")
    if kind is None:
        return None
    if not search.objectives:
        violations.add(
            "search.objectives",
            f"must name what trials are compared by for {kind}, as in {OBJECTIVES_FORM}",
        )
    message, path = getattr(search, kind), f"search.{kind}"
    if "epochs" in searched:
        violations.add(path, "compares trials at the same epochs: epochs can't be searched too")
    if is_range(spec):
        violations.add(path, "can't stand beside a learning_rate_range, which compares all trials")

    def number(name: str) -> int:
        return int(NUMBERS[f"{path}.{name}"].read(message, f"{path}.{name}", violations))

    if kind == "successive_halving":
        return SuccessiveHalving(number("reduction_factor"), number("least_epochs"))
    if kind == "hyperband":
        return Hyperband(number("reduction_factor"), number("least_epochs"))
    return MedianRule(number("least_epochs"), number("every_epochs"))
