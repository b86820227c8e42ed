"""Which of the stored rows are learnt from, and which are held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from packtrain.training.refusals import DataError, is_number, is_whole, show
from packtrain.training.scaling import Rows, Scaling

# Keeps this stream apart from those of initial weights, dropout and mini-batch order, which
# may be keyed by the same seed. The number has no meaning: the ASCII bytes of "HELD OUT".
_PURPOSE_HELD_OUT = 0x48454C44204F5554


@dataclass(frozen=True)
class RowRange:
    """``count`` rows of ``split`` from row ``first``; None: to the end."""

    split: str = "train"
    first: int = 0
    count: int | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which rows are learnt from and which are held out, and how they are shown.

    ``training`` None: all of "train" that the validation does not take. ``validation`` is a
    share of the training rows (0 < share < 1, drawn at random by ``seed`` and taken away from
    them), a range, or None. ``one_hot_outputs``: the number of outputs for class labels that
    become one-hot rows, or None where targets stay as they are.
    """

    training: RowRange | None = None
    validation: RowRange | float | None = None
    scaling: Scaling = Scaling.NONE
    one_hot_outputs: int | None = None
    seed: int = 0


def select_rows(
    selection: Selection, rows: Mapping[str, int]
) -> tuple[tuple[str, Rows], tuple[str, Rows] | None]:
    """(split, row numbers) to train on and to validate on, for splits of so many ``rows``.

    Row numbers, (count,) from 0, ascend. A validation share is rounded to whole rows, at least one
    of them, and leaves at least one. Raises :class:`DataError`.
    """
    check_selection(selection)
    if not isinstance(rows, Mapping) or not all(map(is_whole, rows.values())):
        raise DataError("rows", f"expected numbers of rows by split, got {show(rows)}")
    held_out = selection.validation
    if isinstance(held_out, RowRange):
        return _select_ranges(selection.training, held_out, rows)
    training = selection.training or RowRange()
    chosen = _rows_of(training, "training", rows)
    if held_out is None:
        return (training.split, chosen), None
    kept, drawn = _draw_share(chosen, held_out, selection.seed)
    return (training.split, kept), (training.split, drawn)


def check_selection(selection: Selection) -> None:
    """Raise :class:`DataError` for the first field of a wrong kind or out of its range; whether
    there are such rows is found with them."""
    if not isinstance(selection, Selection):
        raise DataError("selection", f"expected a Selection, got {show(selection)}")
    if selection.training is not None:
        _check_range(selection.training, "training")
    if isinstance(selection.validation, RowRange):
        _check_range(selection.validation, "validation_rows")
    elif selection.validation is not None:
        _check_share(selection.validation)
    if not isinstance(selection.scaling, Scaling):
        names = ", ".join(f"Scaling.{kind.name}" for kind in Scaling)
        raise DataError("scaling", f"expected one of {names}, got {show(selection.scaling)}")
    outputs = selection.one_hot_outputs
    if outputs is not None and not (is_whole(outputs) and outputs >= 1):
        raise DataError(
            "one_hot_outputs", f"expected a whole number from 1, or None, got {show(outputs)}"
        )
    if not is_whole(selection.seed) or not 0 <= selection.seed < 2**64:
        raise DataError(
            "seed", f"expected a whole number of 0 to 2^64 - 1, got {show(selection.seed)}"
        )


def _check_range(wanted: object, field: str) -> None:
    if not isinstance(wanted, RowRange):
        raise DataError(field, f"expected a RowRange, or None, got {show(wanted)}")
    if not isinstance(wanted.split, str):
        raise DataError(f"{field}.split", f"expected the name of a split, got {show(wanted.split)}")
    for name in ("first", "count"):
        value = getattr(wanted, name)
        if not is_whole(value) and not (name == "count" and value is None):
            raise DataError(f"{field}.{name}", f"expected a whole number, got {show(value)}")


def _check_share(share: object) -> None:
    if not is_number(share) or not 0 < share < 1:
        raise DataError(
            "validation_share",
            f"expected a number above 0 and below 1, or a RowRange, got {show(share)}",
        )


def _select_ranges(
    training: RowRange | None, held_out: RowRange, rows: Mapping[str, int]
) -> tuple[tuple[str, Rows], tuple[str, Rows]]:
    validation = held_out.split, _rows_of(held_out, "validation_rows", rows)
    learnt = training or RowRange()
    chosen = _rows_of(learnt, "training", rows)
    if learnt.split == held_out.split:
        rest = chosen[~np.isin(chosen, validation[1])]
        if training is None and not len(rest):
            raise DataError(
                "validation_rows.count",
                f"validation_rows take all {len(chosen)} rows of split {learnt.split!r}; "
                "at least 1 must be left to train on",
            )
        if training is not None and len(rest) < len(chosen):
            raise DataError(
                "validation_rows",
                f"{len(chosen) - len(rest)} rows of split {learnt.split!r} are both trained and "
                "validated on; the two ranges must not overlap",
            )
        chosen = rest
    return (learnt.split, chosen), validation


def _rows_of(wanted: RowRange, field: str, rows: Mapping[str, int]) -> Rows:
    if wanted.split not in rows:
        known = ", ".join(repr(name) for name in rows)
        raise DataError(f"{field}.split", f"no split {wanted.split!r}; the dataset has {known}")
    held = rows[wanted.split]
    if held < 1:
        raise DataError(f"{field}.split", f"split {wanted.split!r} has no rows")
    if not 0 <= wanted.first < held:
        raise DataError(
            f"{field}.first",
            f"{wanted.first} is not a row of split {wanted.split!r}: expected 0 to {held - 1}",
        )
    most = held - wanted.first
    count = most if wanted.count is None else wanted.count
    if not 1 <= count <= most:
        raise DataError(
            f"{field}.count",
            f"{count} rows from row {wanted.first} of split {wanted.split!r}, which has {held}: "
            f"expected 1 to {most}",
        )
    return np.arange(wanted.first, wanted.first + count, dtype=np.int64)


def _draw_share(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    if len(rows) < 2:
        raise DataError(
            "validation_share", "1 training row can't be shared: expected at least 2 rows"
        )
    count = min(max(round(share * len(rows)), 1), len(rows) - 1)
    key = np.array([seed, _PURPOSE_HELD_OUT], dtype=np.uint64)
    order = np.random.Generator(np.random.Philox(key=key)).permutation(len(rows))
    return rows[np.sort(order[count:])], rows[np.sort(order[:count])]
