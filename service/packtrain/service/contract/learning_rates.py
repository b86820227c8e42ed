"""Learning-rate ranges: a search over the optimizer's learning rate, and nothing else."""

from __future__ import annotations

import math

from packtrain.service.contract.fields import Violations, is_given
from packtrain.service.contract.networks import read_data_type
from packtrain.service.contract.optimizers import NUMBERS
from packtrain.service.domains import Uniform
from packtrain.service.parameters import Parameter
from packtrain.service.search import Grid, SearchSpace
from packtrain.v1 import spec_pb2

DEFAULT_LOW = 1e-5
DEFAULT_HIGH = 100.0
DEFAULT_POINTS = 50
MAX_POINTS = 10_000
# Rates that are too large show at once: a few epochs tell.
DEFAULT_EPOCHS = 3
COST = "training_cost"

_WHERE = "search.learning_rate_range"


def is_range(spec: spec_pb2.JobSpec) -> bool:
    """Whether the specification asks for a learning-rate range."""
    return spec.HasField("search") and spec.search.HasField("learning_rate_range")


def rate_path(spec: spec_pb2.JobSpec) -> str:
    """The path of the learning rate that a range varies."""
    return f"optimizer.{spec.optimizer.WhichOneof('kind') or 'sgd'}.learning_rate"


def fill_range(spec: spec_pb2.JobSpec) -> None:
    """Fill in, in place, the defaults that are a range's own."""
    if not is_range(spec):
        return
    message = spec.search.learning_rate_range
    for name, default in (
        ("low", DEFAULT_LOW),
        ("high", DEFAULT_HIGH),
        ("points", DEFAULT_POINTS),
    ):
        if not message.HasField(name):
            setattr(message, name, default)
    if not spec.HasField("epochs"):
        spec.epochs = DEFAULT_EPOCHS


def read_range(spec: spec_pb2.JobSpec, violations: Violations) -> SearchSpace | None:
    """The space of a range, checked; None where it is wrong."""
    before = len(violations)
    message = spec.search.learning_rate_range
    if spec.search.parameters:
        violations.add("search.parameters", "must be empty beside a learning_rate_range")
    if is_given(spec, rate_path(spec)):
        violations.add(
            rate_path(spec), "is given beside a learning_rate_range, which varies it: give no rate"
        )
    if spec.HasField("stopping"):
        violations.add("stopping", "can't stand beside a range: its trials train alike")
    low = violations.number(message, "low", f"{_WHERE}.low", DEFAULT_LOW, above=0)
    high = violations.number(message, "high", f"{_WHERE}.high", DEFAULT_HIGH, above=0)
    points = violations.integer(
        message, "points", f"{_WHERE}.points", DEFAULT_POINTS, 3, MAX_POINTS
    )
    data_type = read_data_type(spec, violations)
    for name, rate in (("low", low), ("high", high)):
        wrong = NUMBERS[rate_path(spec)].wrong(rate, data_type)
        if wrong:
            violations.add(f"{_WHERE}.{name}", wrong)
    if not low < high < math.inf:
        violations.add(f"{_WHERE}.high", f"must be above low ({low:g}), not {high:g}")
    _check_measurement(spec, violations)
    if len(violations) > before:
        return None
    parameter = Parameter(rate_path(spec), Uniform(low, high, log=True))
    return SearchSpace((parameter,), Grid(points))


def _check_measurement(spec: spec_pb2.JobSpec, violations: Violations) -> None:
    names = spec.measurement.metrics
    if names and COST not in names:
        violations.add("measurement.metrics", f"must have {COST}, which a range goes by")
    epochs = spec.epochs if spec.HasField("epochs") else DEFAULT_EPOCHS
    every = spec.measurement.every_epochs if spec.measurement.HasField("every_epochs") else 1
    if epochs == 1:
        violations.add("epochs", "must be at least 2 for a range: it asks whether the cost falls")
    elif 1 <= epochs <= every:
        violations.add(
            "measurement.every_epochs",
            f"must be below epochs, {epochs}, for a range: it asks whether the cost falls",
        )
