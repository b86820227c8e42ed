"""Whether the columns and the tables of a pack's trials make sense."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from packtrain.training.course_checks import check_schedule
from packtrain.training.refusals import PackError, require_kind, require_number, show
from packtrain.training.spec import (
    NUMBERS,
    TABLES,
    Constant,
    Cost,
    Distribution,
    DrawnInitialization,
    GivenArrays,
    He,
    Initialization,
    LeCun,
    Number,
    Orthogonal,
    Rule,
    Schedule,
    Signature,
    Trials,
    Xavier,
)

# The column of indices into each table, and what the table holds.
_COLUMNS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "costs": ("cost", Cost),
    "initializations": ("initialization", get_args(Initialization)),
    "rules": ("rule", Rule),
    "schedules": ("schedule", Schedule),
}
_SEEDS = ("seeds", "order_seeds")


def check_trials(trials: Trials, signature: Signature) -> None:
    """Raise :class:`PackError` for the first thing that is wrong with the trials' numbers."""
    _check_tables(trials)
    require_kind("trials.seeds", trials.seeds, np.ndarray, "an array of whole numbers")
    if trials.seeds.ndim != 1:
        raise PackError("trials.seeds", f"expected shape (trials,), got {trials.seeds.shape}.")
    for name, number in NUMBERS.items():
        column = _column(trials, name, "fiu", "numbers")
        _refuse_first(name, column, *_in_range(column, number))
    for table in TABLES:
        name = _COLUMNS[table][0]
        column = _column(trials, name, "iu", "whole numbers")
        inside = (column >= 0) & (column < len(getattr(trials, table)))
        _refuse_first(name, column, inside, f"an index into {table}")
    for name in _SEEDS:
        column = _column(trials, name, "iu", "whole numbers")
        _refuse_first(name, column, column >= 0, "at least 0")
    for index, schedule in enumerate(trials.schedules):
        check_schedule(schedule, f"trials.schedules[{index}]", signature)
    for index, initialization in enumerate(trials.initializations):
        _check_initialization(initialization, f"trials.initializations[{index}]", signature)


def _check_tables(trials: Trials) -> None:
    for table in TABLES:
        name, kind = _COLUMNS[table]
        require_kind(f"trials.{table}", getattr(trials, table), tuple, "a tuple")
        for index, entry in enumerate(getattr(trials, table)):
            require_kind(f"trials.{table}[{index}]", entry, kind, f"a {name} of packtrain.training")


def _column(trials: Trials, name: str, kinds: str, expected: str) -> NDArray[Any]:
    """A column, of the right length and type."""
    column = getattr(trials, name)
    if not isinstance(column, np.ndarray) or column.dtype.kind not in kinds:
        found = column.dtype if isinstance(column, np.ndarray) else show(column)
        raise PackError(f"trials.{name}", f"expected an array of {expected}, got {found}.")
    if column.shape != (len(trials),):
        raise PackError(f"trials.{name}", f"expected shape ({len(trials)},), got {column.shape}.")
    return column


def _refuse_first(
    name: str, column: NDArray[Any], is_good: NDArray[np.bool_], expected: str
) -> None:
    if not is_good.all():
        row = int(np.argmin(is_good))
        raise PackError(f"trials.{name}[{row}]", f"expected {expected}, got {column[row]}.")


def _in_range(values: NDArray[np.float64], number: Number) -> tuple[NDArray[np.bool_], str]:
    """Which values are finite and within the number's range, and the range in words."""
    good, words = np.isfinite(values), []
    if number.at_least is not None:
        good, words = good & (values >= number.at_least), [f"at least {number.at_least:g}"]
    if number.above is not None:
        good, words = good & (values > number.above), [f"above {number.above:g}"]
    if number.below is not None:
        good, words = good & (values < number.below), [*words, f"below {number.below:g}"]
    return good, " and ".join(words)


def _check_initialization(initialization: Initialization, field: str, signature: Signature) -> None:
    match initialization:
        case Xavier(distribution) | He(distribution) | LeCun(distribution):
            expected = "Distribution.NORMAL or Distribution.UNIFORM"
            require_kind(f"{field}.distribution", distribution, Distribution, expected)
        case Constant(weight, bias):
            require_number(f"{field}.weight", weight)
            require_number(f"{field}.bias", bias)
        case Orthogonal(gain):
            require_number(f"{field}.gain", gain)
            if gain == 0:
                raise PackError(f"{field}.gain", "expected a number other than 0.")
        case GivenArrays():
            _check_given(initialization, field, signature)


def _check_given(given: GivenArrays, field: str, signature: Signature) -> None:
    shapes = list(zip(signature.sizes[:-1], signature.sizes[1:], strict=True))
    for name in ("weights", "biases"):
        layers = getattr(given, name)
        require_kind(f"{field}.{name}", layers, (tuple, list), "a tuple of arrays, one a layer")
    count = len(given.weights)
    if not 1 <= count <= len(shapes):
        raise PackError(f"{field}.weights", f"expected 1 to {len(shapes)} layers, got {count}.")
    for name, layers, expected in (
        ("weights", given.weights, shapes[:count]),
        ("biases", given.biases, [(outputs,) for _, outputs in shapes[:count]]),
    ):
        arrays = [_as_numbers(f"{field}.{name}[{i}]", array) for i, array in enumerate(layers)]
        found = [array.shape for array in arrays]
        if found != expected:
            raise PackError(f"{field}.{name}", f"expected shapes {expected}, got {found}.")
        if not all(np.isfinite(array).all() for array in arrays):
            raise PackError(f"{field}.{name}", "expected finite numbers.")
    if count < len(shapes):
        if isinstance(given.rest, GivenArrays):
            raise PackError(f"{field}.rest", "given arrays can't be followed by given arrays.")
        kinds = get_args(DrawnInitialization)
        require_kind(f"{field}.rest", given.rest, kinds, "an initialization, such as He()")
        _check_initialization(given.rest, f"{field}.rest", signature)


def _as_numbers(field: str, values: object) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise PackError(field, f"expected an array of numbers, got {show(values)}.")
    return array
