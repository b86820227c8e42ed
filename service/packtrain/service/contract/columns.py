"""The searched parameters of a job as columns of its trials, as tables and as groups."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from packtrain.service.contract import catalogue
from packtrain.service.contract.fields import Violations, set_json
from packtrain.service.contract.learning_rates import is_range
from packtrain.service.contract.search import ParameterSpace
from packtrain.service.search import Column, trial_seeds
from packtrain.training import DataType
from packtrain.v1 import spec_pb2

T = TypeVar("T", bound=Hashable)
Columns = dict[str, Column]
Indices = NDArray[np.int64]

# Each is a table entry or a group of its own; a pack of one gains nothing from being packed.
MAX_COMBINATIONS = 10_000


class Searched:
    """The values that the search gives a job's trials: ``columns`` by path."""

    def __init__(
        self,
        spec: spec_pb2.JobSpec,
        parameters: ParameterSpace | None,
        columns: Columns,
        violations: Violations,
    ) -> None:
        self._spec = spec
        self._parameters = parameters
        self._columns = columns
        self._violations = violations

    def paths(self) -> list[str]:
        """What is searched."""
        return list(self._columns)

    def mentions(self, path: str, field: str) -> bool:
        """Whether a value of the path's choice sets that field of it."""
        values = self._parameters.choices.get(path, []) if self._parameters else []
        return any(isinstance(value, dict) and field in value for value in values)

    def combinations(
        self, paths: list[str], indices: Indices, base: spec_pb2.JobSpec
    ) -> Iterator[tuple[Indices, spec_pb2.JobSpec]]:
        """The trials of each combination of the paths' values, and ``base`` with the values."""
        if not paths:
            yield indices, base
            return
        codes = np.stack(
            [np.unique(self._columns[p][indices], return_inverse=True)[1] for p in paths], axis=1
        )
        _, first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)
        if len(first) > MAX_COMBINATIONS:
            self._violations.add(
                "search",
                f"makes {len(first):,} combinations of {', '.join(paths)}, which don't train as "
                f"one array; this server takes {MAX_COMBINATIONS:,} at most: use a choice of a few "
                "values, or numbers of the optimizer or the regularization",
            )
            yield indices, base
            return
        order = np.argsort(group, kind="stable")
        members = np.split(indices[order], np.cumsum(np.bincount(group))[:-1])
        for row, member in zip(indices[first], members, strict=True):
            spec = spec_pb2.JobSpec()
            spec.CopyFrom(base)
            for path in paths:
                self._set(spec, path, int(row))
            yield member, spec

    def _set(self, spec: spec_pb2.JobSpec, path: str, row: int) -> None:
        assert self._parameters is not None
        wrong = set_json(spec, path, self._parameters.value(path, self._columns[path], row))
        if wrong:
            self._violations.add(path, wrong)

    def table(
        self,
        paths: list[str],
        indices: Indices,
        base: spec_pb2.JobSpec,
        read: Callable[[spec_pb2.JobSpec], T],
    ) -> tuple[NDArray[np.intp], tuple[T, ...]]:
        """What ``read`` makes of each combination of the paths' values, each thing once, and its
        index by trial."""
        which = np.zeros(len(indices), np.intp)
        entries: dict[T, int] = {}
        for members, spec in self.combinations(paths, indices, base):
            entry = read(spec)
            which[np.searchsorted(indices, members)] = entries.setdefault(entry, len(entries))
        return which, tuple(entries)

    def number_column(
        self, path: str, indices: Indices, data_type: DataType
    ) -> NDArray[np.float64]:
        """The values of a number that may differ within a pack, checked; networks hold it in
        ``data_type``."""
        assert self._parameters is not None
        column = self._columns[path][indices]
        if path in self._parameters.choices:
            values = self._parameters.choices[path]
            for value in values:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    self._violations.add(path, f"{value!r} is no number")
                    return np.ones(len(indices))
            column = np.array(values, np.float64)[column]
        for value in {float(column.min()), float(column.max())}:
            wrong = catalogue.NUMBERS[path].wrong(value, data_type)
            if wrong:
                self._violations.add(path, f"{wrong} (a value of its domain)")
        return column.astype(np.float64)

    def seeds(self, indices: Indices) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The seeds of the mini-batches' order, and those of the initial weights."""
        if "seed" not in self._columns:
            order = np.full(len(indices), self._spec.seed, np.uint64)
            # The trials of a range are one network, but for its learning rate.
            return order, trial_seeds(order, 0 * indices if is_range(self._spec) else indices)
        # Trial k is then the plain job with that seed.
        assert self._parameters is not None
        column = self._columns["seed"][indices]
        if "seed" in self._parameters.choices:
            values = [int(v) for v in self._parameters.choices["seed"]]
            order = np.array(values, np.uint64)[column]
            return order, trial_seeds(order, np.zeros(len(indices), np.int64))
        if column.min() < 0:
            self._violations.add("seed", "must be at least 0 (a value of its domain)")
        order = column.astype(np.uint64)
        return order, trial_seeds(order, np.zeros(len(indices), np.int64))
