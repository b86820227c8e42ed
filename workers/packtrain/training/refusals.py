"""How a pack is refused: one sentence, and the path of the field that it is about."""

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
