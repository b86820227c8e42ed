"""CSV files of numbers: a row of data a line, its target in the last column or in one named
"label", "target" or "class"."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from packtrain.service.datasets.arrays import SplitArrays
from packtrain.service.datasets.dataset import MAX_CLASSES
from packtrain.service.datasets.errors import DatasetTooLargeError, InvalidDatasetError

_TARGET_NAMES = ("label", "target", "class")


def read_csv_splits(path: Path, max_bytes: int) -> list[SplitArrays]:
    """One split, "train". A target column of whole numbers from 0 is class labels, any other
    real targets. Raises InvalidDatasetError and DatasetTooLargeError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table, target = _read_table(file, path.name, max_bytes)
    except (csv.Error, UnicodeDecodeError) as error:
        raise _invalid(f"{path.name} is not a CSV file in UTF-8 ({error})") from error
    column = table[:, target]
    inputs = np.ascontiguousarray(np.delete(table, target, axis=1))
    if _are_labels(column):
        return [SplitArrays("train", inputs, column.astype(np.int32))]
    return [SplitArrays("train", inputs, column.reshape(-1, 1))]


def _read_table(file: Iterable[str], name: str, max_bytes: int) -> tuple[NDArray[np.float64], int]:
    """All numbers (rows, columns), and the column of the target. Errors tell a line as editors
    number it."""
    numbers = array("d")
    columns, target = 0, -1
    reader = csv.reader(file, strict=True)
    for cells in filter(None, reader):
        row = _parse(cells)
        if not columns:
            columns = len(cells)
            if columns < 2:
                raise _invalid(f"{name} has {columns} column; expected inputs and a target")
            if row is None:
                target = _target_of(cells)
                continue
        if len(cells) != columns or row is None:
            expected = f"expected {columns} numbers{_explain_text(cells)}"
            raise _invalid(f"{name}, line {reader.line_num}: {expected}")
        if not all(map(math.isfinite, row)):
            where = f"{name}, line {reader.line_num}"
            raise InvalidDatasetError(f"{where}: holds a number that is not finite", "NOT_FINITE")
        numbers.extend(row)
        if numbers.itemsize * len(numbers) > max_bytes:
            raise DatasetTooLargeError(
                f"{name} has more than the {max_bytes} bytes that are read", "DATASET_TOO_LARGE"
            )
    if not numbers:
        raise _invalid(f"{name} has no rows")
    return np.frombuffer(numbers, np.float64).reshape(-1, columns), target


def _parse(cells: list[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None


def _explain_text(cells: list[str]) -> str:
    """Names the first cell that holds text: names of classes, most often."""
    for cell in filter(str.strip, cells):
        if _parse([cell]) is None:
            return f", not {cell[:30]!r}: classes must be whole numbers from 0"
    return ""


def _target_of(header: list[str]) -> int:
    named = [i for i, cell in enumerate(header) if cell.strip().lower() in _TARGET_NAMES]
    return named[0] if named else len(header) - 1


def _are_labels(column: NDArray[np.float64]) -> bool:
    in_range = (column >= 0) & (column < MAX_CLASSES)
    return bool(in_range.all() and (column == np.floor(column)).all())


def _invalid(message: str) -> InvalidDatasetError:
    return InvalidDatasetError(message, "INVALID_DATASET_FILE")
