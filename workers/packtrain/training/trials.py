"""A pleasant way to write the columns of a pack."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from packtrain.training.spec import Cost, Initialization, ScaledGaussian, Trials


def make_trials(
    count: int,
    *,
    learning_rate: ArrayLike,
    cost: Cost | list[Cost] = Cost.CROSS_ENTROPY,
    initialization: Initialization | list[Initialization] | None = None,
    momentum: ArrayLike = 0.0,
    l2: ArrayLike = 0.0,
    l1: ArrayLike = 0.0,
    dropout: ArrayLike = 0.0,
    seeds: ArrayLike | None = None,
    order_seeds: ArrayLike = 0,
) -> Trials:
    """``count`` trials. Each argument is one value for all, or one for each trial.

    ``initialization`` None is the scaled Gaussian; ``seeds`` None counts from 0;
    ``order_seeds`` alike let all trials see the same mini-batches.

    Raises ValueError, with the argument's name, where the number of values is not ``count``.
    """
    costs, cost_column = _choose("cost", count, cost)
    initializations, initialization_column = _choose(
        "initialization", count, initialization or ScaledGaussian()
    )
    return Trials(
        seeds=_column("seeds", count, np.arange(count) if seeds is None else seeds, np.uint64),
        order_seeds=_column("order_seeds", count, order_seeds, np.uint64),
        learning_rate=_column("learning_rate", count, learning_rate),
        momentum=_column("momentum", count, momentum),
        l2=_column("l2", count, l2),
        l1=_column("l1", count, l1),
        dropout=_column("dropout", count, dropout),
        cost=cost_column,
        costs=costs,
        initialization=initialization_column,
        initializations=initializations,
    )


def _column(name: str, count: int, values: ArrayLike, dtype: Any = np.float64) -> NDArray[Any]:
    array = np.asarray(values, dtype)
    if array.shape not in ((), (count,)):
        raise ValueError(f"{name}: expected one value or {count}, got shape {array.shape}.")
    return np.broadcast_to(array, (count,)).copy()


def _choose(name: str, count: int, values: Any) -> tuple[tuple[Any, ...], NDArray[np.intp]]:
    """The distinct choices, and each trial's index into them."""
    each = values if isinstance(values, list) else [values]
    if len(each) not in (1, count):
        raise ValueError(f"{name}: expected one value or {count}, got {len(each)}.")
    distinct: list[Any] = []
    for value in each:
        if not any(value is known or value == known for known in distinct):
            distinct.append(value)
    column = [next(i for i, d in enumerate(distinct) if v is d or v == d) for v in each]
    return tuple(distinct), np.resize(np.array(column, np.intp), count)
