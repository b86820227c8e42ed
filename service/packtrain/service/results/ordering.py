"""Orders of trials, and where in one a page ended."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.results.columns import Column, Numbers, TrialColumns, Words, unknown_field

# Where a page ended: the value of each key at its last trial (None: it has none), and its index.
Position = tuple[tuple[float | str | None, ...], int]


@dataclass(frozen=True)
class OrderKey:
    """A field, and whether its highest value comes first."""

    field: str
    descending: bool


def read_order(text: str, columns: TrialColumns) -> tuple[OrderKey, ...]:
    """ "validation_accuracy desc, epochs". Raises InvalidSpecError with everything wrong in it."""
    keys: list[OrderKey] = []
    violations: list[Violation] = []
    for number, part in enumerate(text.split(",") if text.strip() else (), 1):
        name, *direction = part.split() or [""]
        if not name or len(direction) > 1 or not {*direction} <= {"asc", "desc"}:
            expected = "must be fields, each with asc or desc after it or neither, with commas"
            wrong = f"{expected} between them; the {_nth(number)} is {part.strip()!r}"
            violations.append(Violation("order_by", wrong))
        elif columns.find(name) is None:
            violations.append(Violation("order_by", unknown_field(name, columns.names())))
        elif any(key.field == name for key in keys):
            violations.append(Violation("order_by", f"names {name} twice"))
        keys.append(OrderKey(name, direction == ["desc"]))
    if violations:
        raise InvalidSpecError.of(violations)
    return tuple(keys)


def _nth(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


class Order:
    """The order of a job's trials by some keys, by index where they are equal. By a metric, trials
    that DIVERGED or FAILED come last, as those do that have none."""

    def __init__(self, columns: TrialColumns, keys: tuple[OrderKey, ...]) -> None:
        self._columns = [c for key in keys if (c := columns.find_key(key.field)) is not None]
        self._descending = [key.descending for key in keys]

    def sort(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """The rows in this order; they are given by index."""
        keys: list[NDArray[Any]] = []
        for column, descending in zip(self._columns, self._descending, strict=True):
            ranks = _ranks(column)[rows]
            missing = np.isnan(ranks)
            keys += [missing, np.where(missing, 0.0, -ranks if descending else ranks)]
        return rows[np.lexsort([rows, *reversed(keys)])] if keys else rows

    def position(self, row: int) -> Position:
        """Where a page ends of which this row is the last."""
        return tuple(_value(column, row) for column in self._columns), row

    def after(self, ordered: NDArray[np.intp], position: Position) -> int:
        """How many of the ordered rows are not behind a position, which need not be among them."""
        key = self._sort_key(position)
        return bisect.bisect_right(
            ordered, key, key=lambda row: self._sort_key(self.position(int(row)))
        )

    def _sort_key(self, position: Position) -> tuple[Any, ...]:
        values, index = position
        parts: list[Any] = []
        for value, column, down in zip(values, self._columns, self._descending, strict=True):
            if isinstance(column, Words):
                rank = None if value is None else float(_rank_of(column, str(value)))
            else:
                rank = None if value is None else float(value)
            parts.append((rank is None, 0.0 if rank is None else -rank if down else rank))
        return (*parts, index)


def _ranks(column: Column) -> NDArray[np.float64]:
    """What to sort by, ascending; NaN where there is nothing."""
    if isinstance(column, Numbers):
        return column.values.astype(np.float64)
    ranks = np.argsort(np.argsort(column.words, kind="stable"), kind="stable").tolist()
    # Code -1, which has nothing, takes the last.
    return np.asarray(np.array([*ranks, math.nan])[column.codes])


def _rank_of(column: Words, word: str) -> int:
    return bisect.bisect_left(sorted(column.words), word)


def _value(column: Column, row: int) -> float | str | None:
    if isinstance(column, Numbers):
        number = float(column.values[row])
        return None if math.isnan(number) else number
    code = int(column.codes[row])
    return None if code < 0 else str(column.words[code])
