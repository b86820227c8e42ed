"""From stored rows to the arrays that a pack trains on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.state import Array
from packtrain.training.targets import TargetKind, are_labels, find_target_kind

# Keeps this stream apart from those of initial weights, dropout and mini-batch order, which
# may be keyed by the same seed. The number has no meaning: the ASCII bytes of "HELD OUT".
_PURPOSE_HELD_OUT = 0x48454C44204F5554

# Rows that are converted at a time: a block of 784 float64 inputs is 13 MB.
_BLOCK_ROWS = 2048

Rows = NDArray[np.int64]


class DataError(ValueError):
    """A selection that does not fit its data.

    ``field`` is the path of what is wrong, relative to the selection ("training.first"), or
    "inputs" or "targets" where the stored arrays are.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Scaling(StrEnum):
    """What is done to the inputs; the figures come from the training rows alone."""

    NONE = "none"
    STANDARDIZE = "standardize"
    MIN_MAX = "min_max"


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


@dataclass(frozen=True, eq=False)
class Split:
    """Stored rows: ``inputs`` (rows, features) of any numeric type; ``targets`` (rows,) of class
    labels from 0 in an integer type, or (rows, columns) of real numbers."""

    inputs: NDArray[Any]
    targets: NDArray[Any]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a pack trains on, C-contiguous: ``x`` (n, inputs), ``y`` (n, outputs), and the same
    for validation, or None. ``target_kind``: what the targets stand for."""

    x: Array
    y: Array
    x_validation: Array | None
    y_validation: Array | None
    target_kind: TargetKind


def select_rows(
    selection: Selection, rows: Mapping[str, int]
) -> tuple[tuple[str, Rows], tuple[str, Rows] | None]:
    """(split, row numbers) to train on and to validate on, for splits of so many ``rows``.

    Row numbers, (count,) from 0, ascend. A validation share is rounded to whole rows, at least one of them, and
    leaves at least one. Raises :class:`DataError`.
    """
    held_out = selection.validation
    if isinstance(held_out, RowRange):
        return _select_ranges(selection.training, held_out, rows)
    training = selection.training or RowRange()
    chosen = _rows_of(training, "training", rows)
    if held_out is None:
        return (training.split, chosen), None
    kept, drawn = _draw_share(chosen, held_out, selection.seed)
    return (training.split, kept), (training.split, drawn)


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
    if not 0 < share < 1:
        raise DataError("validation_share", f"{share} is not above 0 and below 1")
    if len(rows) < 2:
        raise DataError(
            "validation_share", "1 training row can't be shared: expected at least 2 rows"
        )
    count = min(max(round(share * len(rows)), 1), len(rows) - 1)
    key = np.array([seed & 0xFFFF_FFFF_FFFF_FFFF, _PURPOSE_HELD_OUT], dtype=np.uint64)
    order = np.random.Generator(np.random.Philox(key=key)).permutation(len(rows))
    return rows[np.sort(order[count:])], rows[np.sort(order[:count])]


def prepare_data(splits: Mapping[str, Split], selection: Selection, data_type: str) -> TrainingData:
    """The arrays of ``selection``, of ``data_type`` ("float32" or "float64").

    Reads the selected rows alone, so that a split may be a memory map. The figures of a scaling
    are computed in float64 from the training rows; a constant input becomes 0. Raises
    :class:`DataError`.
    """
    for name, split in splits.items():
        _check_split(name, split)
    training, validation = select_rows(selection, {k: len(s.inputs) for k, s in splits.items()})
    split, rows = splits[training[0]], _as_index(training[1])
    offset, divisor = _scaling_figures(split.inputs, rows, selection.scaling)

    def prepared(name: str, rows: Rows | slice) -> tuple[Array, Array]:
        source = splits[name]
        if source.inputs.shape[1] != len(offset):
            raise DataError(
                "inputs",
                f"split {name!r} has {source.inputs.shape[1]} inputs a row, split "
                f"{training[0]!r} has {len(offset)}",
            )
        x = _scaled(source.inputs, rows, selection.scaling, offset, divisor, data_type)
        return x, _encoded(source.targets, rows, selection.one_hot_outputs, data_type)

    x, y = prepared(training[0], rows)
    x_held_out, y_held_out = None, None
    if validation is not None:
        x_held_out, y_held_out = prepared(validation[0], _as_index(validation[1]))
    stored = [splits[name].targets for name in _names(training, validation)]
    kind = find_target_kind(*stored)
    if selection.one_hot_outputs is None and any(are_labels(t) and t.max() > 1 for t in stored):
        # One output that is to be the number of a class is a number.
        kind = TargetKind.NUMBERS
    return TrainingData(x, y, x_held_out, y_held_out, kind)


def _names(*selected: tuple[str, Rows] | None) -> list[str]:
    return list(dict.fromkeys(part[0] for part in selected if part is not None))


def _check_split(name: str, split: Split) -> None:
    if split.inputs.ndim != 2 or split.inputs.dtype.kind not in "iuf":
        raise DataError("inputs", f"inputs of split {name!r} must be numbers (rows, features)")
    if split.targets.ndim not in (1, 2) or split.targets.dtype.kind not in "iuf":
        raise DataError("targets", f"targets of split {name!r} must be labels (rows,) or numbers")
    if len(split.inputs) != len(split.targets):
        raise DataError(
            "targets",
            f"split {name!r} has {len(split.inputs)} rows of inputs and "
            f"{len(split.targets)} of targets",
        )


def _as_index(rows: Rows) -> Rows | slice:
    """A slice where the rows are a range: a memory map then gives a view instead of a copy."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _blocks(rows: Rows | slice) -> Iterator[Rows | slice]:
    if isinstance(rows, slice):
        for first in range(rows.start, rows.stop, _BLOCK_ROWS):
            yield slice(first, min(first + _BLOCK_ROWS, rows.stop))
    else:
        for first in range(0, len(rows), _BLOCK_ROWS):
            yield rows[first : first + _BLOCK_ROWS]


def _count(rows: Rows | slice) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _scaling_figures(
    inputs: NDArray[Any], rows: Rows | slice, scaling: Scaling
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is taken away from each input, and what the difference is then divided by."""
    features = inputs.shape[1]
    if scaling is Scaling.NONE:
        return np.zeros(features), np.ones(features)
    low, high = np.full(features, np.inf), np.full(features, -np.inf)
    total = np.zeros(features)
    for block in _blocks(rows):
        part = inputs[block]
        np.minimum(low, part.min(axis=0), out=low)
        np.maximum(high, part.max(axis=0), out=high)
        total += part.sum(axis=0, dtype=np.float64)
    # By its extremes, because the rounded variance of a constant need not be 0.
    constant = low == high
    if scaling is Scaling.MIN_MAX:
        with np.errstate(over="ignore"):
            return low, np.where(constant, np.inf, high - low)
    mean = total / _count(rows)
    squares = np.zeros(features)
    with np.errstate(over="ignore"):
        for block in _blocks(rows):
            squares += np.square(inputs[block] - mean).sum(axis=0)
    deviation = np.sqrt(squares / _count(rows))
    return mean, np.where(constant | (deviation == 0), np.inf, deviation)


def _scaled(
    inputs: NDArray[Any],
    rows: Rows | slice,
    scaling: Scaling,
    offset: NDArray[np.float64],
    divisor: NDArray[np.float64],
    data_type: str,
) -> Array:
    x = np.empty((_count(rows), inputs.shape[1]), dtype=data_type)
    first = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for block in _blocks(rows):
            part = inputs[block]
            if scaling is not Scaling.NONE:
                part = (part - offset) / divisor
            out = x[first : first + len(part)]
            out[...] = part
            if not np.isfinite(out).all():
                raise DataError("inputs", f"inputs hold numbers that are not finite in {data_type}")
            first += len(part)
    return x


def _encoded(
    targets: NDArray[Any], rows: Rows | slice, one_hot_outputs: int | None, data_type: str
) -> Array:
    part = targets[rows]
    if one_hot_outputs is None:
        with np.errstate(over="ignore"):
            y = np.ascontiguousarray(part.reshape(len(part), -1), dtype=data_type)
        if not np.isfinite(y).all():
            raise DataError("targets", f"targets hold numbers that are not finite in {data_type}")
        return y.copy() if np.shares_memory(y, targets) else y
    if not are_labels(targets):
        raise DataError(
            "target_encoding", "real targets can't be one-hot: expected class labels or AS_IS"
        )
    if part.min() < 0 or part.max() >= one_hot_outputs:
        raise DataError(
            "targets",
            f"labels run from {part.min()} to {part.max()}; {one_hot_outputs} outputs hold "
            f"classes 0 to {one_hot_outputs - 1}",
        )
    one_hot = np.zeros((len(part), one_hot_outputs), dtype=data_type)
    one_hot[np.arange(len(part)), part.astype(np.intp)] = 1
    return one_hot
