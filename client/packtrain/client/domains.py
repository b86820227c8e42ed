"""Domains: what a part of a specification may be, where a search chooses it.

Any field of a specification takes a domain in place of a value:

    SGD(learning_rate=log_uniform(0.01, 10))
    JobSpec(cost=choice(CrossEntropy(), Quadratic()), ...)
    Network(hidden=choice([30], [30, 30]))
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from packtrain.client.errors import SpecError


class Domain:
    """Base of all domains."""


@dataclass(frozen=True)
class Choice(Domain):
    """One of ``values``, each of the kind that the field takes."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise SpecError("choice", "needs one value or more")
        if any(isinstance(value, Domain) for value in self.values):
            raise SpecError("choice", "holds values, not further domains")


@dataclass(frozen=True)
class Uniform(Domain):
    """low <= value < high."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _require_numbers("uniform", self.low, self.high)
        if not self.low < self.high:
            raise SpecError("uniform", f"needs low < high, not {self.low} and {self.high}")


@dataclass(frozen=True)
class LogUniform(Domain):
    """0 < low <= value < high, uniform in ln(value)."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _require_numbers("log_uniform", self.low, self.high)
        if not 0 < self.low < self.high:
            raise SpecError("log_uniform", f"needs 0 < low < high, not {self.low} and {self.high}")


@dataclass(frozen=True)
class IntegerRange(Domain):
    """low, low + step, ... up to high, which is included."""

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        _require_numbers("integer", self.low, self.high, self.step)
        if not self.low <= self.high or self.step < 1:
            raise SpecError(
                "integer",
                f"needs low <= high and step >= 1, not {self.low}, {self.high} and {self.step}",
            )


@dataclass(frozen=True)
class Normal(Domain):
    """A Gaussian number; ``standard_deviation`` is above 0."""

    mean: float
    standard_deviation: float

    def __post_init__(self) -> None:
        _require_numbers("normal", self.mean, self.standard_deviation)
        if not self.standard_deviation > 0:
            raise SpecError(
                "normal", f"needs standard_deviation > 0, not {self.standard_deviation}"
            )


def _require_numbers(domain: str, *values: object) -> None:
    for value in values:
        if not isinstance(value, Real) or isinstance(value, bool):
            raise SpecError(domain, f"needs numbers, not {value!r}")


def choice(*values: Any) -> Any:
    """One of ``values``: numbers, lists, names, or specification objects.

    Its type is Any, as that of the other domains, so that it fits every field.
    """
    return Choice(values)


def uniform(low: float, high: float) -> Any:
    """Any real number: low <= value < high."""
    return Uniform(low, high)


def log_uniform(low: float, high: float) -> Any:
    """Any real number, uniform in its logarithm: 0 < low <= value < high."""
    return LogUniform(low, high)


def integer(low: int, high: int, step: int = 1) -> Any:
    """Any whole number of low, low + step, ...; ``high`` is included."""
    return IntegerRange(low, high, step)


def normal(mean: float, standard_deviation: float) -> Any:
    """A Gaussian number."""
    return Normal(mean, standard_deviation)
