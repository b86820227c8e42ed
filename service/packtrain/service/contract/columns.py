"""The searched parameters of a job as columns of its trials, as tables and as groups."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from packtrain.service.contract import catalogue
from packtrain.service.contract.draws import describe_draws
from packtrain.service.contract.fields import Violations, set_json, set_parents
from packtrain.service.contract.learning_rates import is_range
from packtrain.service.contract.paths import is_within
from packtrain.service.contract.search import ParameterSpace
from packtrain.service.domains import Values
from packtrain.service.learners import Learner
from packtrain.service.search import Column, trial_seeds
from packtrain.training import DataType
from packtrain.v1 import spec_pb2

T = TypeVar("T", bound=Hashable)
# Within it, what is found wrong is wrong with these trials, by what they have at these paths.
Blame = Callable[["Indices", list[str]], AbstractContextManager[None]]
Columns = dict[str, Column]
Indices = NDArray[np.int64]

# Each is a table entry or a group of its own; a pack of one gains nothing from being packed.
MAX_COMBINATIONS = 10_000


class Searched:
    """The values that the search gives a job's trials: ``columns`` by path, whose rows are
    ``trials``. Indices are those of rows."""

    def __init__(
        self,
        spec: spec_pb2.JobSpec,
        parameters: ParameterSpace | None,
        columns: Columns,
        trials: Indices,
        violations: Violations,
        blame: Blame,
    ) -> None:
        self._spec = spec
        self._parameters = parameters
        self._columns = columns
        self._trials = trials
        self._violations = violations
        self._blame = blame

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
        codes = np.stack([self._codes(path, indices) for path in paths], axis=1)
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
            for path in sorted(paths, key=lambda p: p.count(".")):  # what holds others goes first
                self._set(spec, path, int(row))
            yield member, spec

    def codes(self, path: str) -> NDArray[np.int64]:
        """A number for each trial, equal where what the path gives to a combination is."""
        return self._codes(path, np.arange(len(self._columns[path].exists), dtype=np.int64))

    def _codes(self, path: str, indices: Indices) -> NDArray[np.int64]:
        """A number for each trial, equal where the path's part of a combination is: of a column,
        whether it is there at all."""
        column = self._columns[path].take(indices)
        if path in catalogue.COLUMNS:
            return column.exists.astype(np.int64)
        codes = np.unique(column.values, return_inverse=True)[1]
        return np.where(column.exists, codes, -1)

    def _set(self, spec: spec_pb2.JobSpec, path: str, row: int) -> None:
        assert self._parameters is not None
        column = self._columns[path]
        if not column.exists[row]:
            return
        if path in catalogue.COLUMNS:
            set_parents(spec, path)
            return
        wrong = set_json(spec, path, self._parameters.value(path, column, row))
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
            with self._blame(members, paths):
                entry = read(spec)
            which[np.searchsorted(indices, members)] = entries.setdefault(entry, len(entries))
        return which, tuple(entries)

    def partial(self, family: str) -> list[str]:
        """The columns of a family that not every trial has."""
        return [
            path
            for path, column in self._columns.items()
            if path in catalogue.COLUMNS and is_within(path, family) and not column.is_whole
        ]

    def check_numbers(self, data_type: DataType, violations: Violations) -> None:
        """Check all that may differ within a pack; networks hold it in ``data_type``."""
        for path, column in self._columns.items():
            if path not in catalogue.COLUMNS or not column.exists.any():
                continue
            found = self._numbers(path, column.values[column.exists])
            wrong = catalogue.NUMBERS[path].wrong
            if all(wrong(float(end), data_type) is None for end in (found.min(), found.max())):
                continue  # ranges have no holes
            told = [wrong(value, data_type) for value in found.tolist()]
            places = np.array([each is not None for each in told])
            trials = None if self._learns else self._trials[column.exists][places]
            for sentence in describe_draws([each for each in told if each], trials):
                violations.add(path, sentence)

    @property
    def _learns(self) -> bool:
        """Whether the rows are not the job's trials but what an algorithm may come to."""
        return self._parameters is not None and isinstance(
            self._parameters.space.algorithm, Learner
        )

    def fill_numbers(self, path: str, indices: Indices, numbers: NDArray[np.float64]) -> None:
        """Write a number that may differ within a pack, for the trials that have it."""
        column = self._columns[path].take(indices)
        if column.exists.any():
            numbers[column.exists] = self._numbers(path, column.values[column.exists])

    def _numbers(self, path: str, values: Values) -> NDArray[np.float64]:
        assert self._parameters is not None
        if path not in self._parameters.choices:
            return values.astype(np.float64)
        return np.array(self._parameters.choices[path], np.float64)[values]

    def seeds(self, indices: Indices) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The seeds of the mini-batches' order, and those of the initial weights."""
        job = np.full(len(indices), self._spec.seed, np.uint64)
        if "seed" in self._columns:
            return self._searched_seeds(indices, job)
        if is_range(self._spec):  # its trials are one network, but for its learning rate
            return job, trial_seeds(job, 0 * indices)
        repeats = self._parameters.space.repeats if self._parameters else 1
        assignment, repeat = np.divmod(self._trials[indices], repeats)
        # Repeat r of every assignment sees the same mini-batches; repeat 0 those of the job.
        order = np.where(repeat == 0, job, trial_seeds(job, repeat))
        return order, trial_seeds(order, assignment)

    def _searched_seeds(
        self, indices: Indices, job: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Trial k is the plain job with that seed, where it has one of its own."""
        assert self._parameters is not None
        column = self._columns["seed"].take(indices)
        if "seed" in self._parameters.choices:
            seeds = [int(v) for v in self._parameters.choices["seed"]]
            values = np.array(seeds, np.uint64)[column.values]
        else:
            least = column.values[column.exists].min(initial=0)
            if least < 0:
                self._violations.add("seed", f"must be at least 0: its domain has {least}")
            values = column.values.astype(np.uint64)
        order = np.where(column.exists, values, job)
        return order, trial_seeds(order, np.where(column.exists, 0, self._trials[indices]))
