"""Domains: each maps the numbers of [0, 1) to its values by its inverse distribution function.

How a search makes such numbers is its own affair; so every domain works with every one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Units = NDArray[np.float64]
Positions = NDArray[np.int64]
# int64 for a Choice (indices) and an Integer, float64 otherwise.
Values = NDArray[np.int64] | NDArray[np.float64]

_LAST_UNIT = 1 - 2.0**-53
# More decimals than a double has are those of its rounding, not of the number that was meant.
_MOST_DECIMALS = 15
# A step that a division by it misses by less is reached.
_SLACK = 1e-9


@dataclass(frozen=True)
class Choice:
    """One of ``count`` values; a column holds their indices."""

    count: int

    def of_unit(self, unit: Units) -> Values:
        """Indices, all equally likely."""
        return self.at(np.floor(unit * self.count).astype(np.int64))

    def at(self, k: Positions) -> Values:
        """The k-th values, from 0."""
        return k


@dataclass(frozen=True)
class Uniform:
    """low <= value < high, or in the logarithm of it (0 < low); with a ``step``, one of low,
    low + step, ... up to high."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def count(self) -> int | None:
        """How many values there are; None: without a step they can't be listed."""
        if self.step is None:
            return None
        return math.floor((self.high - self.low) / self.step + _SLACK) + 1

    def of_unit(self, unit: Units) -> Values:
        """All equally likely on the domain's own scale; those of a logarithm are rounded to the
        nearest step."""
        if self.count is not None and not self.log:
            return self.at(np.floor(unit * self.count).astype(np.int64))
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            values = np.exp(low + (high - low) * unit)
        else:
            values = self.low + (self.high - self.low) * unit
        # Rounding may reach the upper end, which is not of the interval.
        values = np.clip(values, self.low, np.nextafter(self.high, self.low))
        if self.count is None or self.step is None:
            return values
        k = np.clip(np.rint((values - self.low) / self.step), 0, self.count - 1)
        return self.at(k.astype(np.int64))

    def at(self, k: Positions | NDArray[np.float64]) -> Values:
        """The k-th values, from 0; there must be a step."""
        assert self.step is not None
        values = _round_as_written(self.low + k.astype(np.float64) * self.step, self.low, self.step)
        return np.clip(values, self.low, self.high)

    def spread(self, points: int) -> Values:
        """So many values, evenly spaced on the domain's own scale, both ends among them."""
        if points == 1:
            return np.array([self.low])
        space = np.geomspace if self.log else np.linspace
        return np.asarray(space(self.low, self.high, points), np.float64)


@dataclass(frozen=True)
class Integer:
    """low, low + step, ... up to high; uniform in the logarithm with ``log`` (low >= 1)."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def count(self) -> int:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    def of_unit(self, unit: Units) -> Values:
        """All equally likely, or, of a logarithm, v with a likelihood of ln((v + step)/v)."""
        if not self.log:
            return self.at(np.floor(unit * self.count).astype(np.int64))
        low, stop = math.log(self.low), math.log(self.low + self.count * self.step)
        drawn = np.exp(low + (stop - low) * unit)
        k = np.floor((drawn - self.low) / self.step)
        return self.at(np.clip(k, 0, self.count - 1).astype(np.int64))

    def at(self, k: Positions | NDArray[np.float64]) -> Values:
        """The k-th values, from 0."""
        return self.low + self.step * k


@dataclass(frozen=True)
class Normal:
    """N(mean, standard_deviation^2), within ``low`` and ``high`` where they are given; with a
    ``step``, rounded to the nearest mean + k step within them."""

    mean: float
    standard_deviation: float
    step: float | None = None
    low: float = -math.inf
    high: float = math.inf

    def of_unit(self, unit: Units) -> Values:
        """By the inverse of the distribution function."""
        low = (self.low - self.mean) / self.standard_deviation
        high = (self.high - self.mean) / self.standard_deviation
        # The distribution function is exact in its lower tail alone.
        mirrored = low > 0
        if mirrored:
            low, high, unit = -high, -low, 1 - unit
        below, share = ndtr(low), ndtr(high) - ndtr(low)
        # Neither end of an unbounded distribution is a number.
        standard = ndtri(np.minimum(below + share * np.maximum(unit, 2.0**-54), _LAST_UNIT))
        values = self.mean + self.standard_deviation * (-standard if mirrored else standard)
        if self.step is not None:
            values = self.at(np.clip(np.rint((values - self.mean) / self.step), *self.steps))
        return np.asarray(np.clip(values, self.low, self.high), np.float64)

    def at(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """mean + k step; there must be a step."""
        assert self.step is not None
        return _round_as_written(self.mean + k * self.step, self.mean, self.step)

    @property
    def steps(self) -> tuple[float, float]:
        """The least and the greatest k of mean + k step within the bounds; there must be a
        step."""
        assert self.step is not None
        least, most = (self.low - self.mean) / self.step, (self.high - self.mean) / self.step
        return (
            math.ceil(least - _SLACK) if math.isfinite(least) else least,
            math.floor(most + _SLACK) if math.isfinite(most) else most,
        )


Domain = Choice | Uniform | Integer | Normal


def _round_as_written(values: NDArray[np.float64], *written: float) -> NDArray[np.float64]:
    """Sums of numbers of few decimals, as they would be written: 0.3, not 0.30000000000000004."""
    exponents = [Decimal(repr(float(number))).as_tuple().exponent for number in written]
    decimals = max(-int(exponent) for exponent in exponents)
    if (
        not 0 <= decimals <= _MOST_DECIMALS
        or np.abs(values).max(initial=0) >= 2.0**53 / 10**decimals
    ):
        return values
    return np.round(values, decimals)
