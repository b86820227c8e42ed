"""Where the weights of a specification start."""

from __future__ import annotations

import numpy as np

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.numbers import NumberField, NumberFields, unfit_error
from packtrain.training import (
    Constant,
    DataType,
    Distribution,
    GivenArrays,
    He,
    Initialization,
    LeCun,
    Orthogonal,
    ScaledGaussian,
    UnitGaussian,
    Xavier,
)
from packtrain.v1 import spec_pb2

_CONSTANT = "initialization.constant"
_GAIN = "initialization.orthogonal.gain"
NUMBERS: NumberFields = {
    f"{_CONSTANT}.weight": NumberField(default=0.0),
    f"{_CONSTANT}.bias": NumberField(default=0.0),
    _GAIN: NumberField(default=1.0),
}

_DISTRIBUTIONS: dict[int, Distribution] = {
    spec_pb2.DISTRIBUTION_UNSPECIFIED: Distribution.NORMAL,
    spec_pb2.DISTRIBUTION_NORMAL: Distribution.NORMAL,
    spec_pb2.DISTRIBUTION_UNIFORM: Distribution.UNIFORM,
}
# Those that are drawn from a distribution of a given variance.
SPREAD: dict[str, type[Xavier | He | LeCun]] = {"xavier": Xavier, "he": He, "lecun": LeCun}


def read_initialization(
    message: spec_pb2.Initialization,
    sizes: tuple[int, ...],
    data_type: DataType,
    violations: Violations,
) -> Initialization:
    """Where weights start, checked against the layers."""
    kind = message.WhichOneof("kind")
    if kind == "unit_gaussian":
        return UnitGaussian()
    if kind in SPREAD:
        given = getattr(message, kind).distribution
        return SPREAD[kind](_read_distribution(given, kind, violations))
    if kind == "orthogonal":
        return Orthogonal(_read_gain(message.orthogonal, data_type, violations))
    if kind == "constant":
        weight, bias = (
            NUMBERS[path].read(message.constant, path, violations, data_type=data_type)
            for path in (f"{_CONSTANT}.weight", f"{_CONSTANT}.bias")
        )
        return Constant(weight, bias)
    if kind == "arrays":
        return _read_arrays(message.arrays, sizes, data_type, violations)
    return ScaledGaussian()


def _read_gain(message: spec_pb2.Orthogonal, data_type: DataType, violations: Violations) -> float:
    gain = NUMBERS[_GAIN].read(message, _GAIN, violations, data_type=data_type)
    wrong = "must not be 0" if gain == 0 else unfit_error(abs(gain), data_type, above_zero=True)
    if wrong:
        violations.add(_GAIN, wrong)
    return gain


def _read_distribution(value: int, kind: str, violations: Violations) -> Distribution:
    if value not in _DISTRIBUTIONS:
        field = f"initialization.{kind}.distribution"
        violations.add(field, f"{value} is no distribution of this server")
    return _DISTRIBUTIONS.get(value, Distribution.NORMAL)


def _read_arrays(
    arrays: spec_pb2.GivenArrays,
    sizes: tuple[int, ...],
    data_type: DataType,
    violations: Violations,
) -> GivenArrays:
    where = "initialization.arrays.layers"
    if len(arrays.layers) != len(sizes) - 1:
        violations.add(where, f"must be {len(sizes) - 1} layers, not {len(arrays.layers)}")
        return GivenArrays((), ())
    weights, biases = [], []
    for i, layer in enumerate(arrays.layers):
        shape = (sizes[i], sizes[i + 1])
        for name, count in (("weights", shape[0] * shape[1]), ("biases", shape[1])):
            numbers = np.array(getattr(layer, name), np.float64)
            field = f"{where}[{i}].{name}"
            if len(numbers) != count:
                violations.add(field, f"must be {count:,} numbers, not {len(numbers):,}")
                numbers = np.zeros(count)
            if not np.isfinite(numbers).all():
                violations.add(field, "must be finite numbers")
            elif len(numbers):
                largest = int(np.abs(numbers).argmax())
                wrong = unfit_error(float(numbers[largest]), data_type)
                if wrong:
                    violations.add(f"{field}[{largest}]", wrong)
            if name == "weights":
                weights.append(numbers.reshape(shape))
            else:
                biases.append(numbers)
    return GivenArrays(tuple(weights), tuple(biases))
