"""The regularization of a specification: numbers that differ from trial to trial, and images."""

from __future__ import annotations

import math

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.numbers import NumberField, NumberFields, column, whole
from packtrain.training import Augmentation, DataType
from packtrain.v1 import spec_pb2

WHERE = "regularization"
IMAGES = f"{WHERE}.augmentation"

COLUMNS = ("l2", "l1", "dropout", "max_norm", "clip_norm", "input_noise")
# The trainer's 0 is no bound: that a client leaves unset.
_BOUNDS = ("max_norm", "clip_norm")
NUMBERS: NumberFields = {
    f"{WHERE}.{name}": NumberField(above=0, column=name) if name in _BOUNDS else column(name)
    for name in COLUMNS
} | {
    f"{IMAGES}.height": whole(1),
    f"{IMAGES}.width": whole(1),
    f"{IMAGES}.shift": NumberField(at_least=0, default=0.0),
    f"{IMAGES}.rotation": NumberField(at_least=0, at_most=180, default=0.0),
}


def read_regularization(
    message: spec_pb2.Regularization, data_type: DataType, violations: Violations
) -> dict[str, float]:
    """A number for each of COLUMNS."""
    return {
        name: NUMBERS[f"{WHERE}.{name}"].read(
            message, f"{WHERE}.{name}", violations, data_type=data_type
        )
        for name in COLUMNS
    }


def read_augmentation(
    message: spec_pb2.Regularization,
    features: int | None,
    data_type: DataType,
    violations: Violations,
) -> Augmentation | None:
    """How images are shifted and turned. ``features`` None: how many inputs there are is not
    known, and their shape is not checked."""
    if not message.HasField("augmentation"):
        return None
    part = message.augmentation
    height, width, shift, rotation = (
        NUMBERS[f"{IMAGES}.{name}"].read(part, f"{IMAGES}.{name}", violations, data_type=data_type)
        for name in ("height", "width", "shift", "rotation")
    )
    shape = int(height), int(width)
    if features is not None:
        shape = _complete_shape(*shape, features)
        if shape[0] * shape[1] != features:
            advice = "" if part.HasField("height") and part.HasField("width") else ": give both"
            violations.add(
                IMAGES,
                f"height * width must be the number of inputs, {features:,}, which is "
                f"not {shape[0]} * {shape[1]}{advice}",
            )
    return Augmentation(*shape, shift, rotation)


def _complete_shape(height: int, width: int, features: int) -> tuple[int, int]:
    """The side that is not given (0) follows from the other; neither: a square, if there is one."""
    if height == 0 and width == 0:
        return math.isqrt(features), math.isqrt(features)
    return height or features // width, width or features // height
