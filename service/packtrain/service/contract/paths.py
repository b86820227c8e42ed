"""Paths of searched fields: whether there is such a field, and whether two can be set at once."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from packtrain.service.contract.fields import (
    Violations,
    all_paths,
    choose,
    find_field,
    is_given,
    oneof_conflict,
    set_json,
)
from packtrain.service.contract.json_values import show
from packtrain.service.contract.parameters import Fields, SearchedField, can_meet, requirements
from packtrain.service.hints import did_you_mean
from packtrain.v1 import spec_pb2

_NOT_SEARCHABLE = ("search", "measurement", "data_type")


def check_path(
    spec: spec_pb2.JobSpec, path: str, where: str, violations: Violations
) -> FieldDescriptor | None:
    """The field at the path; None, and a violation, where a search can't give it values."""
    if path.split(".")[0] in _NOT_SEARCHABLE:
        violations.add(where, f"{path} is the same for all trials of a job")
        return None
    found = find_field(spec_pb2.JobSpec, path)
    if isinstance(found, str):
        hint = did_you_mean(path, _paths_with_room(spec)) if path else ""
        violations.add(where, f"there is no field {path}{hint}" if hint else found)
        return None
    given = oneof_conflict(spec, path)
    if given is not None:
        chosen, wanted = given
        violations.add(
            where, f"the specification gives {chosen!r}, so {wanted!r} can't be searched"
        )
        return None
    return found


def _paths_with_room(spec: spec_pb2.JobSpec) -> list[str]:
    """What could be searched beside what the specification gives."""
    paths = all_paths(spec.DESCRIPTOR)
    searchable = (p for p in paths if p.split(".")[0] not in _NOT_SEARCHABLE)
    return [path for path in searchable if oneof_conflict(spec, path) is None]


def check_not_given(spec: spec_pb2.JobSpec, path: str, violations: Violations) -> None:
    """That the field has no value of its own, which no trial would have."""
    if path != "seed" and is_given(spec, path):
        violations.add(path, "is given and searched at once: give one of the two")


def check_fields(fields: Fields, violations: Violations) -> None:
    """That what exists in the same trial can be set in the same trial."""
    found = list(fields.values())
    required = [requirements(field, fields) for field in found]
    for i, field in enumerate(found):
        for j, other in enumerate(found):
            if j == i or not can_meet(required[i], required[j]):
                continue
            if is_within(field.path, other.path):
                _check_room(field, other, required[i].get(other.path), violations)
            elif j < i and not is_within(other.path, field.path):
                _check_alternatives(field, other.path, violations)


def is_within(path: str, other: str) -> bool:
    """Whether the field at ``path`` is a part of the one at ``other``."""
    return path.startswith(other + ".")


def _check_room(
    field: SearchedField,
    outer: SearchedField,
    positions: frozenset[int] | None,
    violations: Violations,
) -> None:
    """That each value of the outer field (those at ``positions``; None: all) leaves room for the
    field within it."""
    for position, value in enumerate(outer.values):
        if positions is not None and position not in positions:
            continue
        wrong = find_no_room(field.path, outer.path, value)
        if wrong:
            violations.add(
                f"{field.where}.path",
                f"can't be searched where {outer.path} is {show(value)}: {wrong}; a condition on "
                f"{outer.path} says where it is",
            )
            return


def find_no_room(path: str, outer: str, value: Any) -> str | None:
    """Why the field at ``path`` can't be set within ``value``, which the field at ``outer`` has;
    None where it can."""
    spec = spec_pb2.JobSpec()
    set_json(spec, outer, value)
    conflict = oneof_conflict(spec, path)
    if conflict is not None:
        return f"that has {conflict[0]!r}, and {conflict[1]!r} would take its place"
    if is_given(spec, path):
        return "that gives it a value of its own"
    return None


def _check_alternatives(field: SearchedField, other: str, violations: Violations) -> None:
    if are_alternatives(field.path, other):
        violations.add(
            f"{field.where}.path",
            f"{field.path} can't be searched beside {other}, its alternative: leave one out, or "
            "give conditions under which no trial has both",
        )


def are_alternatives(path: str, other: str) -> bool:
    """Whether to set the field at one path unsets the one at the other."""
    chosen = spec_pb2.JobSpec()
    choose(chosen, other)
    return oneof_conflict(chosen, path) is not None
