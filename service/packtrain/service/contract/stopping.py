"""When a trial of a specification ends before its last epoch."""

from __future__ import annotations

from packtrain.service.contract.fields import Violations, range_error
from packtrain.service.contract.measurement import Measured
from packtrain.service.contract.numbers import NumberField, NumberFields, whole
from packtrain.training import METRICS, Patience, Target
from packtrain.v1 import spec_pb2

_PATIENCE = "stopping.patience"
_TARGET = "stopping.target"
NUMBERS: NumberFields = {
    f"{_PATIENCE}.epochs": whole(1, default=10),
    f"{_PATIENCE}.min_delta": NumberField(at_least=0, default=0.0),
    f"{_TARGET}.value": NumberField(),
}


def read_patience(
    message: spec_pb2.Stopping, measured: Measured, violations: Violations
) -> Patience | None:
    """How long a trial waits for its metric to improve."""
    if not message.HasField("patience"):
        return None
    part = message.patience
    epochs, min_delta = (
        NUMBERS[f"{_PATIENCE}.{name}"].read(part, f"{_PATIENCE}.{name}", violations)
        for name in ("epochs", "min_delta")
    )
    metric = measured.follow(part.metric, f"{_PATIENCE}.metric", violations)
    return Patience(metric, int(epochs), min_delta)


def read_target(
    message: spec_pb2.Stopping, measured: Measured, violations: Violations
) -> Target | None:
    """How good a trial need be."""
    if not message.HasField("target"):
        return None
    path = f"{_TARGET}.value"
    if not message.target.HasField("value"):
        violations.add(path, "must be given: how good the metric shall be")
    value = NUMBERS[path].read(message.target, path, violations)
    metric = measured.follow(message.target.metric, f"{_TARGET}.metric", violations)
    known = METRICS.get(metric)
    wrong = known and range_error(value, at_least=known.at_least, at_most=known.at_most)
    if wrong:
        violations.add(path, f"{wrong}: that is the range of {metric}")
    return Target(metric, value)
