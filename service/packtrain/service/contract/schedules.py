"""The schedule of a specification's learning rate."""

from __future__ import annotations

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.measurement import Measured
from packtrain.service.contract.numbers import NumberField, NumberFields, share, whole
from packtrain.training import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    Plateau,
    PolynomialDecay,
    RateShape,
    Schedule,
    StepDecay,
)
from packtrain.v1 import spec_pb2

WHERE = "optimizer.schedule"

_SHAPES: dict[str, dict[str, NumberField]] = {
    "constant": {},
    "step": {
        "every": whole(1, default=10),
        "factor": NumberField(above=0, at_most=1, default=0.5),
    },
    "exponential": {"factor": NumberField(above=0, at_most=1, default=0.95)},
    "polynomial": {"power": NumberField(above=0, default=1.0), "final": share(0.0)},
    "cosine": {
        "period": whole(1),
        "growth": NumberField(at_least=1, at_most=1000, default=1.0),
        "final": share(0.0),
    },
    "one_cycle": {
        "peak_at": NumberField(above=0, below=1, default=0.3),
        "start": share(0.04),
        "final": share(0.0001),
    },
    "plateau": {
        "patience": whole(1, default=10),
        "factor": NumberField(above=0, below=1, default=0.5),
        "least": NumberField(at_least=0, below=1, default=1 / 128),
    },
}
_WARMUP = f"{WHERE}.warmup_epochs"
NUMBERS: NumberFields = {_WARMUP: NumberField(at_least=0, default=0.0)} | {
    f"{WHERE}.{shape}.{name}": field
    for shape, fields in _SHAPES.items()
    for name, field in fields.items()
}


def read_schedule(
    message: spec_pb2.Schedule, epochs: int, measured: Measured, violations: Violations
) -> Schedule:
    """What the learning rate is multiplied by, in a run of so many epochs."""
    warmup = NUMBERS[_WARMUP].read(message, _WARMUP, violations)
    return Schedule(_read_shape(message, epochs, measured, violations), warmup)


def _read_shape(
    message: spec_pb2.Schedule, epochs: int, measured: Measured, violations: Violations
) -> RateShape:
    kind = message.WhichOneof("shape") or "constant"
    part = getattr(message, kind)
    n = {
        name: field.read(part, f"{WHERE}.{kind}.{name}", violations, default=epochs)
        for name, field in _SHAPES[kind].items()
    }
    match kind:
        case "step":
            return StepDecay(int(n["every"]), n["factor"])
        case "exponential":
            return ExponentialDecay(n["factor"])
        case "polynomial":
            return PolynomialDecay(n["power"], n["final"])
        case "cosine":
            return CosineDecay(int(n["period"]), n["growth"], n["final"])
        case "one_cycle":
            return OneCycle(n["peak_at"], n["start"], n["final"])
        case "plateau":
            metric = measured.follow(part.metric, f"{WHERE}.plateau.metric", violations)
            return Plateau(metric, int(n["patience"]), n["factor"], n["least"])
    return ConstantRate()
