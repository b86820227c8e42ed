"""A specification expanded: every trial's numbers as columns, grouped by signature.

A searched parameter is a column where a pack takes it as one (the optimizer's and the
regularization's numbers), a choice of a table where a pack takes that (cost, initialization,
optimizer, schedule), and otherwise tells one group of trials from another (layers, batch size,
data, stopping).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from packtrain.service.contract import (
    costs,
    initializations,
    networks,
    optimizers,
    regularization,
    schedules,
)
from packtrain.service.contract.catalogue import COLUMNS, NUMBERS
from packtrain.service.contract.columns import Columns, Indices, Searched
from packtrain.service.contract.defaults import with_defaults
from packtrain.service.contract.early_stopping import read_early_stopping
from packtrain.service.contract.fields import Violations, set_parents
from packtrain.service.contract.learning_rates import fill_range, is_range
from packtrain.service.contract.models import (
    Origins,
    check_model_initialization,
    read_model_initialization,
)
from packtrain.service.contract.population import check_rungs, read_population
from packtrain.service.contract.search import ParameterSpace, read_search
from packtrain.service.contract.selections import Sources
from packtrain.service.contract.structures import Structure, read_structure
from packtrain.service.datasets import Catalog
from packtrain.service.early_stopping import Bracket, EarlyStopping
from packtrain.service.networks import Network, Origin
from packtrain.service.objectives import Objective
from packtrain.service.planner import Part, TrialGroup, cut
from packtrain.service.population import PopulationBasedTraining
from packtrain.training import Cost, DataType, Initialization, Pack, Rule, Schedule, Trials
from packtrain.v1 import spec_pb2

_TABLES = ("cost", "initialization", "optimizer", "regularization")
_COLUMN = "a column"
_STRUCTURE = "a group of its own"


@dataclass(frozen=True, eq=False)
class Expansion:
    """A whole job: ``spec`` has its defaults filled in; ``groups`` hold every trial once;
    ``networks`` are those of other jobs that trials begin from; ``early_stopping`` or
    ``population``, if any, goes by the ``objectives``."""

    spec: spec_pb2.JobSpec
    trials: int
    groups: tuple[TrialGroup, ...]
    datasets: tuple[str, ...]
    networks: Mapping[Origin, Network]
    objectives: tuple[Objective, ...]
    early_stopping: EarlyStopping | None
    population: PopulationBasedTraining | None

    @property
    def brackets(self) -> Sequence[Bracket] | None:
        """The trials that are compared with each other; None where none are."""
        everyone, signature = np.arange(self.trials, dtype=np.int32), self.groups[0].pack.signature
        epochs, measure_every = signature.epochs, signature.measure_every
        if self.population is not None:
            return [self.population.population(everyone, epochs, measure_every)]
        if self.early_stopping is not None:
            return self.early_stopping.brackets(everyone, epochs, measure_every)
        return None

    @property
    def parts(self) -> list[Part]:
        """What the trials train from the beginning on, up to where they are first compared."""
        brackets = self.brackets
        if brackets is None:
            return [Part(g, g.indices, 0, g.pack.signature.epochs) for g in self.groups]
        total = self.groups[0].pack.signature.epochs
        return [
            part
            for bracket in brackets
            for part in cut(self.groups, bracket.trials, 0, bracket.next_rung(0) or total)
        ]

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
    def trial_epochs(self) -> int:
        """Epochs of all trials."""
        return sum(len(g.indices) * g.pack.signature.epochs for g in self.groups)

    @property
    def range_rates(self) -> NDArray[np.float64] | None:
        """The trials' learning rates, in their order, of a learning-rate range; None otherwise."""
        if not is_range(self.spec):
            return None
        rates = np.empty(self.trials)
        for group in self.groups:
            rates[group.indices] = group.pack.trials.learning_rate
        return rates


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
    for path in columns:
        set_parents(spec, path)
    sources = Sources(datasets, stored)
    early_stopping = read_early_stopping(spec, violations)
    population = read_population(spec, parameters, NUMBERS, violations)
    expander = _Expander(spec, parameters, columns, sources, origins, violations)
    groups = [g for g in expander.groups(trials) if g is not None]
    objectives = expander.objectives
    if len(objectives) > 1:
        violations.add("search.objectives", "must name their metrics: trials differ in the default")
    if population is not None and groups:
        check_rungs(population, groups[0].pack.signature, violations)
    violations.raise_if_any()
    (same,) = objectives
    return Expansion(
        spec=with_defaults(spec, groups, same),
        trials=trials,
        groups=tuple(groups),
        datasets=sources.digests,
        networks=origins.networks,
        objectives=same,
        early_stopping=early_stopping,
        population=population,
    )


def _with_seed(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    copy = spec_pb2.JobSpec()
    copy.CopyFrom(spec)
    if not copy.HasField("seed"):
        copy.seed = secrets.randbits(53)  # exact in JSON readers that know doubles only
    return copy


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
        self._searched = Searched(spec, parameters, columns, violations)
        self._sources = sources
        self._origins = origins
        self._violations = violations
        # Those of each group; all should be the same.
        self.objectives: set[tuple[Objective, ...]] = set()

    def groups(self, trials: int) -> Iterator[TrialGroup | None]:
        everything = np.arange(trials, dtype=np.int64)
        structural = [p for p in self._searched.paths() if self._place_of(p) is _STRUCTURE]
        for indices, spec in self._searched.combinations(structural, everything, self._spec):
            structure = read_structure(spec, self._sources, self._violations)
            if structure is None:
                if spec.initialization.HasField("model"):
                    model = spec.initialization.model
                    data_type = networks.read_data_type(spec, self._violations)
                    check_model_initialization(model, data_type, self._origins, self._violations)
                yield None
                continue
            self.objectives.add(structure.objectives)
            found = self._trials(indices, spec, structure)  # a schedule may add to what is measured
            yield TrialGroup(
                indices.astype(np.int32),
                Pack(structure.signature, found),
                structure.chosen.data,
                structure.chosen.rows,
                structure.chosen.validation_rows,
            )

    def _place_of(self, path: str) -> str:
        """The table that the path's values are of, or what else becomes of them."""
        family = path.split(".")[0]
        if path == "seed" or path in COLUMNS:
            return _COLUMN
        if path == regularization.WHERE and self._searched.mentions(path, "augmentation"):
            return _STRUCTURE
        if path.startswith(regularization.IMAGES) or family not in _TABLES:
            return _STRUCTURE
        return "schedule" if path.startswith(schedules.WHERE) else family

    def _table_paths(self, *tables: str) -> list[str]:
        return [p for p in self._searched.paths() if self._place_of(p) in tables]

    def _trials(self, indices: Indices, base: spec_pb2.JobSpec, structure: Structure) -> Trials:
        plan, violations = structure.plan, self._violations

        def read_cost(spec: spec_pb2.JobSpec) -> Cost:
            return costs.read_cost(
                spec.cost, plan.output_activation, structure.targets, plan.data_type, violations
            )

        def read_initialization(spec: spec_pb2.JobSpec) -> Initialization:
            if spec.initialization.HasField("model"):
                return read_model_initialization(
                    spec.initialization.model,
                    plan.sizes,
                    plan.data_type,
                    self._origins,
                    violations,
                )
            return initializations.read_initialization(
                spec.initialization, plan.sizes, plan.data_type, violations
            )

        def read_schedule(spec: spec_pb2.JobSpec) -> Schedule:
            return schedules.read_schedule(
                spec.optimizer.schedule, plan.epochs, structure.measured, violations
            )

        table = self._searched.table
        cost, all_costs = table(self._table_paths("cost"), indices, base, read_cost)
        initialization, all_initializations = table(
            self._table_paths("initialization"), indices, base, read_initialization
        )
        whole = [p for p in self._table_paths("optimizer") if p == "optimizer"]
        schedule, all_schedules = table(
            [*whole, *self._table_paths("schedule")], indices, base, read_schedule
        )
        rule, rules, numbers = self._rules_and_numbers(indices, base, plan.data_type)
        order_seeds, seeds = self._searched.seeds(indices)
        return Trials(
            seeds=seeds,
            order_seeds=order_seeds,
            cost=cost,
            costs=all_costs,
            initialization=initialization,
            initializations=all_initializations,
            rule=rule,
            rules=rules,
            schedule=schedule,
            schedules=all_schedules,
            **numbers,
        )

    def _rules_and_numbers(
        self, indices: Indices, base: spec_pb2.JobSpec, data_type: DataType
    ) -> tuple[NDArray[np.intp], tuple[Rule, ...], dict[str, NDArray[np.float64]]]:
        """The rules of the trials, and all their numbers as columns."""
        violations = self._violations

        def read_optimizer(spec: spec_pb2.JobSpec) -> tuple[Rule, tuple[float, ...]]:
            rule, found = optimizers.read_optimizer(spec.optimizer, data_type, violations)
            return rule, tuple(found[name] for name in optimizers.COLUMNS)

        def read_regularization(spec: spec_pb2.JobSpec) -> tuple[float, ...]:
            found = regularization.read_regularization(spec.regularization, data_type, violations)
            return tuple(found[name] for name in regularization.COLUMNS)

        numbers: dict[str, NDArray[np.float64]] = {}
        which, entries = self._searched.table(
            self._table_paths("optimizer"), indices, base, read_optimizer
        )
        rules = tuple(dict.fromkeys(rule for rule, _ in entries))
        rule = np.array([rules.index(rule) for rule, _ in entries], np.intp)[which]
        for i, name in enumerate(optimizers.COLUMNS):
            numbers[name] = np.array([found[i] for _, found in entries], np.float64)[which]
        which, rows = self._searched.table(
            self._table_paths("regularization"), indices, base, read_regularization
        )
        for i, name in enumerate(regularization.COLUMNS):
            numbers[name] = np.array([row[i] for row in rows], np.float64)[which]
        for path in self._searched.paths():
            if path in COLUMNS:
                numbers[COLUMNS[path]] = self._searched.number_column(path, indices, data_type)
        return rule, rules, numbers
