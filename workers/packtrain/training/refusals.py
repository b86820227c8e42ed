"""How a pack or its data are refused: one sentence, and the path of the field it is about."""

from __future__ import annotations

import math


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
    "inputs" or "targets" where the stored arrays are; ``row`` is then the row of their split, or
    None where it is no single one.
    """

    def __init__(self, field: str, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.field, self.row = field, row

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str, int | None]]:
        return type(self), (self.field, str(self), self.row)


def require_number(
    field: str,
    value: float,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> None:
    """Raise :class:`PackError` where ``value`` is not finite or not within these bounds."""
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
