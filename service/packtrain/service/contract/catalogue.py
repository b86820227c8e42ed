"""All numbers of a specification by path, whatever family they are of."""

from __future__ import annotations

from packtrain.service.contract import (
    costs,
    early_stopping,
    initializations,
    learners,
    measurement,
    networks,
    optimizers,
    population,
    regularization,
    schedules,
    selections,
    stopping,
    structures,
)
from packtrain.service.contract.numbers import NumberFields

NUMBERS: NumberFields = {
    path: field
    for family in (
        structures,
        selections,
        networks,
        costs,
        initializations,
        regularization,
        optimizers,
        schedules,
        stopping,
        measurement,
        early_stopping,
        population,
        learners,
    )
    for path, field in family.NUMBERS.items()
}

# The numbers that may differ from trial to trial within a pack, and their columns there.
COLUMNS: dict[str, str] = {
    path: field.column for path, field in NUMBERS.items() if field.column is not None
}
