"""Messages of population-based training to its rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.learners import is_learner
from packtrain.service.contract.learning_rates import is_range
from packtrain.service.contract.networks import read_data_type
from packtrain.service.contract.numbers import NumberField, NumberFields, share, whole
from packtrain.service.contract.objectives import OBJECTIVES_FORM
from packtrain.service.domains import Domain
from packtrain.service.population import PopulationBasedTraining, SearchedNumber
from packtrain.service.search import Column
from packtrain.training import DataType, Signature
from packtrain.v1 import spec_pb2

if TYPE_CHECKING:  # the searches need the catalogue of all numbers, which needs this
    from packtrain.service.contract.search import ParameterSpace

WHERE = "search.population"
NUMBERS: NumberFields = {
    f"{WHERE}.every_epochs": whole(1, 1_000_000, default=5),
    f"{WHERE}.exploit_share": NumberField(above=0, at_most=0.5, default=0.25),
    f"{WHERE}.perturb_factor": NumberField(above=1, at_most=100, default=1.2),
    f"{WHERE}.resample_probability": share(0.25),
}


def read_population(
    spec: spec_pb2.JobSpec,
    parameters: ParameterSpace | None,
    columns: Mapping[str, Column],
    fields: NumberFields,
    violations: Violations,
) -> PopulationBasedTraining | None:
    """How the trials of a search learn from each other; None where they don't. ``fields`` are
    all numbers of a specification, ``parameters`` what is searched, where that is right, and
    ``columns`` the trials' values of it."""
    if not spec.search.HasField("population"):
        return None
    _check_beside(spec, violations)
    _check_searched(spec.search, columns, fields, violations)
    if parameters is not None and parameters.space.trials < 2:
        violations.add(
            WHERE, f"must have at least 2 trials, not {parameters.space.trials}: they copy others"
        )
    every, exploit, factor, resample = (
        field.read(spec.search.population, path, violations) for path, field in NUMBERS.items()
    )
    data_type = read_data_type(spec, violations)
    numbers = [
        _read_number(p.path, p.domain, parameters, fields[p.path], data_type)
        for p in (parameters.space.parameters if parameters else ())
        if p.path in fields and fields[p.path].column is not None
    ]
    return PopulationBasedTraining(int(every), exploit, factor, resample, spec.seed, tuple(numbers))


def _check_beside(spec: spec_pb2.JobSpec, violations: Violations) -> None:
    """That nothing else says what becomes of the trials."""
    search = spec.search
    if not search.objectives:
        violations.add(
            "search.objectives",
            f"must name what trials are compared by for a population, as in {OBJECTIVES_FORM}",
        )
    rule = search.WhichOneof("early_stopping")
    if rule is not None:
        violations.add(WHERE, f"can't stand beside {rule}: its worst trials copy the best instead")
    if is_range(spec):
        violations.add(WHERE, "can't stand beside a learning_rate_range, whose rates are given")
    if is_learner(search):
        kind = search.WhichOneof("algorithm")
        violations.add(
            WHERE, f"can't stand beside {kind}, which learns from trials that keep their numbers"
        )
    if search.repeats > 1:
        violations.add(WHERE, "can't stand beside repeats, whose numbers would not stay the same")


def _check_searched(
    search: spec_pb2.Search,
    columns: Mapping[str, Column],
    fields: NumberFields,
    violations: Violations,
) -> None:
    """That trials can copy all that is searched from each other."""
    searched = [(f"search.parameters[{i}].path", p.path) for i, p in enumerate(search.parameters)]
    if search.HasField("points"):
        searched += [("search.points", path) for path in columns]
    for where, path in searched:
        field = fields.get(path)
        if path and (field is None or field.column is None):
            violations.add(
                where,
                f"{path} can't change while a trial trains: a population searches numbers of the"
                " optimizer and the regularization",
            )
        elif search.HasField("points") and not columns[path].is_whole:
            violations.add(
                where, f"must give every point {path} for a population, whose trials copy it"
            )
    for i, parameter in enumerate(search.parameters):
        if parameter.HasField("condition"):
            violations.add(
                f"search.parameters[{i}].condition",
                "can't stand beside a population, whose trials all copy the same numbers",
            )


def _read_number(
    path: str,
    domain: Domain,
    parameters: ParameterSpace | None,
    field: NumberField,
    data_type: DataType,
) -> SearchedNumber:
    def fits(value: float) -> bool:
        # As networks hold it: what is below 1 must not round to 1 there.
        return field.wrong(float(np.dtype(data_type).type(value)), data_type) is None

    given = parameters.choices.get(path, ()) if parameters else ()
    return SearchedNumber(path, field.column or "", domain, tuple(map(float, given)), fits)


def check_rungs(
    rule: PopulationBasedTraining, signature: Signature, violations: Violations
) -> None:
    """A population must be compared at least once before its last epoch."""
    everyone = np.arange(0, dtype=np.int32)
    if not rule.population(everyone, signature.epochs, signature.measure_every).rungs:
        violations.add(
            f"{WHERE}.every_epochs",
            f"must leave an epoch that is measured below the last one, {signature.epochs}, for "
            f"trials to copy others after, not {rule.every_epochs}",
        )
