"""Grids of parameters, some of which exist only under some values of others.

The parameters are a forest: one with a condition hangs below the one that the condition names.
A tree's assignments are those of each of its root's values in turn, times those of the subtrees
that exist under that value; the trees' are combined, the last varying fastest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from packtrain.service.domains import Choice, Domain, Integer, Normal, Positions, Uniform, Values
from packtrain.service.parameters import Parameter


class GridPlan:
    """How many assignments a grid has, and which values each of them has.

    Parameters' conditions name other parameters and go in no circle. Raises ValueError where a
    domain has no grid.
    """

    def __init__(self, parameters: Sequence[Parameter], points: int | None) -> None:
        self._parameters = parameters
        self._radix = [grid_count(p.domain, points) for p in parameters]
        index = {parameter.path: i for i, parameter in enumerate(parameters)}
        self._roots = [i for i, p in enumerate(parameters) if p.condition is None]
        # Below each parameter: the child, and the positions under which it exists.
        self._below: list[list[tuple[int, frozenset[int]]]] = [[] for _ in parameters]
        for i, parameter in enumerate(parameters):
            if parameter.condition is not None:
                parent = index[parameter.condition.path]
                domain = parameters[parent].domain
                at = frozenset(_position(domain, v) for v in parameter.condition.values)
                self._below[parent].append((i, at))
        self._counts: dict[int, int] = {}

    @property
    def count(self) -> int:
        """How many assignments there are."""
        return math.prod(self._count(root) for root in self._roots)

    def _count(self, i: int) -> int:
        """How many assignments the tree of a parameter has."""
        if i not in self._counts:
            # A value under which nothing hangs counts once; a domain may have more than can be
            # gone through.
            special = self._special(i)
            plain = self._radix[i] - len(special)
            self._counts[i] = plain + sum(self._size(i, position) for position in special)
        return self._counts[i]

    def _special(self, i: int) -> frozenset[int]:
        """The positions of a parameter under which others exist."""
        return frozenset[int]().union(*(at for _, at in self._below[i]))

    def _size(self, i: int, position: int) -> int:
        """How many assignments a parameter's tree has under one of its values."""
        return math.prod(self._count(child) for child, at in self._below[i] if position in at)

    def positions(self, first: int, stop: int) -> list[Positions]:
        """For each parameter, the positions of its values in its domain's grid in the assignments
        first <= k < stop; -1 where it doesn't exist."""
        count = stop - first
        found = [np.full(count, -1, np.int64) for _ in self._parameters]
        everyone = np.arange(count, dtype=np.int64)
        self._combine(self._roots, np.arange(first, stop, dtype=np.int64), everyone, found)
        return found

    def _combine(
        self, trees: Sequence[int], index: Positions, rows: Positions, found: list[Positions]
    ) -> None:
        """Write down the ``index``-th combinations of trees; assignment index[n] is row rows[n]."""
        for tree in reversed(trees):
            index, digit = np.divmod(index, self._count(tree))
            self._descend(tree, digit, rows, found)

    def _descend(self, i: int, index: Positions, rows: Positions, found: list[Positions]) -> None:
        """Write down the ``index``-th assignments of a parameter's tree."""
        special = self._special(i)
        if not special:
            found[i][rows] = index
            return
        sizes = np.ones(self._radix[i], np.int64)
        for value in special:
            sizes[value] = self._size(i, value)
        ends = np.cumsum(sizes)
        position = np.searchsorted(ends, index, side="right")
        found[i][rows] = position
        within = index - (ends - sizes)[position]
        for value in special:
            here = position == value
            trees = [child for child, at in self._below[i] if value in at]
            self._combine(trees, within[here], rows[here], found)


def grid_count(domain: Domain, points: int | None) -> int:
    """How many values of the domain a grid takes. Raises ValueError where it has none."""
    count = None if isinstance(domain, Normal) else domain.count
    if count is not None:
        return count
    if points is None or isinstance(domain, Normal):
        raise ValueError(f"{domain} has no grid of {points} points")
    return points


def grid_values(domain: Domain, points: int | None) -> Values:
    """The values of the domain that a grid takes: all, or ``points`` of an interval."""
    count = grid_count(domain, points)
    if isinstance(domain, Uniform) and domain.count is None:
        return domain.spread(count)
    assert not isinstance(domain, Normal)
    return domain.at(np.arange(count, dtype=np.int64))


def _position(domain: Domain, value: int) -> int:
    if isinstance(domain, Choice):
        return value
    assert isinstance(domain, Integer)
    return (value - domain.low) // domain.step
