"""A specification expanded: every trial's numbers as columns, grouped by signature.

A searched parameter is a column where a pack takes it as one (the optimizer's and the
regularization's numbers), a choice of a table where a pack takes that (cost, initialization), and
otherwise tells one group of trials from another (layers, batch size, data).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from packtrain.service.contract import specs
from packtrain.service.contract.defaults import with_defaults
from packtrain.service.contract.fields import Violations, range_error, set_json
from packtrain.service.contract.learning_rates import fill_range, is_range
from packtrain.service.contract.models import (
    Origins,
    check_model_initialization,
    read_model_initialization,
)
from packtrain.service.contract.search import ParameterSpace, read_search
from packtrain.service.contract.selections import Sources, select
from packtrain.service.datasets import Catalog, StoredDataset
from packtrain.service.networks import Network, Origin
from packtrain.service.planner import TrialGroup
from packtrain.service.search import Column, trial_seeds
from packtrain.training import (
    NUMBERS,
    Activation,
    Cost,
    Initialization,
    Pack,
    Rule,
    Schedule,
    Signature,
    Trials,
)
from packtrain.v1 import spec_pb2
from packtrain.workers import DataSource

T = TypeVar("T")
Columns = dict[str, Column]
Indices = NDArray[np.int64]

# Each is a table entry or a group of its own; a pack of one gains nothing from being packed.
MAX_COMBINATIONS = 10_000

_TABLES = ("cost", "initialization", "optimizer", "regularization")


@dataclass(frozen=True, eq=False)
class Expansion:
    """A whole job: ``spec`` has its defaults filled in; ``groups`` hold every trial once;
    ``networks`` are those of other jobs that trials begin from."""

    spec: spec_pb2.JobSpec
    trials: int
    groups: tuple[TrialGroup, ...]
    datasets: tuple[str, ...]
    networks: Mapping[Origin, Network]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all groups' metrics, in order."""
        return tuple(dict.fromkeys(name for g in self.groups for name in g.metrics))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """The layers, where all trials have the same."""
        sizes = {g.pack.signature.sizes for g in self.groups}
        return sizes.pop() if len(sizes) == 1 else ()

    @property
    def range_rates(self) -> NDArray[np.float64] | None:
        """The trials' learning rates, in their order, of a learning-rate range; None otherwise."""
        if not is_range(self.spec):
            return None
        rates = np.empty(self.trials)
        for group in self.groups:
            rates[group.indices] = group.pack.trials.learning_rate
        return rates

    @property
    def trial_epochs(self) -> int:
        """Epochs of all trials."""
        return sum(len(g.indices) * g.pack.signature.epochs for g in self.groups)


def expand(
    spec: spec_pb2.JobSpec,
    datasets: Catalog,
    max_trials: int,
    stored: Sequence[str] | None = None,
    origins: Origins | None = None,
) -> Expansion:
    """Check everything and expand. Raises InvalidSpecError with every wrong field.

    ``stored``: the digests of the data that a job was created with, in place of today's names.
    ``origins`` finds the networks of other jobs; None: there are none.
    """
    spec = _with_seed(spec)
    fill_range(spec)
    origins = origins or Origins()
    violations = Violations()
    parameters = read_search(spec, violations)
    trials = parameters.space.trials if parameters else 1
    if trials > max_trials:
        violations.add(
            "search", f"makes {trials:,} trials; this server takes {max_trials:,} at most"
        )
        parameters, trials = None, 1
    columns = parameters.space.columns(spec.seed, 0, trials) if parameters else {}
    sources = Sources(datasets, stored)
    expander = _Expander(spec, parameters, columns, sources, origins, violations)
    groups = [g for g in expander.groups(trials) if g is not None]
    violations.raise_if_any()
    return Expansion(
        with_defaults(spec, groups), trials, tuple(groups), sources.digests, origins.networks
    )


def _with_seed(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    copy = spec_pb2.JobSpec()
    copy.CopyFrom(spec)
    if not copy.HasField("seed"):
        copy.seed = secrets.randbits(53)  # exact in JSON readers that know doubles only
    return copy


@dataclass(frozen=True, eq=False)
class _Structure:
    """What a group of trials shares."""

    dataset: StoredDataset
    signature: Signature
    data: DataSource
    rows: int
    validation_rows: int


class _Expander:
    def __init__(
        self,
        spec: spec_pb2.JobSpec,
        parameters: ParameterSpace | None,
        columns: Columns,
        sources: Sources,
        origins: Origins,
        violations: Violations,
    ) -> None:
        self._spec = spec
        self._parameters = parameters
        self._columns = columns
        self._sources = sources
        self._origins = origins
        self._violations = violations

    def groups(self, trials: int) -> Iterator[TrialGroup | None]:
        everything = np.arange(trials, dtype=np.int64)
        structural = [
            path
            for path in self._columns
            if path not in specs.NUMBERS and path != "seed" and path.split(".")[0] not in _TABLES
        ]
        for indices, spec in self._combinations(structural, everything):
            structure = self._structure(spec)
            if structure is None:
                if spec.initialization.HasField("model"):
                    model = spec.initialization.model
                    check_model_initialization(model, self._origins, self._violations)
                yield None
                continue
            yield TrialGroup(
                indices.astype(np.int32),
                Pack(structure.signature, self._trials(indices, structure)),
                structure.data,
                structure.rows,
                structure.validation_rows,
            )

    def _combinations(
        self, paths: list[str], indices: Indices
    ) -> Iterator[tuple[Indices, spec_pb2.JobSpec]]:
        """The trials of each combination of the paths' values, with the values set."""
        if not paths:
            yield indices, self._spec
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
            yield indices, self._spec
            return
        order = np.argsort(group, kind="stable")
        members = np.split(indices[order], np.cumsum(np.bincount(group))[:-1])
        for row, member in zip(indices[first], members, strict=True):
            spec = spec_pb2.JobSpec()
            spec.CopyFrom(self._spec)
            for path in paths:
                self._set(spec, path, int(row))
            yield member, spec

    def _set(self, spec: spec_pb2.JobSpec, path: str, row: int) -> None:
        assert self._parameters is not None
        wrong = set_json(spec, path, self._parameters.value(path, self._columns[path], row))
        if wrong:
            self._violations.add(path, wrong)

    def _structure(self, spec: spec_pb2.JobSpec) -> _Structure | None:
        violations = self._violations
        data_type = specs.read_data_type(spec, violations)
        hidden = specs.read_hidden(spec.network, violations)
        hidden_activation = specs.read_activation(
            spec.network.hidden_activation,
            "network.hidden_activation",
            Activation.SIGMOID,
            violations,
            hidden=True,
        )
        epochs = violations.integer(
            spec, "epochs", "epochs", specs.DEFAULT_EPOCHS, 1, specs.MAX_EPOCHS
        )
        every = violations.integer(
            spec.measurement, "every_epochs", "measurement.every_epochs", 1, 1, specs.MAX_EPOCHS
        )
        dataset = self._sources.find(spec.dataset, violations)
        if dataset is None:
            specs.check_without_data(spec, violations)
            return None
        output = specs.read_output_activation(spec.network, dataset, violations)
        outputs, one_hot = specs.read_outputs(spec, dataset, output, violations)
        chosen = select(spec, dataset, one_hot, data_type, violations)
        if chosen is None:
            specs.check_without_data(spec, violations)
            return None
        rows, validation_rows, data = chosen
        default_batch = min(specs.DEFAULT_BATCH_SIZE, rows)
        batch = violations.integer(spec, "batch_size", "batch_size", default_batch, 1, rows)
        metrics = specs.read_metrics(
            spec.measurement,
            classes=bool(dataset.classes),
            validation=validation_rows > 0,
            violations=violations,
        )
        signature = Signature(
            sizes=(dataset.features, *hidden, outputs),
            hidden_activation=hidden_activation,
            output_activation=output,
            batch_size=batch,
            epochs=epochs,
            data_type=data_type,
            metrics=metrics,
            measure_every=every,
        )
        return _Structure(dataset, signature, data, rows, validation_rows)

    def _trials(self, indices: Indices, structure: _Structure) -> Trials:
        count = len(indices)
        signature, violations = structure.signature, self._violations

        def read_cost(spec: spec_pb2.JobSpec) -> Cost:
            classes = bool(structure.dataset.classes)
            cost = specs.read_cost(spec.cost, signature.output_activation, classes, violations)
            check_targets(cost, structure, violations)
            return cost

        def read_initialization(spec: spec_pb2.JobSpec) -> Initialization:
            if spec.initialization.HasField("model"):
                return read_model_initialization(
                    spec.initialization.model, signature.sizes, self._origins, violations
                )
            return specs.read_initialization(spec.initialization, signature.sizes, violations)

        def read_numbers(spec: spec_pb2.JobSpec) -> dict[str, float]:
            optimizer = specs.read_optimizer(spec.optimizer, violations)
            return optimizer | specs.read_regularization(spec.regularization, violations)

        cost, costs = self._table(("cost",), indices, read_cost)
        initialization, initializations = self._table(
            ("initialization",), indices, read_initialization
        )
        which, tables = self._table(("optimizer", "regularization"), indices, read_numbers)
        numbers = {
            name: np.array([table[name] for table in tables])[which] for name in specs.NUMBER_RANGES
        }
        for name in NUMBERS.keys() - numbers.keys():
            numbers[name] = np.full(count, NUMBERS[name].default)
        for path, name in specs.NUMBERS.items():
            if path in self._columns:
                numbers[name] = self._number_column(path, name, indices)
        order_seeds, seeds = self._seeds(indices)
        assert all(len(column) == count for column in numbers.values())
        return Trials(
            seeds=seeds,
            order_seeds=order_seeds,
            cost=cost,
            costs=costs,
            initialization=initialization,
            initializations=initializations,
            rule=np.zeros(count, np.intp),
            rules=(Rule.SGD,),
            schedule=np.zeros(count, np.intp),
            schedules=(Schedule(),),
            **numbers,
        )

    def _table(
        self, families: tuple[str, ...], indices: Indices, read: Callable[[spec_pb2.JobSpec], T]
    ) -> tuple[NDArray[np.intp], tuple[T, ...]]:
        """Each distinct combination of the families' parameters once, and its index by trial."""
        paths = [
            path
            for path in self._columns
            if path.split(".")[0] in families and path not in specs.NUMBERS
        ]
        which = np.zeros(len(indices), np.intp)
        entries: list[T] = []
        for members, spec in self._combinations(paths, indices):
            which[np.searchsorted(indices, members)] = len(entries)
            entries.append(read(spec))
        return which, tuple(entries)

    def _number_column(self, path: str, name: str, indices: Indices) -> NDArray[np.float64]:
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
            wrong = range_error(value, **specs.NUMBER_RANGES[name])
            if wrong:
                self._violations.add(path, f"{wrong} (a value of its domain)")
        return column.astype(np.float64)

    def _seeds(self, indices: Indices) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
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


def check_targets(cost: Cost, structure: _Structure, violations: Violations) -> None:
    """Cross-entropy takes targets from 0 to 1."""
    if cost != Cost.CROSS_ENTROPY or structure.data.selection.one_hot_outputs is not None:
        return
    for split, _, targets in structure.data.splits:
        try:
            values = np.load(targets, mmap_mode="r")
            low, high = float(values.min()), float(values.max())
        except (OSError, ValueError) as error:
            violations.add("dataset", f"the rows of split {split!r} can't be read: {error}")
            continue
        if low < 0 or high > 1:
            violations.add(
                "cost",
                "cross_entropy needs targets from 0 to 1; those of split "
                f"{split!r} go from {low:g} to {high:g}",
            )
