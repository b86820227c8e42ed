"""Search messages to search spaces."""

from __future__ import annotations

from typing import Any

from packtrain.service.contract.domains import read_domain
from packtrain.service.contract.fields import Violations
from packtrain.service.contract.json_values import show
from packtrain.service.contract.learners import check_numbers_only, is_learner, read_learner
from packtrain.service.contract.learning_rates import is_range, rate_path, read_range
from packtrain.service.contract.parameters import (
    Fields,
    SearchedField,
    canonical,
    read_conditions,
)
from packtrain.service.contract.paths import check_fields, check_not_given, check_path
from packtrain.service.contract.points import point_paths, read_points
from packtrain.service.domains import Choice, Normal, Uniform
from packtrain.service.learners import Learner
from packtrain.service.samplers import (
    MAX_SOBOL_PARAMETERS,
    LatinHypercube,
    Random,
    Sampler,
    Sobol,
)
from packtrain.service.search import Column, Grid, SearchSpace
from packtrain.v1 import spec_pb2

MAX_REPEATS = 1_000_000

_SAMPLERS: dict[str, type[Sampler]] = {
    "random": Random,
    "sobol": Sobol,
    "latin_hypercube": LatinHypercube,
}


class ParameterSpace:
    """A search space, with the JSON values that its choices stand for."""

    def __init__(self, space: SearchSpace, choices: dict[str, list[Any]]) -> None:
        self.space = space
        self.choices = choices

    def value(self, path: str, column: Column, row: int) -> Any:
        """What the column's row, where it exists, gives the field at ``path``, in its JSON
        form."""
        if path in self.choices:
            return self.choices[path][int(column.values[row])]
        return column.values[row].item()


def read_search(spec: spec_pb2.JobSpec, violations: Violations) -> ParameterSpace | None:
    """The search of a specification, of the parameters that are right: a wrong one is named, and
    hides nothing that is wrong with the others. None where nothing can be searched."""
    if not spec.HasField("search"):
        return None
    repeats = _read_repeats(spec, violations)
    if is_range(spec):
        space = read_range(spec, violations)
        return ParameterSpace(space, {}) if space else None
    search = spec.search
    if search.HasField("points"):
        found = read_points(spec, violations)
        if found is None:
            return None
        parameters, choices, points = found
        return ParameterSpace(SearchSpace(parameters, points, repeats), choices)
    if not search.parameters:
        if search.HasField("repeats") and search.WhichOneof("algorithm") is None:
            return ParameterSpace(SearchSpace((), Grid(), repeats), {})
        violations.add("search.parameters", "must name at least one parameter")
    algorithm = _read_algorithm(search, violations)
    fields = _read_fields(spec, algorithm, violations)
    if algorithm is None or not fields:
        return None
    space = SearchSpace(tuple(field.parameter for field in fields.values()), algorithm, repeats)
    choices = {p: list(f.values) for p, f in fields.items() if isinstance(f.domain, Choice)}
    return ParameterSpace(space, choices)


def searched_paths(spec: spec_pb2.JobSpec) -> list[str]:
    """The paths whose values differ from trial to trial, whatever the algorithm."""
    paths = [parameter.path for parameter in spec.search.parameters]
    paths += point_paths(spec.search)
    return [*paths, rate_path(spec)] if is_range(spec) else paths


def _read_repeats(spec: spec_pb2.JobSpec, violations: Violations) -> int:
    if not spec.search.HasField("repeats"):
        return 1
    where = "search.repeats"
    if is_range(spec):
        violations.add(where, "can't stand beside a learning_rate_range, whose trials are one seed")
    elif "seed" in searched_paths(spec):
        violations.add(where, "can't stand beside a searched seed: give one of the two")
    return violations.integer(spec.search, "repeats", where, 1, 1, MAX_REPEATS)


def _read_algorithm(
    search: spec_pb2.Search, violations: Violations
) -> Grid | Sampler | Learner | None:
    kind = search.WhichOneof("algorithm")
    if is_learner(search):
        return read_learner(search, violations)
    if kind == "grid":
        points = violations.integer(search.grid, "points", "search.grid.points", 1, 1, 1_000_000)
        return Grid(points if search.grid.HasField("points") else None)
    if kind in _SAMPLERS:
        trials = getattr(search, kind).trials
        if trials < 1:
            violations.add(f"search.{kind}.trials", f"must be at least 1, not {trials}")
            return None
        if kind == "sobol" and len(search.parameters) > MAX_SOBOL_PARAMETERS:
            violations.add(
                "search.sobol", f"takes {MAX_SOBOL_PARAMETERS:,} parameters at most: use random"
            )
            return None
        return _SAMPLERS[kind](trials)
    kinds = [field.name for field in search.DESCRIPTOR.oneofs_by_name["algorithm"].fields]
    violations.add("search", f"must have an algorithm: {', '.join(kinds[:-1])} or {kinds[-1]}")
    return None


def _read_fields(
    spec: spec_pb2.JobSpec, algorithm: Grid | Sampler | Learner | None, violations: Violations
) -> Fields:
    """The parameters that are right, by path."""
    fields: Fields = {}
    met: dict[str, int] = {}
    for i, parameter in enumerate(spec.search.parameters):
        path, where = parameter.path, f"search.parameters[{i}]"
        before = len(violations)
        descriptor = check_path(spec, path, f"{where}.path", violations)
        if path in met:
            violations.add(f"{where}.path", f"{path} is searched before, by parameter {met[path]}")
        met.setdefault(path, i)
        if descriptor is not None and not parameter.HasField("condition"):
            check_not_given(spec, path, violations)
        found = read_domain(parameter, descriptor, where, violations)
        if found is None:
            continue
        field = SearchedField(where, path, *found)
        if isinstance(algorithm, Grid) and descriptor is not None:
            _check_grid(field, algorithm, parameter.WhichOneof("domain"), violations)
        if len(violations) == before:
            fields[path] = field
    fields = read_conditions(spec.search.parameters, fields, violations)
    check_fields(fields, violations)
    for field in fields.values():
        check_numbers_only(spec.search, field.parameter, field.where, violations)
    return fields


def _check_grid(field: SearchedField, grid: Grid, kind: str | None, violations: Violations) -> None:
    where, domain = f"{field.where}.{kind}", field.domain
    if isinstance(domain, Normal):
        violations.add(where, "a normal domain has no grid: use random search")
    elif isinstance(domain, Uniform) and domain.count is None and grid.points is None:
        violations.add(
            "search.grid.points", f"must be given for the {kind} domain of {field.where}"
        )
    met: set[bytes] = set()
    for i, value in enumerate(field.values):
        written = canonical(field.path, value)
        if written is None:
            continue
        if written in met:
            violations.add(
                f"{where}.values[{i}]",
                f"{show(value)} is there before, and a grid has each value once: repeats train "
                "it more often",
            )
        met.add(written)
