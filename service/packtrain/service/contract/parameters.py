"""Searched parameters as they were read: where each may exist, and which can't stand together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.struct_pb2 import Value

from packtrain.service.contract.fields import Violations, find_field, set_json
from packtrain.service.contract.json_values import show, to_json
from packtrain.service.domains import Choice, Domain, Integer
from packtrain.service.hints import did_you_mean
from packtrain.service.parameters import Condition, Parameter
from packtrain.v1 import spec_pb2

# More than a specification has use for; each is a level of recursion where trials are counted.
MAX_DEPTH = 50

# The values of other parameters, by path, that a parameter's conditions ask for.
Requirements = Mapping[str, frozenset[int]]


@dataclass(frozen=True, eq=False)
class SearchedField:
    """A parameter whose path and domain are right. ``where`` is its own place in the
    specification; ``values`` are those of a choice, in JSON form."""

    where: str
    path: str
    domain: Domain
    values: Sequence[Any] = ()
    condition: Condition | None = None

    @property
    def parameter(self) -> Parameter:
        """As the search takes it."""
        return Parameter(self.path, self.domain, self.condition)


Fields = dict[str, SearchedField]


def canonical(path: str, value: Any) -> bytes | None:
    """What a value in JSON form makes of the field at the path, so that two ways to write the
    same compare equal; None where it can't be the field's."""
    spec = spec_pb2.JobSpec()
    if set_json(spec, path, value):
        return None
    return spec.SerializeToString(deterministic=True)


def read_conditions(
    parameters: Sequence[spec_pb2.Parameter], fields: Fields, violations: Violations
) -> Fields:
    """The fields with their conditions: without those whose condition is wrong, and those that
    exist only beside one that is not there. ``fields`` are those of ``parameters`` that are right
    so far."""
    named = {parameter.path for parameter in parameters}
    found: Fields = {}
    for i, parameter in enumerate(parameters):
        where = f"search.parameters[{i}].condition"
        field = fields.get(parameter.path)
        if not parameter.HasField("condition"):
            if field is not None:
                found[field.path] = field
            continue
        other = parameter.condition.path
        if other not in named:
            violations.add(
                f"{where}.path",
                f"{other or 'nothing'} is not searched: name the path of another parameter"
                f"{did_you_mean(other, named - {parameter.path})}",
            )
        elif other in fields:
            condition = _read_condition(parameter.condition, fields[other], where, violations)
            if field is not None and condition is not None:
                found[field.path] = replace(field, condition=condition)
    found = _without_circles(parameters, found, violations)
    deep = [field for field in found.values() if len(requirements(field, found)) > MAX_DEPTH]
    for field in deep:
        violations.add(
            f"{field.where}.condition.path", f"conditions may nest {MAX_DEPTH} deep at most"
        )
        del found[field.path]
    return found


def _read_condition(
    message: spec_pb2.Condition, other: SearchedField, where: str, violations: Violations
) -> Condition | None:
    before = len(violations)
    if not isinstance(other.domain, Choice | Integer):
        violations.add(
            f"{where}.path",
            f"{other.path} has values that can't be listed: its domain must be a choice or an "
            "integer range",
        )
        return None
    if not message.values:
        violations.add(f"{where}.values", f"must name at least one value of {other.path}")
    met: set[int] = set()
    for i, value in enumerate(message.values):
        place = f"{where}.values[{i}]"
        taken = _find_value(value, other)
        met.update(taken)
        if not taken:
            violations.add(place, f"{other.path} never takes {_shown(value)}: {_expected(other)}")
    return Condition(other.path, frozenset(met)) if len(violations) == before else None


def _find_value(value: Value, other: SearchedField) -> list[int]:
    """The indices of a choice, or the number of an integer range, that the value stands for."""
    try:
        given = to_json(value)
    except ValueError:
        return []
    if isinstance(other.domain, Integer):
        number = given if isinstance(given, int | float) and not isinstance(given, bool) else 0.5
        if number != int(number) or not other.domain.low <= number <= other.domain.high:
            return []
        return [int(number)] if (int(number) - other.domain.low) % other.domain.step == 0 else []
    wanted = canonical(other.path, given)
    if wanted is None:
        return []
    return [i for i, v in enumerate(other.values) if canonical(other.path, v) == wanted]


def _shown(value: Value) -> str:
    try:
        return show(to_json(value))
    except ValueError:
        return "a number that is not finite"


def _expected(other: SearchedField) -> str:
    if isinstance(other.domain, Integer):
        domain = other.domain
        steps = "" if domain.step == 1 else f" in steps of {domain.step}"
        return f"expected {domain.low} to {domain.high}{steps}"
    return f"expected one of {', '.join(show(v) for v in other.values)}"


def _without_circles(
    parameters: Sequence[spec_pb2.Parameter], fields: Fields, violations: Violations
) -> Fields:
    """Name every parameter whose conditions lead back to it, and leave out what hangs on it."""
    leads = {
        p.path: p.condition.path
        for p in parameters
        if p.HasField("condition") and not isinstance(find_field(spec_pb2.JobSpec, p.path), str)
    }
    for i, parameter in enumerate(parameters):
        course = [parameter.path]
        while course[-1] in leads and leads[course[-1]] not in course:
            course.append(leads[course[-1]])
        if leads.get(course[-1]) == parameter.path:
            violations.add(
                f"search.parameters[{i}].condition.path",
                f"the conditions go in a circle: {' -> '.join([*course, parameter.path])}",
            )
    return {path: field for path, field in fields.items() if _is_rooted(field, fields)}


def _is_rooted(field: SearchedField, fields: Fields) -> bool:
    """Whether the field's conditions end at one that every trial has."""
    for _ in range(len(fields)):
        if field.condition is None:
            return True
        if field.condition.path not in fields:
            return False
        field = fields[field.condition.path]
    return False


def requirements(field: SearchedField, fields: Fields) -> Requirements:
    """What the field's conditions, and theirs, ask of other parameters."""
    return dict(_conditions(field, fields))


def _conditions(field: SearchedField, fields: Fields) -> Iterator[tuple[str, frozenset[int]]]:
    while field.condition is not None:
        yield field.condition.path, field.condition.values
        field = fields[field.condition.path]


def can_meet(one: Requirements, other: Requirements) -> bool:
    """Whether some trial fulfils both: conditions are a tree, so it is enough that no parameter
    is asked for two things."""
    return all(values & other[path] for path, values in one.items() if path in other)
