"""Domains: what a part of a specification may be, where a search chooses it.

Any field of a specification takes a domain in place of a value:

    SGD(learning_rate=log_uniform(0.01, 10))
    JobSpec(cost=choice(CrossEntropy(), Quadratic()), ...)
    Network(hidden=choice([30], [30, 30]))

A domain within a value of a choice exists only where that value is chosen:

    optimizer=choice(SGD(momentum=uniform(0, 0.99)), Adam(beta1=uniform(0.8, 0.99)))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from packtrain.client.errors import SpecError


class Domain:
    """Base of all domains."""


@dataclass(frozen=True)
class Choice(Domain):
    """One of ``values``, each of the kind that the field takes; the objects among them may hold
    domains of their own, which exist where the object is chosen."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise SpecError("choice", "needs one value or more")
        if any(isinstance(value, Domain) for value in self.values):
            raise SpecError("choice", "holds values or objects with domains, not bare domains")


@dataclass(frozen=True)
class Uniform(Domain):
    """low <= value < high; with ``step`` low, low + step, ... up to high."""

    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        _require_numbers("uniform", self.low, self.high)
        if not self.low < self.high:
            raise SpecError("uniform", f"needs low < high, not {self.low} and {self.high}")
        _require_step("uniform", self.step, self.high - self.low)


@dataclass(frozen=True)
class LogUniform(Domain):
    """0 < low <= value < high, uniform in ln(value); with ``step`` rounded to low, low + step, ...
    up to high."""

    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        _require_numbers("log_uniform", self.low, self.high)
        if not 0 < self.low < self.high:
            raise SpecError("log_uniform", f"needs 0 < low < high, not {self.low} and {self.high}")
        _require_step("log_uniform", self.step, self.high - self.low)


@dataclass(frozen=True)
class IntegerRange(Domain):
    """low, low + step, ... up to high, which is included; with ``log`` small ones are likelier."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _require_numbers("integer", self.low, self.high, self.step)
        if not self.low <= self.high or self.step < 1:
            raise SpecError(
                "integer",
                f"needs low <= high and step >= 1, not {self.low}, {self.high} and {self.step}",
            )
        if self.step > max(1, self.high - self.low):
            raise SpecError("integer", f"needs step <= high - low, not {self.step}")
        if self.log and self.low < 1:
            raise SpecError("integer", f"needs low >= 1 beside log, not {self.low}")


@dataclass(frozen=True)
class Normal(Domain):
    """A Gaussian number; ``standard_deviation`` is above 0. Numbers outside ``low`` and ``high``
    are not drawn; with ``step`` it is rounded to the nearest mean + k step within them."""

    mean: float
    standard_deviation: float
    step: float | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _require_numbers("normal", self.mean, self.standard_deviation)
        if not self.standard_deviation > 0:
            raise SpecError(
                "normal", f"needs standard_deviation > 0, not {self.standard_deviation}"
            )
        _require_numbers("normal", *(b for b in (self.low, self.high) if b is not None))
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise SpecError("normal", f"needs low < high, not {self.low} and {self.high}")
        _require_step("normal", self.step)


@dataclass(frozen=True)
class Conditional(Domain):
    """``domain`` where the searched field at ``path`` has one of ``values``; elsewhere the field
    stays unset."""

    domain: Domain
    path: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.domain, Domain) or isinstance(self.domain, Conditional):
            raise SpecError(
                "conditional", f"needs a domain without a condition, not {self.domain!r}"
            )
        if not isinstance(self.path, str):
            raise SpecError("conditional", f"needs the path of a field, not {self.path!r}")
        if not self.values:
            raise SpecError("conditional", f"needs at least one value of {self.path}")


def _require_step(domain: str, step: float | None, width: float = math.inf) -> None:
    if step is None:
        return
    _require_numbers(domain, step)
    if not 0 < step <= width:
        most = "" if width == math.inf else f", at most high - low ({width:g})"
        raise SpecError(domain, f"needs a step above 0{most}, not {step:g}")


def _require_numbers(domain: str, *values: object) -> None:
    for value in values:
        if not isinstance(value, Real) or isinstance(value, bool):
            raise SpecError(domain, f"needs numbers, not {value!r}")


def choice(*values: Any) -> Any:
    """One of ``values``: numbers, lists, names, or specification objects, which may hold domains
    of their own: ``choice(SGD(momentum=uniform(0, 0.99)), Adam())``.

    Its type is Any, as that of the other domains, so that it fits every field.
    """
    return Choice(values)


def uniform(low: float, high: float, step: float | None = None) -> Any:
    """Any real number: low <= value < high. With ``step`` one of low, low + step, ... up to high,
    which may be reached, all equally likely."""
    return Uniform(low, high, step)


def log_uniform(low: float, high: float, step: float | None = None) -> Any:
    """Any real number, uniform in its logarithm: 0 < low <= value < high. With ``step`` rounded
    to the nearest of low, low + step, ... up to high."""
    return LogUniform(low, high, step)


def integer(low: int, high: int, step: int = 1, log: bool = False) -> Any:
    """Any whole number of low, low + step, ...; ``high`` is included. With ``log``, uniform in
    its logarithm, for low of 1 or more."""
    return IntegerRange(low, high, step, log)


def normal(
    mean: float,
    standard_deviation: float,
    *,
    step: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A Gaussian number. Numbers below ``low`` and above ``high`` are not drawn; with ``step`` it
    is rounded to the nearest mean + k step within them."""
    return Normal(mean, standard_deviation, step, low, high)


def conditional(domain: Any, path: str, *values: Any) -> Any:
    """``domain`` only in trials where the searched field at ``path`` has one of ``values``:

        Regularization(dropout=conditional(uniform(0, 0.5), "network.hidden", [100], [300]))

    In the other trials the field is unset. A domain within a value of a choice needs none of it.
    """
    return Conditional(domain, path, values)
