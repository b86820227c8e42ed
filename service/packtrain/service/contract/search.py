"""Search messages to search spaces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from google.protobuf import json_format

from packtrain.service.contract.catalogue import COLUMNS
from packtrain.service.contract.fields import (
    Violations,
    choose,
    find_field,
    is_float,
    is_given,
    is_integer,
    oneof_conflict,
)
from packtrain.service.contract.json_values import find_wrong_values
from packtrain.service.contract.learning_rates import is_range, read_range
from packtrain.service.search import (
    Choice,
    Column,
    Domain,
    Grid,
    Integer,
    Normal,
    Random,
    SearchSpace,
    Uniform,
)
from packtrain.v1 import spec_pb2

# A draw has 53 bits.
MAX_INTEGER_SPAN = 2**53
_NOT_SEARCHABLE = ("search", "measurement", "data_type")


class ParameterSpace:
    """A search space, with the JSON values that its choices stand for."""

    def __init__(self, space: SearchSpace, choices: dict[str, list[Any]]) -> None:
        self.space = space
        self.choices = choices

    def value(self, path: str, column: Column, row: int) -> Any:
        """What the column's row gives the field at ``path``, in its JSON form."""
        if path in self.choices:
            return self.choices[path][int(column[row])]
        return column[row].item()


def read_search(spec: spec_pb2.JobSpec, violations: Violations) -> ParameterSpace | None:
    """The search of a specification, of the parameters that are right: a wrong one is named, and
    hides nothing that is wrong with the others. None where nothing can be searched."""
    if not spec.HasField("search"):
        return None
    if is_range(spec):
        space = read_range(spec, violations)
        return ParameterSpace(space, {}) if space else None
    search = spec.search
    algorithm = _read_algorithm(search, violations)
    parameters: list[tuple[str, Domain]] = []
    choices: dict[str, list[Any]] = {}
    if not search.parameters:
        violations.add("search.parameters", "must name at least one parameter")
    for i, parameter in enumerate(search.parameters):
        where = f"search.parameters[{i}]"
        before = len(violations)
        earlier = [p.path for p in search.parameters[:i]]
        _check_path(spec, parameter.path, earlier, where, violations)
        domain = _read_domain(parameter, where, violations)
        if domain is None:
            continue
        values = _read_values(parameter, where, violations) if isinstance(domain, Choice) else None
        if isinstance(algorithm, Grid):
            _check_grid(domain, algorithm, parameter.WhichOneof("domain"), where, violations)
        if len(violations) > before:
            continue
        parameters.append((parameter.path, domain))
        if values is not None:
            choices[parameter.path] = values
    if algorithm is None or not parameters:
        return None
    return ParameterSpace(SearchSpace(tuple(parameters), algorithm), choices)


def _read_algorithm(search: spec_pb2.Search, violations: Violations) -> Grid | Random | None:
    kind = search.WhichOneof("algorithm")
    if kind == "grid":
        points = violations.integer(search.grid, "points", "search.grid.points", 1, 1, 1_000_000)
        return Grid(points if search.grid.HasField("points") else None)
    if kind == "random":
        if search.random.trials < 1:
            violations.add(
                "search.random.trials", f"must be at least 1, not {search.random.trials}"
            )
            return None
        return Random(search.random.trials)
    violations.add("search.algorithm", "must be given: grid, random or learning_rate_range")
    return None


def _check_path(
    spec: spec_pb2.JobSpec, path: str, earlier: list[str], where: str, violations: Violations
) -> None:
    if path.split(".")[0] in _NOT_SEARCHABLE:
        violations.add(f"{where}.path", f"{path} is the same for all trials of a job")
        return
    found = find_field(spec_pb2.JobSpec, path)
    if isinstance(found, str):
        violations.add(f"{where}.path", found)
        return
    for other in earlier:
        if other == path or other.startswith(path + ".") or path.startswith(other + "."):
            violations.add(f"{where}.path", f"{path} overlaps with {other}, searched before")
            return
    chosen = _copy(spec)
    for other in earlier:
        if not isinstance(find_field(spec_pb2.JobSpec, other), str):
            choose(chosen, other)
    conflict = oneof_conflict(chosen, path)
    if conflict:
        violations.add(f"{where}.path", conflict)
    elif is_given(spec, path) and path != "seed":
        violations.add(path, "is given and searched at once: give one of the two")


def _copy(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    copy = spec_pb2.JobSpec()
    copy.CopyFrom(spec)
    return copy


def _read_domain(
    parameter: spec_pb2.Parameter, where: str, violations: Violations
) -> Domain | None:
    kind = parameter.WhichOneof("domain")
    field = find_field(spec_pb2.JobSpec, parameter.path)
    if kind is None:
        violations.add(
            f"{where}.domain",
            "must be given: choice, uniform, log_uniform, integer or normal",
        )
        return None
    where = f"{where}.{kind}"
    if kind == "choice":
        count = len(parameter.choice.values)
        if count == 0:
            violations.add(f"{where}.values", "must have at least one value")
            return None
        return Choice(count)
    if not isinstance(field, str):
        if kind == "integer" and not (is_integer(field) or is_float(field)):
            violations.add(where, f"{parameter.path} is no number: use a choice")
        if kind != "integer" and not is_float(field):
            other = "an integer or a choice" if is_integer(field) else "a choice"
            violations.add(where, f"{parameter.path} is no real number: use {other}")
    message = getattr(parameter, kind)
    if kind == "integer":
        return _read_integer(message, where, violations)
    if kind == "normal":
        if not (math.isfinite(message.mean) and 0 < message.standard_deviation < math.inf):
            violations.add(
                f"{where}.standard_deviation", "must be above 0, and both numbers finite"
            )
            return None
        return Normal(message.mean, message.standard_deviation)
    return _read_interval(message, kind == "log_uniform", where, violations)


def _read_values(parameter: spec_pb2.Parameter, where: str, violations: Violations) -> list[Any]:
    try:
        values = json_format.MessageToDict(parameter.choice).get("values", [])
    except json_format.SerializeToJsonError:
        violations.add(f"{where}.choice.values", "must be JSON values: no NaN, no infinity")
        return []
    field = find_field(spec_pb2.JobSpec, parameter.path)
    if not isinstance(field, str):
        must_be_set = parameter.path == "seed" or parameter.path in COLUMNS
        for i, value in enumerate(values):
            place = f"{where}.choice.values[{i}]"
            if value is None and must_be_set:
                violations.add(place, f"must be a number for {field.name}, not null")
            violations.add_all(tuple(find_wrong_values(value, field, place)))
    return list(values)


def _read_integer(
    message: spec_pb2.IntegerRange, where: str, violations: Violations
) -> Integer | None:
    step = message.step if message.HasField("step") else 1
    if step < 1:
        violations.add(f"{where}.step", f"must be at least 1, not {step}")
        return None
    if message.high < message.low:
        violations.add(f"{where}.high", f"must be at least low ({message.low}), not {message.high}")
        return None
    if message.high - message.low > MAX_INTEGER_SPAN:
        violations.add(f"{where}.high", f"must be at most low + {MAX_INTEGER_SPAN:,}")
        return None
    return Integer(message.low, message.high, step)


def _read_interval(
    message: spec_pb2.Uniform | spec_pb2.LogUniform, log: bool, where: str, violations: Violations
) -> Uniform | None:
    if log and not message.low > 0:
        violations.add(f"{where}.low", f"must be above 0, not {message.low:g}")
        return None
    if not (np.isfinite([message.low, message.high]).all() and message.low < message.high):
        violations.add(
            f"{where}.high", f"must be above low ({message.low:g}), not {message.high:g}"
        )
        return None
    if not math.isfinite(message.high - message.low):
        violations.add(f"{where}.high", "must be less than 1.8e308 above low")
        return None
    return Uniform(message.low, message.high, log)


def _check_grid(
    domain: Domain, grid: Grid, kind: str | None, where: str, violations: Violations
) -> None:
    if isinstance(domain, Normal):
        violations.add(f"{where}.{kind}", "a normal domain has no grid: use random search")
    elif isinstance(domain, Uniform) and grid.points is None:
        violations.add("search.grid.points", f"must be given for the {kind} domain of {where}")
