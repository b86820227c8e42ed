"""Searches: from typed objects to the contract's Search."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from google.protobuf import json_format

from packtrain.client import searches, spec
from packtrain.client.converters.readers import EARLY_STOPPING
from packtrain.client.converters.writers import find_field, json_form, write
from packtrain.client.errors import SpecError, Violation
from packtrain.client.learning_rates import LearningRateRange
from packtrain.client.objectives import list_objectives
from packtrain.v1 import spec_pb2

_LISTED = {"choice", "integer"}
_SAMPLERS: dict[type[searches.Search], str] = {
    searches.RandomSearch: "random",
    searches.Sobol: "sobol",
    searches.LatinHypercube: "latin_hypercube",
}
_LEARNING: dict[type[searches.Search], str] = {
    searches.TPE: "tpe",
    searches.GaussianProcess: "gaussian_process",
    searches.CmaEs: "cma_es",
    searches.NSGA2: "nsga2",
}
_OPTIONS = ("batch_size", "startup_trials", "population_size")


def write_search(
    message: spec_pb2.JobSpec,
    search: searches.Search | LearningRateRange | None,
    parameters: Sequence[spec_pb2.Parameter],
) -> None:
    """Write the search of these parameters; None: a grid, where all their values can be listed.
    Raises SpecError where that can't be."""
    if isinstance(search, LearningRateRange | searches.Points):
        if parameters:
            kind = type(search).__name__
            raise SpecError(parameters[0].path, f"holds a domain, and a {kind} has no other search")
        if isinstance(search, LearningRateRange):
            write(message.search.learning_rate_range, search, "search.learning_rate_range", None)
            return
        _write_points(message.search.points, search)
    elif parameters:
        message.search.parameters.extend(parameters)
        _write_algorithm(message.search, search or _default_search(parameters))
    elif search is None:
        return
    elif not isinstance(search, searches.Grid) or search.repeats is None:
        raise SpecError("search", "no field holds a domain, so there is nothing to search")
    assert isinstance(search, searches.Search | None)
    if search is not None and search.repeats is not None:
        message.search.repeats = _count("search.repeats", search.repeats)


def _write_algorithm(message: spec_pb2.Search, search: searches.Search) -> None:
    kind = _SAMPLERS.get(type(search))
    if kind is not None:
        trials = _count(f"search.{kind}.trials", getattr(search, "trials", None))
        getattr(message, kind).trials = trials
    elif isinstance(search, searches.Learning) and type(search) in _LEARNING:
        _write_learning(message, search, _LEARNING[type(search)])
    elif isinstance(search, searches.Grid):
        message.grid.SetInParent()
        if search.points is not None:
            message.grid.points = _count("search.grid.points", search.points)
    else:
        names = ["Grid", *(kind.__name__ for kind in (*_SAMPLERS, *_LEARNING)), "Points"]
        raise SpecError(
            "search", f"expected {', '.join(names)} or LearningRateRange, not {search!r}"
        )


def _write_learning(message: spec_pb2.Search, search: searches.Learning, kind: str) -> None:
    algorithm = getattr(message, kind)
    algorithm.trials = _count(f"search.{kind}.trials", search.trials)
    for name in _OPTIONS:
        value = getattr(search, name, None)
        if value is not None:
            setattr(algorithm, name, _count(f"search.{kind}.{name}", value))
    if search.continues is not None:
        if not isinstance(search.continues, str):
            raise SpecError("search.continues", f"expected a job's name, not {search.continues!r}")
        message.continues = search.continues


def _write_points(message: spec_pb2.PointsSearch, search: searches.Points) -> None:
    wrong: list[Violation] = []
    message.SetInParent()
    for i, point in enumerate(search.points):
        values = message.points.add().values
        for path, value in point.items():
            place = f'search.points.points[{i}].values["{path}"]'
            field = find_field(path) if isinstance(path, str) else None
            if field is None:
                wrong.append(Violation(place, "there is no field at this path"))
                continue
            try:
                json_format.ParseDict(json_form(field, value, path), values[path])
            except SpecError as error:
                wrong += [Violation(place, v.description) for v in error.violations]
    if wrong:
        raise SpecError(*wrong[0], *wrong[1:])


def write_objectives(message: spec_pb2.Search, given: spec.JobSpec) -> None:
    """Write what the search is for, and what becomes of its trials by that. Raises SpecError."""
    for objective in list_objectives(given.objectives):
        write(message.objectives.add(), objective, "objectives", None)
    if given.population is not None:
        write(message.population, given.population, "population", None)
    rule = given.early_stopping
    if rule is None:
        return
    name = EARLY_STOPPING.get(type(rule))
    if name is None:
        expected = " or ".join(f"{kind.__name__}()" for kind in EARLY_STOPPING)
        raise SpecError("early_stopping", f"expected {expected}, not {rule!r}")
    write(getattr(message, name), rule, "early_stopping", None)


def _count(field: str, value: object) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or abs(int(value)) >= 2**31:
        raise SpecError(field, f"expected a whole number, not {value!r}")
    return int(value)


def _default_search(parameters: Sequence[spec_pb2.Parameter]) -> searches.Grid:
    endless = [p.path for p in parameters if not _is_listed(p)]
    if endless:
        raise SpecError(
            "search",
            f"the values of {', '.join(endless)} can't all be listed: "
            "add search=RandomSearch(trials=...) or search=Grid(points=...)",
        )
    return searches.Grid()


def _is_listed(parameter: spec_pb2.Parameter) -> bool:
    kind = parameter.WhichOneof("domain")
    return kind in _LISTED or (kind != "normal" and getattr(parameter, kind or "").HasField("step"))
