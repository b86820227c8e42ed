"""A specification expanded: every trial's numbers as columns, grouped by signature.

A searched parameter is a column where a pack takes it as one (the optimizer's and the
regularization's numbers), a choice of a table where a pack takes that (cost, initialization,
optimizer, schedule), and otherwise tells one group of trials from another (layers, batch size,
data, stopping).
"""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
from packtrain.service.contract.draws import gather_draws
from packtrain.service.contract.early_stopping import read_early_stopping
from packtrain.service.contract.fields import Violations, set_parents
from packtrain.service.contract.learning_rates import fill_range, is_range
from packtrain.service.contract.mismatches import (
    Mismatch,
    are_combinations,
    find_failures,
    is_explained,
)
from packtrain.service.contract.models import (
    Origins,
    check_model_initialization,
    read_model_initialization,
)
from packtrain.service.contract.paths import is_within
from packtrain.service.contract.population import check_rungs, read_population
from packtrain.service.contract.rows import Rows, draw_rows, leave_out, place_rows
from packtrain.service.contract.search import ParameterSpace, read_search
from packtrain.service.contract.selections import Sources
from packtrain.service.contract.structures import Structure, read_structure
from packtrain.service.datasets import Catalog
from packtrain.service.early_stopping import Bracket, EarlyStopping
from packtrain.service.learners import Learner
from packtrain.service.networks import Network, Origin
from packtrain.service.objectives import Objective
from packtrain.service.planner import Part, TrialGroup, cut
from packtrain.service.population import PopulationBasedTraining
from packtrain.service.records import Failure, Proposal
from packtrain.service.search import SearchSpace
from packtrain.training import Cost, DataType, Initialization, Pack, Rule, Schedule, Trials
from packtrain.v1 import spec_pb2

_TABLES = ("cost", "initialization", "optimizer", "regularization")
_COLUMN = "a column"
_STRUCTURE = "a group of its own"


@dataclass(frozen=True, eq=False)
class Expansion:
    """A job, or of one whose algorithm learns a batch: ``spec`` has its defaults filled in;
    ``trials`` is how many the job has; ``groups`` hold each of ``members`` once, and ``shapes``
    are groups of all kinds that may yet come; ``networks`` are those of other jobs that trials
    begin from; ``early_stopping`` or ``population``, if any, goes by the ``objectives``;
    ``failures`` tell of trials that can't be trained, and are no members."""

    spec: spec_pb2.JobSpec
    space: SearchSpace | None
    trials: int
    members: NDArray[np.int32]
    groups: tuple[TrialGroup, ...]
    shapes: tuple[TrialGroup, ...]
    datasets: tuple[str, ...]
    networks: Mapping[Origin, Network]
    objectives: tuple[Objective, ...]
    early_stopping: EarlyStopping | None
    population: PopulationBasedTraining | None
    failures: Mapping[Failure, Sequence[int]] = field(default_factory=dict)

    @property
    def brackets(self) -> Sequence[Bracket] | None:
        """The trials that are compared with each other; None where none are."""
        signature = self.groups[0].pack.signature
        epochs, measure_every = signature.epochs, signature.measure_every
        if self.population is not None:
            return [self.population.population(self.members, epochs, measure_every)]
        if self.early_stopping is None:
            return None
        # Those that can't be trained have their place among those that can.
        everyone = np.arange(self.trials, dtype=np.int32)
        compared = everyone if self.learner is None else self.members
        return self.early_stopping.brackets(compared, epochs, measure_every)

    @property
    def learner(self) -> Learner | None:
        """The algorithm, where it learns from results."""
        algorithm = self.space.algorithm if self.space else None
        return algorithm if isinstance(algorithm, Learner) else None

    @property
    def batches(self) -> int:
        """How many batches of trials train one after another."""
        return math.ceil(self.times)

    @property
    def times(self) -> float:
        """How many times as many trials the job has: of an algorithm that learns, the first batch
        stands for all, with those of it that can't be trained."""
        if self.learner is None:
            return 1.0
        return self.trials / (len(self.members) + sum(map(len, self.failures.values())))

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
        """The names of all trials' metrics, in order."""
        found = [name for g in (*self.groups, *self.shapes) for name in g.metrics]
        return tuple(dict.fromkeys(found))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """The layers, where all trials have the same."""
        sizes = {g.pack.signature.sizes for g in (*self.groups, *self.shapes)}
        return sizes.pop() if len(sizes) == 1 else ()

    @property
    def trial_epochs(self) -> int:
        """Epochs of all members."""
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
    proposal: Proposal | None = None,
    without: Collection[int] = (),
) -> Expansion:
    """Check everything and expand. Raises InvalidSpecError with every wrong field.

    ``stored``: the digests of the data that a job was created with, in place of today's names.
    ``origins`` finds the networks of other jobs; None: there are none. ``proposal`` is what to
    expand where the algorithm learns, but for the assignments ``without``; None: its first.
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
    space = parameters.space if parameters else None
    learns = space is not None and isinstance(space.algorithm, Learner)
    rows = place_rows(space, spec.seed, proposal, without)
    sources = Sources(datasets, stored)
    early_stopping = read_early_stopping(spec, list(rows[-1][1]), violations)
    population = read_population(spec, parameters, rows[-1][1], NUMBERS, violations)
    _set_parents(spec, rows[0][1])
    if proposal is not None and not any(is_within(p, "dataset") for p in rows[0][1]):
        rows = rows[-1:]  # what the others would be read for is known

    def read(part: Rows, violations: Violations) -> _Expander:
        return _Expander(spec, parameters, part, sources, origins, violations)

    def has_right_values() -> bool:
        if space is None or not learns:
            return found[0].has_right_values
        if stored is not None:  # so it was when the job was created
            return True
        part = draw_rows(space, spec.seed)
        drawn = _Expander(spec, parameters, part, Sources(datasets), origins, Violations())
        return drawn.has_right_values

    found = [read(part, violations) for part in rows]
    failures: Mapping[Failure, Sequence[int]] = {}
    # Of a proposal that is wrong each assignment is expanded alone.
    is_right = proposal is None or not found[-1].mismatches
    mismatches = [m for expander in found for m in expander.mismatches]
    if violations and is_right and is_explained(mismatches, violations) and has_right_values():
        # Those that are left, over the data that all were looked up in.
        wrong = [find_failures(expander.mismatches) for expander in found]
        left = [leave_out(part, failing) for part, failing in zip(rows, wrong, strict=True)]
        if any(len(members) for members, _ in left):
            failures, violations = wrong[-1], Violations()
            rows = [part for part in left if len(part[0])]
            found = [read(part, violations) for part in rows]
    mismatches = [m for expander in found for m in expander.mismatches]
    violations = gather_draws(violations, mismatches, None if learns else rows[0][0])
    objectives = {same for expander in found for same in expander.objectives}
    if len(objectives) > 1:
        violations.add("search.objectives", "must name their metrics: trials differ in the default")
    if population is not None and found[-1].groups:
        check_rungs(population, found[-1].groups[0].pack.signature, violations)
    violations.raise_if_any()
    (same,) = objectives
    groups, shapes = found[-1].groups, [g for part in found[:-1] for g in part.groups]
    return Expansion(
        spec=with_defaults(spec, [*groups, *shapes], same),
        space=space,
        trials=trials,
        members=rows[-1][0].astype(np.int32),
        groups=tuple(groups),
        shapes=tuple(shapes),
        datasets=sources.digests,
        networks=origins.networks,
        objectives=same,
        early_stopping=early_stopping,
        population=population,
        failures=failures,
    )


def _set_parents(spec: spec_pb2.JobSpec, columns: Columns) -> None:
    """Set what leads to the fields that every trial has, unless trials set it themselves."""
    for path, column in columns.items():
        if column.is_whole and not any(is_within(path, other) for other in columns):
            set_parents(spec, path)


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
        rows: Rows,
        sources: Sources,
        origins: Origins,
        violations: Violations,
    ) -> None:
        self._spec = spec
        trials, columns = rows
        self._trials = trials
        self._searched = Searched(spec, parameters, columns, trials, violations, self._blame)
        self._sources = sources
        self._origins = origins
        self._violations = violations
        # Those of each group; all should be the same.
        self.objectives: set[tuple[Objective, ...]] = set()
        self.mismatches: list[Mismatch] = []
        paths = self._searched.paths()
        self._structural = [p for p in paths if self._place_of(p) is _STRUCTURE]
        self.groups = [group for group in self._read_groups() if group is not None]

    def _read_groups(self) -> Iterator[TrialGroup | None]:
        data_type = networks.read_data_type(self._spec, self._violations)
        self._searched.check_numbers(data_type, self._violations)
        everything = np.arange(len(self._trials), dtype=np.int64)
        for indices, spec in self._searched.combinations(self._structural, everything, self._spec):
            with self._blame(indices, []):
                structure = self._read_structure(spec)
            if structure is None:
                yield None
                continue
            self.objectives.add(structure.objectives)
            found = self._numbers(
                indices, spec, structure
            )  # a schedule may add to what is measured
            yield TrialGroup(
                self._trials[indices].astype(np.int32),
                Pack(structure.signature, found),
                structure.chosen.data,
                structure.chosen.rows,
                structure.chosen.validation_rows,
            )

    @property
    def has_right_values(self) -> bool:
        """Whether whatever is wrong with some of the trials is right with others."""
        return are_combinations(self.mismatches, len(self._trials), self._searched.codes)

    def _read_structure(self, spec: spec_pb2.JobSpec) -> Structure | None:
        structure = read_structure(spec, self._sources, self._violations)
        if structure is None and spec.initialization.HasField("model"):
            model = spec.initialization.model
            data_type = networks.read_data_type(spec, self._violations)
            check_model_initialization(model, data_type, self._origins, self._violations)
        return structure

    @contextlib.contextmanager
    def _blame(self, members: Indices, paths: list[str]) -> Iterator[None]:
        """What is found wrong meanwhile is noted as wrong with these trials too."""
        everything, self._violations = self._violations, Violations()
        try:
            yield
        finally:
            found, self._violations = tuple(self._violations), everything
            everything.add_all(found)
            if found:
                self.mismatches.append(Mismatch(members, (*self._structural, *paths), found))

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

    def _numbers(self, indices: Indices, base: spec_pb2.JobSpec, structure: Structure) -> Trials:
        plan = structure.plan

        def read_cost(spec: spec_pb2.JobSpec) -> Cost:
            return costs.read_cost(
                spec.cost,
                plan.output_activation,
                structure.targets,
                plan.data_type,
                self._violations,
            )

        def read_initialization(spec: spec_pb2.JobSpec) -> Initialization:
            if spec.initialization.HasField("model"):
                return read_model_initialization(
                    spec.initialization.model,
                    plan.sizes,
                    plan.data_type,
                    self._origins,
                    self._violations,
                )
            return initializations.read_initialization(
                spec.initialization, plan.sizes, plan.data_type, self._violations
            )

        def read_schedule(spec: spec_pb2.JobSpec) -> Schedule:
            return schedules.read_schedule(
                spec.optimizer.schedule, plan.epochs, structure.measured, self._violations
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

        def read_optimizer(spec: spec_pb2.JobSpec) -> tuple[Rule, tuple[float, ...]]:
            rule, found = optimizers.read_optimizer(spec.optimizer, data_type, self._violations)
            return rule, tuple(found[name] for name in optimizers.COLUMNS)

        def read_regularization(spec: spec_pb2.JobSpec) -> tuple[float, ...]:
            found = regularization.read_regularization(
                spec.regularization, data_type, self._violations
            )
            return tuple(found[name] for name in regularization.COLUMNS)

        numbers: dict[str, NDArray[np.float64]] = {}
        # A number that only some trials have makes their optimizer the one that it is of.
        paths = [*self._table_paths("optimizer"), *self._searched.partial("optimizer")]
        which, entries = self._searched.table(paths, indices, base, read_optimizer)
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
                self._searched.fill_numbers(path, indices, numbers[COLUMNS[path]])
        return rule, rules, numbers
