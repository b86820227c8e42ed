"""Search spaces: trial k's values are a function of the job's seed, the space and k alone, unless
the algorithm learns from results: then they are what it proposed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from packtrain.service.domains import Choice, Domain, Normal, Values
from packtrain.service.grids import GridPlan, grid_values
from packtrain.service.learners import Learner
from packtrain.service.parameters import Parameter
from packtrain.service.positions import unit_of
from packtrain.service.samplers import Cube, Random, Sampler


@dataclass(frozen=True)
class Grid:
    """Every combination once; ``points`` values of each interval."""

    points: int | None = None


@dataclass(frozen=True, eq=False)
class Points:
    """A list: ``positions`` (points, parameters) are indices of Choices, -1 where the point
    leaves the parameter out."""

    positions: NDArray[np.int64]


Algorithm = Grid | Points | Sampler | Learner


@dataclass(frozen=True, eq=False)
class Column:
    """A parameter's values, trial by trial: indices for a Choice, int64 for an Integer, float64
    otherwise. Where it doesn't exist, ``exists`` is false and the value means nothing."""

    values: Values
    exists: NDArray[np.bool_]

    @property
    def is_whole(self) -> bool:
        """Whether the parameter exists in every trial."""
        return bool(self.exists.all())

    def take(self, rows: NDArray[np.int64] | slice) -> Column:
        """Some of its rows."""
        return Column(self.values[rows], self.exists[rows])


@dataclass(frozen=True)
class SearchSpace:
    """Parameters, how their space is walked, and how often each assignment is trained."""

    parameters: tuple[Parameter, ...]
    algorithm: Algorithm
    repeats: int = 1

    @property
    def assignments(self) -> int:
        """How many assignments of values there are."""
        match self.algorithm:
            case Grid(points):
                return GridPlan(self.parameters, points).count
            case Points(positions):
                return len(positions)
        return self.algorithm.trials

    @property
    def trials(self) -> int:
        """How many trials the search has."""
        return self.assignments * self.repeats

    def columns(self, seed: int, first: int, stop: int) -> dict[str, Column]:
        """Each path's column for the trials first <= k < stop."""
        begin = first // self.repeats
        end = -(-stop // self.repeats)
        columns = self._assign(seed, begin, end) if self.parameters else {}
        if self.repeats == 1:
            return columns
        rows = np.arange(first, stop, dtype=np.int64) // self.repeats - begin
        return {path: column.take(rows) for path, column in columns.items()}

    def place(self, points: Cube) -> dict[str, Column]:
        """Each path's column for the trials of assignments at points (assignments, parameters)
        of the unit cube."""
        columns = self._place(points)
        rows = np.repeat(np.arange(len(points), dtype=np.int64), self.repeats)
        return {path: column.take(rows) for path, column in columns.items()}

    def edges(self) -> Cube:
        """Points at which each parameter exists and has each value of a choice, or each end of
        an interval, the others being at their first: what is wrong with a domain shows there."""
        points, _ = self._find_edges()
        return np.unique(points, axis=0)

    def draw_at_edges(self, seed: int, most: int) -> Cube:
        """Those same points, but for the other parameters, which are drawn: each as often as makes
        about ``most`` points, at least once."""
        points, given = self._find_edges()
        times = max(1, most // len(points))
        points, given = np.repeat(points, times, axis=0), np.repeat(given, times, axis=0)
        paths = [parameter.path for parameter in self.parameters]
        drawn = Random(len(points)).cube(paths, seed, 0, len(points))
        return np.where(given, points, drawn)

    def _find_edges(self) -> tuple[Cube, NDArray[np.bool_]]:
        """The points, and which of their coordinates are there for their own sake."""
        index = {parameter.path: i for i, parameter in enumerate(self.parameters)}
        plain = np.array([_edges(p.domain)[0] for p in self.parameters])
        rows, given = [plain], [np.zeros(len(plain), np.bool_)]
        for i, parameter in enumerate(self.parameters):
            row, mine, condition = plain.copy(), np.zeros(len(plain), np.bool_), parameter.condition
            mine[i] = True
            while condition is not None:
                above = index[condition.path]
                row[above] = unit_of(self.parameters[above].domain, min(condition.values))
                mine[above] = True
                condition = self.parameters[above].condition
            for edge in _edges(parameter.domain):
                row[i] = edge
                rows.append(row.copy())
                given.append(mine)
        return np.array(rows), np.array(given)

    def _place(self, points: Cube) -> dict[str, Column]:
        drawn = {p.path: p.domain.of_unit(points[:, i]) for i, p in enumerate(self.parameters)}
        return _with_conditions(self.parameters, drawn)

    def _assign(self, seed: int, first: int, stop: int) -> dict[str, Column]:
        match self.algorithm:
            case Grid(points):
                positions = GridPlan(self.parameters, points).positions(first, stop)
                values = [grid_values(p.domain, points) for p in self.parameters]
                return {
                    parameter.path: Column(domain[at], at >= 0)
                    for parameter, domain, at in zip(
                        self.parameters, values, positions, strict=True
                    )
                }
            case Points(positions):
                part = positions[first:stop]
                return {
                    parameter.path: Column(part[:, i], part[:, i] >= 0)
                    for i, parameter in enumerate(self.parameters)
                }
        if isinstance(self.algorithm, Learner):
            raise ValueError("what an algorithm proposes that learns is known to the store alone")
        paths = [parameter.path for parameter in self.parameters]
        return self._place(self.algorithm.cube(paths, seed, first, stop))


def _edges(domain: Domain) -> list[float]:
    """The shares of a domain's distribution below its values, of a choice, or its ends, where it
    has any."""
    if isinstance(domain, Choice):
        return [unit_of(domain, k) for k in range(domain.count)]
    if isinstance(domain, Normal):
        ends = [end for end in (domain.low, domain.high) if math.isfinite(end)]
        return [unit_of(domain, end) for end in ends] or [0.5]
    return [unit_of(domain, domain.low), unit_of(domain, domain.high)]


def _with_conditions(
    parameters: Sequence[Parameter], values: dict[str, Values]
) -> dict[str, Column]:
    """The columns of values that were drawn for every trial, whether the parameter exists there
    or not."""
    conditions = {p.path: p.condition for p in parameters}
    found: dict[str, NDArray[np.bool_]] = {}

    def exists(path: str) -> NDArray[np.bool_]:
        if path not in found:
            condition = conditions[path]
            if condition is None:
                found[path] = np.ones(len(values[path]), np.bool_)
            else:
                met = np.isin(values[condition.path], sorted(condition.values))
                found[path] = exists(condition.path) & met
        return found[path]

    return {path: Column(column, exists(path)) for path, column in values.items()}


def trial_seeds(order_seeds: NDArray[np.uint64], indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A seed for each (seed, index): SplitMix64 (Steele, Lea and Flood, 2014), twice."""

    def mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    golden = np.uint64(0x9E3779B97F4A7C15)
    return mix(mix(order_seeds + golden) + (indices.astype(np.uint64) + np.uint64(1)) * golden)
