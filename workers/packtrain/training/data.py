"""From stored rows to the arrays that a pack trains on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.refusals import DataError, show
from packtrain.training.scaling import (
    Rows,
    Scale,
    Scaling,
    blocks_of,
    count_rows,
    measure_scale,
)
from packtrain.training.selection import Selection, check_selection, select_rows
from packtrain.training.state import Array
from packtrain.training.targets import TargetKind, are_labels, find_target_kind


@dataclass(frozen=True, eq=False)
class Split:
    """Stored rows: ``inputs`` (rows, features) of any numeric type; ``targets`` (rows,) of class
    labels from 0 in an integer type, or (rows, columns) of real numbers. Lists become arrays;
    raises :class:`DataError` where they can't."""

    inputs: NDArray[Any]
    targets: NDArray[Any]

    def __post_init__(self) -> None:
        for name in ("inputs", "targets"):
            given = getattr(self, name)
            try:
                # A memory map is looked at, not read.
                object.__setattr__(self, name, np.asarray(given))
            except (TypeError, ValueError):  # lists of different lengths
                raise DataError(name, f"expected an array of numbers, got {show(given)}") from None


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a pack trains on, C-contiguous: ``x`` (n, inputs), ``y`` (n, outputs), and the same
    for validation, or None. ``target_kind``: what the targets stand for."""

    x: Array
    y: Array
    x_validation: Array | None
    y_validation: Array | None
    target_kind: TargetKind


@dataclass(frozen=True, eq=False)
class _Part:
    """The rows of one split that are selected."""

    name: str
    split: Split
    rows: Rows | slice


def prepare_data(splits: Mapping[str, Split], selection: Selection, data_type: str) -> TrainingData:
    """The arrays of ``selection``, of ``data_type`` ("float32" or "float64").

    Reads the selected rows alone, so that a split may be a memory map. The figures of a scaling
    are computed in float64 from the training rows; a constant input becomes 0. Raises
    :class:`DataError`, also where a number is not finite in ``data_type``.
    """
    parts, scale = _select_parts(splits, selection, data_type)
    x = [_joined(_scaled(part, scale, data_type), part, data_type) for part in parts]
    y = [_encoded(part, selection.one_hot_outputs, data_type) for part in parts]
    stored = [splits[name].targets for name in dict.fromkeys(part.name for part in parts)]
    kind = find_target_kind(*stored)
    if selection.one_hot_outputs is None and any(are_labels(t) and t.max() > 1 for t in stored):
        # One output that is to be the number of a class is a number.
        kind = TargetKind.NUMBERS
    if len(parts) == 1:
        return TrainingData(x[0], y[0], None, None, kind)
    return TrainingData(x[0], y[0], x[1], y[1], kind)


def find_unfit_numbers(
    splits: Mapping[str, Split], selection: Selection, data_type: str
) -> list[DataError]:
    """What :func:`prepare_data` would refuse in the selected numbers, told without holding them:
    the first of the inputs, and the first of the targets."""
    try:
        parts, scale = _select_parts(splits, selection, data_type)
    except DataError as error:
        return [error]

    def read_inputs() -> None:
        for part in parts:
            for _ in _scaled(part, scale, data_type):
                pass

    def read_targets() -> None:
        for part in parts:
            for block in blocks_of(part.rows):
                _encoded(replace(part, rows=block), selection.one_hot_outputs, data_type)

    found = []
    for read in (read_inputs, read_targets):
        try:
            read()
        except DataError as error:
            found.append(error)
    return found


def _select_parts(
    splits: Mapping[str, Split], selection: Selection, data_type: str
) -> tuple[list[_Part], Scale]:
    """What is trained on and then what is validated on, if anything, and how it is scaled."""
    check_selection(selection)
    if not isinstance(data_type, str) or data_type not in ("float32", "float64"):
        raise DataError("data_type", f"expected 'float32' or 'float64', got {show(data_type)}")
    if not isinstance(splits, Mapping):
        raise DataError("splits", f"expected Splits by name, got {show(splits)}")
    for name, split in splits.items():
        _check_split(name, split)
    chosen = select_rows(selection, {name: len(split.inputs) for name, split in splits.items()})
    parts = [_Part(c[0], splits[c[0]], _as_index(c[1])) for c in chosen if c is not None]
    first = parts[0]
    features = first.split.inputs.shape[1]
    for part in parts:
        if part.split.inputs.shape[1] != features:
            raise DataError(
                "inputs",
                f"split {part.name!r} has {part.split.inputs.shape[1]} inputs a row, split "
                f"{first.name!r} has {features}",
            )
    return parts, measure_scale(first.split.inputs, first.rows, selection.scaling)


def _check_split(name: str, split: Split) -> None:
    if not isinstance(split, Split):
        raise DataError("splits", f"expected a Split as {name!r}, got {show(split)}")
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


def _joined(blocks: Iterator[Array], part: _Part, data_type: str) -> Array:
    shape = count_rows(part.rows), part.split.inputs.shape[1]
    x: Array = np.empty(shape, dtype=data_type)
    first = 0
    for block in blocks:
        x[first : first + len(block)] = block
        first += len(block)
    return x


def _scaled(part: _Part, scale: Scale, data_type: str) -> Iterator[Array]:
    """The inputs, some rows at a time."""
    for rows in blocks_of(part.rows):
        with np.errstate(over="ignore", invalid="ignore"):
            block = scale.apply(part.split.inputs[rows]).astype(data_type, copy=False)
        kind = data_type if scale.scaling is Scaling.NONE else f"{data_type}, once scaled"
        _check_finite(block, "inputs", replace(part, rows=rows), part.split.inputs, kind)
        yield block


def _encoded(part: _Part, one_hot_outputs: int | None, data_type: str) -> Array:
    targets = part.split.targets
    chosen = targets[part.rows]
    if one_hot_outputs is None:
        with np.errstate(over="ignore"):
            y = np.ascontiguousarray(chosen.reshape(len(chosen), -1), dtype=data_type)
        _check_finite(y, "targets", part, targets, data_type)
        return y.copy() if np.shares_memory(y, targets) else y
    if not are_labels(targets):
        raise DataError(
            "one_hot_outputs", "real targets can't be one-hot: expected class labels, or None"
        )
    if chosen.min() < 0 or chosen.max() >= one_hot_outputs:
        raise DataError(
            "targets",
            f"labels run from {chosen.min()} to {chosen.max()}; {one_hot_outputs} outputs hold "
            f"classes 0 to {one_hot_outputs - 1}",
        )
    one_hot = np.zeros((len(chosen), one_hot_outputs), dtype=data_type)
    one_hot[np.arange(len(chosen)), chosen.astype(np.intp)] = 1
    return one_hot


def _check_finite(numbers: Array, field: str, part: _Part, stored: NDArray[Any], kind: str) -> None:
    """Refuse the first of ``numbers`` that is not finite; they are ``stored`` in these rows."""
    # A sum needs no memory of the array's size; one of finite numbers may overflow, though.
    with np.errstate(all="ignore"):
        if np.isfinite(np.add.reduce(numbers, axis=None)):
            return
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if not len(wrong):
        return
    at, column = divmod(int(wrong[0]), numbers.shape[1])
    row = part.rows.start + at if isinstance(part.rows, slice) else int(part.rows[at])
    value = stored.reshape(len(stored), -1)[row, column]
    reason = f"beyond the numbers of {kind}" if np.isfinite(value) else "not a finite number"
    raise DataError(
        field,
        f"{field} of split {part.name!r} hold {value:g} (row {row}, column {column}, counted "
        f"from 0), which is {reason}",
        row,
    )
