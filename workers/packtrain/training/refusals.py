"""How a pack or its data are refused: one sentence, and the path of the field it is about."""

from __future__ import annotations

import math
from collections.abc import Container
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np


class PackError(ValueError):
    """A pack that can't train: ``field`` is the path of what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self._message = field, message

    def __reduce__(self) -> tuple[type[PackError], tuple[str, str]]:
        # From one process to another: an exception is otherwise made anew from its text.
        return type(self), (self.field, self._message)


class DataError(ValueError):
    """A selection that does not fit its data.

    ``field`` is the path of what is wrong, relative to the selection ("training.first"), or
    "splits", "inputs" or "targets" where the stored arrays are; ``row`` is then the row of their
    split, or None where it is no single one. ``message`` is the text without the field.
    """

    def __init__(self, field: str, message: str, row: int | None = None) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message, self.row = field, message, row

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str, int | None]]:
        return type(self), (self.field, self.message, self.row)


def require_number(
    field: str,
    value: float,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> None:
    """Raise :class:`PackError` where ``value`` is no number, not finite or not within bounds."""
    if not is_number(value):
        raise PackError(field, f"expected a number, got {show(value)}.")
    good = math.isfinite(value)
    words = []
    if at_least is not None:
        good, words = good and value >= at_least, [f"at least {at_least:g}"]
    if above is not None:
        good, words = good and value > above, [f"above {above:g}"]
    if at_most is not None:
        good, words = good and value <= at_most, [*words, f"at most {at_most:g}"]
    if below is not None:
        good, words = good and value < below, [*words, f"below {below:g}"]
    if not good:
        expected = " and ".join(words) or "a finite number"
        raise PackError(field, f"expected {expected}, got {value:g}.")


def require_whole(field: str, value: object, *, at_least: int, at_most: int | None = None) -> None:
    """Raise :class:`PackError` where ``value`` is no whole number within these bounds."""
    if not is_whole(value):
        raise PackError(field, f"expected a whole number, got {show(value)}.")
    bounds = f"at least {at_least}" if at_most is None else f"{at_least} to {at_most}"
    if value < at_least or (at_most is not None and value > at_most):
        raise PackError(field, f"expected {bounds}, got {value}.")


def require_kind(field: str, value: object, kind: type | tuple[type, ...], expected: str) -> None:
    """Raise :class:`PackError` where ``value`` is not of a kind: ``expected`` in words."""
    if not isinstance(value, kind):
        raise PackError(field, f"expected {expected}, got {show(value)}.")


def require_known(field: str, value: object, known: Container[str], names: str) -> None:
    """Raise :class:`PackError` where ``value`` is none of the ``known`` texts, ``names``."""
    if not isinstance(value, str) or value not in known:
        raise PackError(field, f"expected {names}, got {show(value)}.")


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is an integer: 30, but neither 30.0 nor True."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a real number, and not True or False."""
    return isinstance(value, Real) and not isinstance(value, bool)


def show(value: object) -> str:
    """A value as it is written, but not all of a long one."""
    text = " ".join((str(value) if isinstance(value, np.generic) else repr(value)).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
