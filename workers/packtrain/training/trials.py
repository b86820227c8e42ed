"""A pleasant way to write the columns of a pack."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from packtrain.training.refusals import PackError, require_whole, show
from packtrain.training.spec import (
    NUMBERS,
    Cost,
    Initialization,
    Rule,
    ScaledGaussian,
    Schedule,
    Trials,
)


def make_trials(
    count: int,
    *,
    cost: Cost | list[Cost] = Cost.CROSS_ENTROPY,
    initialization: Initialization | list[Initialization] | None = None,
    rule: Rule | list[Rule] = Rule.SGD,
    schedule: Schedule | list[Schedule] | None = None,
    seeds: ArrayLike | None = None,
    order_seeds: ArrayLike = 0,
    **numbers: ArrayLike,
) -> Trials:
    """``count`` trials. Each argument is one value for all, or one for each trial.

    ``numbers`` are those of :data:`packtrain.training.NUMBERS` by name; what is not given has
    its default. ``initialization`` None is the scaled Gaussian; ``schedule`` None is constant;
    ``seeds`` None counts from 0; ``order_seeds`` alike let all trials see the same mini-batches.

    Raises :class:`PackError`, with the argument's name, where the number of values is not
    ``count``, a value is no number, or a seed is no whole number of 0 to 2^64 - 1; and TypeError
    for a number of another name.
    """
    require_whole("count", count, at_least=1)
    unknown = sorted(set(numbers) - set(NUMBERS))
    if unknown:
        raise TypeError(f"{unknown[0]}: expected one of {', '.join(NUMBERS)}.")
    costs, cost_column = _choose("cost", count, cost)
    initializations, initialization_column = _choose(
        "initialization", count, initialization or ScaledGaussian()
    )
    rules, rule_column = _choose("rule", count, rule)
    schedules, schedule_column = _choose("schedule", count, schedule or Schedule())
    columns = {
        name: _column(name, count, numbers.get(name, number.default))
        for name, number in NUMBERS.items()
    }
    return Trials(
        seeds=_seeds("seeds", count, np.arange(count) if seeds is None else seeds),
        order_seeds=_seeds("order_seeds", count, order_seeds),
        cost=cost_column,
        costs=costs,
        initialization=initialization_column,
        initializations=initializations,
        rule=rule_column,
        rules=rules,
        schedule=schedule_column,
        schedules=schedules,
        **columns,
    )


def _column(name: str, count: int, values: ArrayLike) -> NDArray[np.float64]:
    # As it is first: asked for floats, NumPy reads the text of a number.
    array = _array(name, values)
    if array.dtype.kind not in "fiu":
        raise PackError(name, f"expected numbers, got {show(values)}.")
    return _spread(name, count, array.astype(np.float64))


def _seeds(name: str, count: int, values: ArrayLike) -> NDArray[np.uint64]:
    array = _array(name, values)
    if array.dtype.kind not in "iu" or not (array >= 0).all():
        # One by one, and as they are: seeds above 2^63 beside smaller ones would become floats.
        array = _array(name, values, object)
        for place, seed in np.ndenumerate(array):
            require_whole(f"{name}{list(place) or ''}", seed, at_least=0, at_most=2**64 - 1)
    return _spread(name, count, array.astype(np.uint64))


def _array(name: str, values: ArrayLike, dtype: Any = None) -> NDArray[Any]:
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError):  # lists of different lengths
        raise PackError(name, f"expected numbers, got {show(values)}.") from None


def _spread(name: str, count: int, array: NDArray[Any]) -> NDArray[Any]:
    if array.shape not in ((), (count,)):
        raise PackError(name, f"expected one value or {count}, got shape {array.shape}.")
    return np.broadcast_to(array, (count,)).copy()


def _choose(name: str, count: int, values: Any) -> tuple[tuple[Any, ...], NDArray[np.intp]]:
    """The distinct choices, and each trial's index into them."""
    each = values if isinstance(values, list) else [values]
    if len(each) not in (1, count):
        raise PackError(name, f"expected one value or {count}, got {len(each)}.")
    distinct: list[Any] = []
    for value in each:
        if not any(value is known or value == known for known in distinct):
            distinct.append(value)
    column = [next(i for i, d in enumerate(distinct) if v is d or v == d) for v in each]
    return tuple(distinct), np.resize(np.array(column, np.intp), count)
