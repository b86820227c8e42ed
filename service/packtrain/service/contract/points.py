"""Fixed lists of points: each gives values to the fields that it names."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from packtrain.service.contract.domains import check_value
from packtrain.service.contract.fields import Violations
from packtrain.service.contract.json_values import show, to_json
from packtrain.service.contract.paths import (
    are_alternatives,
    check_not_given,
    check_path,
    find_no_room,
    is_within,
)
from packtrain.service.domains import Choice
from packtrain.service.parameters import Parameter
from packtrain.service.search import Points
from packtrain.v1 import spec_pb2

_POINTS = "search.points.points"

Values = dict[str, Any]


def point_paths(search: spec_pb2.Search) -> list[str]:
    """The paths that the points name, each once, in order."""
    return sorted({path for point in search.points.points for path in point.values})


def read_points(
    spec: spec_pb2.JobSpec, violations: Violations
) -> tuple[tuple[Parameter, ...], dict[str, list[Any]], Points] | None:
    """A parameter for each path that some point names, a choice of the values that points give
    it; those values; and which of them each point has. None where something is wrong."""
    before = len(violations)
    search = spec.search
    if search.parameters:
        violations.add("search.parameters", "must be empty beside points, which name their own")
    if not search.points.points:
        violations.add(_POINTS, "must have at least one point")
    fields = _read_paths(spec, violations)
    points = [
        _read_point(point, f"{_POINTS}[{i}]", fields, violations)
        for i, point in enumerate(search.points.points)
    ]
    _check_together(points, violations)
    return _as_choices(points) if len(violations) == before else None


def _read_paths(spec: spec_pb2.JobSpec, violations: Violations) -> dict[str, FieldDescriptor]:
    """The field at each path that can be searched; the others are named where they first are."""
    fields: dict[str, FieldDescriptor] = {}
    first: dict[str, int] = {}
    times: dict[str, int] = {}
    for i, point in enumerate(spec.search.points.points):
        for path in point.values:
            first.setdefault(path, i)
            times[path] = times.get(path, 0) + 1
    for path, i in first.items():
        field = check_path(spec, path, _place(f"{_POINTS}[{i}]", path), violations)
        if field is None:
            continue
        fields[path] = field
        if times[path] == len(spec.search.points.points):
            check_not_given(spec, path, violations)
    return fields


def _place(where: str, path: str) -> str:
    return f'{where}.values["{path}"]'


def _read_point(
    message: spec_pb2.Point, where: str, fields: dict[str, FieldDescriptor], violations: Violations
) -> Values:
    values: Values = {}
    for path, value in sorted(message.values.items()):
        if path not in fields:
            continue
        place = _place(where, path)
        try:
            values[path] = to_json(value)
        except ValueError:
            violations.add(place, "must be a JSON value: no NaN, no infinity")
            continue
        check_value(values[path], path, fields[path], place, violations)
    return values


def _check_together(points: list[Values], violations: Violations) -> None:
    """That the paths of each point can be set in one trial."""
    met: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for i, point in enumerate(points):
        paths = tuple(point)
        if paths not in met:
            met[paths] = [(a, b) for a, b in permutations(paths, 2) if is_within(b, a)]
            for a, b in _alternatives(paths):
                violations.add(
                    _place(f"{_POINTS}[{i}]", b),
                    f"can't be set beside {a}, its alternative: leave one out",
                )
        for outer, inner in met[paths]:
            wrong = find_no_room(inner, outer, point[outer])
            if wrong:
                violations.add(
                    _place(f"{_POINTS}[{i}]", inner),
                    f"can't be set where {outer} is {show(point[outer])}: {wrong}",
                )


def _alternatives(paths: tuple[str, ...]) -> list[tuple[str, str]]:
    return [
        (a, b)
        for j, b in enumerate(paths)
        for a in paths[:j]
        if not is_within(b, a) and are_alternatives(b, a)
    ]


def _as_choices(
    points: list[Values],
) -> tuple[tuple[Parameter, ...], dict[str, list[Any]], Points]:
    paths = sorted({path for point in points for path in point})
    choices: dict[str, list[Any]] = {path: [] for path in paths}
    # By path, the index of each value by its JSON text: equal values are one.
    indices: dict[str, dict[str, int]] = {path: {} for path in paths}
    positions = np.full((len(points), len(paths)), -1, np.int64)
    for row, point in enumerate(points):
        for column, path in enumerate(paths):
            if path not in point:
                continue
            text = json.dumps(point[path], sort_keys=True)
            index = indices[path].setdefault(text, len(choices[path]))
            if index == len(choices[path]):
                choices[path].append(point[path])
            positions[row, column] = index
    parameters = tuple(Parameter(path, Choice(len(choices[path]))) for path in paths)
    return parameters, choices, Points(positions)
