"""Search spaces: trial k's values are a function of the job's seed, the path and k alone."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# One Philox counter gives four 64-bit words; draws are taken one counter a trial, so that
# trial k's can be reached without drawing those before it.
_WORDS = 4


@dataclass(frozen=True)
class Choice:
    """One of ``count`` values; a column holds their indices."""

    count: int


@dataclass(frozen=True)
class Uniform:
    """low <= value < high, or in the logarithm of it (0 < low)."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Integer:
    """low, low + step, ... up to high."""

    low: int
    high: int
    step: int = 1

    @property
    def count(self) -> int:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1


@dataclass(frozen=True)
class Normal:
    """N(mean, standard_deviation^2)."""

    mean: float
    standard_deviation: float


Domain = Choice | Uniform | Integer | Normal
Column = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Every combination once; ``points`` values of each interval."""

    points: int | None = None


@dataclass(frozen=True)
class Random:
    """``trials`` independent draws."""

    trials: int


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by path, and how their space is walked."""

    parameters: tuple[tuple[str, Domain], ...]
    algorithm: Grid | Random

    @property
    def trials(self) -> int:
        """How many trials the search has."""
        if isinstance(self.algorithm, Random):
            return self.algorithm.trials
        return math.prod(len_of(domain, self.algorithm.points) for _, domain in self.parameters)

    def columns(self, seed: int, first: int, stop: int) -> dict[str, Column]:
        """Each path's values for the trials first <= k < stop: indices for a Choice, int64 for
        an Integer, float64 otherwise."""
        if isinstance(self.algorithm, Random):
            return {path: draw(d, seed, path, first, stop) for path, d in self.parameters}
        index = np.arange(first, stop, dtype=np.int64)
        columns: dict[str, Column] = {}
        for path, domain in reversed(self.parameters):
            values = _grid_values(domain, self.algorithm.points)
            index, position = np.divmod(index, len(values))
            columns[path] = values[position]
        return {path: columns[path] for path, _ in self.parameters}


def len_of(domain: Domain, points: int | None) -> int:
    """How many values of the domain a grid takes."""
    if isinstance(domain, Choice | Integer):
        return domain.count
    if points is None or isinstance(domain, Normal):
        raise ValueError(f"{domain} has no grid of {points} points")
    return points


def _grid_values(domain: Domain, points: int | None) -> Column:
    count = len_of(domain, points)
    if isinstance(domain, Choice):
        return np.arange(count, dtype=np.int64)
    if isinstance(domain, Integer):
        return domain.low + domain.step * np.arange(count, dtype=np.int64)
    assert isinstance(domain, Uniform)
    if count == 1:
        return np.array([domain.low])
    space = np.geomspace if domain.log else np.linspace
    return np.asarray(space(domain.low, domain.high, count), np.float64)


def draw(domain: Domain, seed: int, path: str, first: int, stop: int) -> Column:
    """The domain's values for the trials first <= k < stop."""
    return place(domain, draw_units(f"search:{seed}:{path}", first, stop))


def draw_units(label: str, first: int, stop: int) -> NDArray[np.float64]:
    """Uniform draws from [0, 1) for the trials first <= k < stop, (K, 4): trial k's depend on the
    label and k alone."""
    key = hashlib.sha256(label.encode()).digest()[:16]
    philox = np.random.Philox(key=np.frombuffer(key, np.uint64), counter=[first, 0, 0, 0])
    words = philox.random_raw(_WORDS * (stop - first)).reshape(-1, _WORDS)
    # 53 bits make every double of [0, 1) that is a multiple of 2^-53.
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def place(domain: Domain, unit: NDArray[np.float64]) -> Column:
    """The domain's values at the draws ``unit``, (K, 2 or more)."""
    if isinstance(domain, Choice):
        return np.floor(unit[:, 0] * domain.count).astype(np.int64)
    if isinstance(domain, Integer):
        return domain.low + domain.step * np.floor(unit[:, 0] * domain.count).astype(np.int64)
    if isinstance(domain, Normal):
        radius = np.sqrt(-2.0 * np.log1p(-unit[:, 0]))  # Box and Muller, 1958
        standard = radius * np.cos(2.0 * np.pi * unit[:, 1])
        return domain.mean + domain.standard_deviation * standard
    if domain.log:
        low, high = math.log(domain.low), math.log(domain.high)
        values = np.exp(low + (high - low) * unit[:, 0])
    else:
        values = domain.low + (domain.high - domain.low) * unit[:, 0]
    # Rounding may reach the upper end, which is not of the interval.
    return np.clip(values, domain.low, np.nextafter(domain.high, domain.low))


def trial_seeds(order_seeds: NDArray[np.uint64], indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A seed for each (seed, index): SplitMix64 (Steele, Lea and Flood, 2014), twice."""

    def mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    golden = np.uint64(0x9E3779B97F4A7C15)
    return mix(mix(order_seeds + golden) + (indices.astype(np.uint64) + np.uint64(1)) * golden)
