"""The numbers of a specification: each field's default and range, in one place.

What reads a number, what fills in its default, what checks the values of a search and what tells
clients of other languages about it, all go by the same entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from google.protobuf.message import Message

from packtrain.service.contract.fields import Violations, range_error
from packtrain.training import NUMBERS, DataType


@dataclass(frozen=True, kw_only=True)
class NumberField:
    """An optional number of a specification.

    ``default`` is None where it follows from other fields or from the data, and where unset has
    a meaning that no number has. ``column``: its name in the trainer, where it may differ from
    trial to trial within a pack.
    """

    default: float | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    whole: bool = False
    column: str | None = None

    def wrong(self, value: float, data_type: DataType | None = None) -> str | None:
        """What is wrong with a value, or None. ``data_type``: what networks hold it in."""
        wrong = range_error(value, self.at_least, self.above, self.at_most, self.below)
        if wrong is not None or data_type is None:
            return wrong
        return unfit_error(value, data_type, above_zero=self.above == 0)

    def read(
        self,
        message: Message,
        path: str,
        violations: Violations,
        default: float = 0.0,
        data_type: DataType | None = None,
    ) -> float:
        """The number of ``message`` whose path ends in its name; ``default`` where it is unset
        and has none of its own. ``data_type``: what networks hold it in."""
        name = path.rpartition(".")[2]
        unset = default if self.default is None else self.default
        if not message.HasField(name):
            return unset
        value = getattr(message, name)
        wrong = self.wrong(value, data_type)
        if wrong:
            violations.add(path, wrong)
            return unset
        return float(value)


NumberFields = dict[str, NumberField]


def unfit_error(value: float, data_type: DataType, *, above_zero: bool = False) -> str | None:
    """Why a finite number can't be held in the data type, or None. One that must be
    ``above_zero`` must not become 0 there, nor lose digits on the way."""
    limits = np.finfo(data_type)
    most, least = float(limits.max), float(limits.tiny)
    if value > most:
        expected = f"at most {most:.2g}"
    elif value < -most:
        expected = f"at least {-most:.2g}"
    elif above_zero and value < least:
        expected = f"at least {least:.2g}"
    else:
        return None
    return f"must be {expected} in {data_type}, not {value:g}".replace("e+", "e")


def whole(at_least: int, at_most: int | None = None, default: int | None = None) -> NumberField:
    """A whole number."""
    return NumberField(whole=True, at_least=at_least, at_most=at_most, default=default)


def share(default: float) -> NumberField:
    """A number from 0 to 1."""
    return NumberField(at_least=0, at_most=1, default=default)


def column(name: str, default: float | None = None) -> NumberField:
    """A column of the trainer, in its range; ``default`` in place of the trainer's own."""
    number = NUMBERS[name]
    return NumberField(
        column=name,
        default=number.default if default is None else default,
        at_least=_plain(number.at_least),
        above=_plain(number.above),
        below=_plain(number.below),
    )


def _plain(bound: float | None) -> float | None:
    # Said as 0, not as 0.0.
    return int(bound) if bound is not None and bound.is_integer() else bound
