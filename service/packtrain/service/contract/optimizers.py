"""The optimizer of a specification: its rule and its numbers."""

from __future__ import annotations

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.numbers import NumberFields, column
from packtrain.training import NUMBERS as TRAINER_NUMBERS
from packtrain.training import DataType, Rule
from packtrain.v1 import spec_pb2

DEFAULT_KIND = "sgd"

_RULES = {
    "sgd": Rule.SGD,
    "adagrad": Rule.ADAGRAD,
    "rmsprop": Rule.RMSPROP,
    "adam": Rule.ADAM,
    "adamw": Rule.ADAMW,
    "nadam": Rule.NADAM,
    "lion": Rule.LION,
}
# The defaults of each kind are those of the papers and of the libraries that people know; the
# gradient is a mean over the mini-batch, so that they mean the same here.
_ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
_DEFAULTS = {
    "sgd": {"learning_rate": 0.5, "momentum": 0.0},
    "adagrad": {"learning_rate": 0.01, "epsilon": 1e-8},
    "rmsprop": {"learning_rate": 0.001, "beta2": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 0.001} | _ADAM,
    "adamw": {"learning_rate": 0.001} | _ADAM,
    "nadam": {"learning_rate": 0.002} | _ADAM,
    "lion": {"learning_rate": 0.0001, "beta1": 0.9, "beta2": 0.99},
}
# The columns of the trainer that an optimizer fills, whatever its kind.
COLUMNS = tuple(dict.fromkeys(name for defaults in _DEFAULTS.values() for name in defaults))

NUMBERS: NumberFields = {
    f"optimizer.{kind}.{name}": column(name, default)
    for kind, defaults in _DEFAULTS.items()
    for name, default in defaults.items()
}


def read_optimizer(
    message: spec_pb2.Optimizer, data_type: DataType, violations: Violations
) -> tuple[Rule, dict[str, float]]:
    """The rule, and a number for each of COLUMNS: the trainer's default where the rule has no
    use for it."""
    kind = message.WhichOneof("kind") or DEFAULT_KIND
    rule = _RULES[kind]
    if kind == "sgd" and message.sgd.nesterov:
        rule = Rule.NESTEROV
    numbers = {name: TRAINER_NUMBERS[name].default for name in COLUMNS}
    for name in _DEFAULTS[kind]:
        path = f"optimizer.{kind}.{name}"
        numbers[name] = NUMBERS[path].read(
            getattr(message, kind), path, violations, data_type=data_type
        )
    return rule, numbers
