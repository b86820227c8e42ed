"""Arrays from files of one's own: .npy, .npz and .csv."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Splits = dict[str, tuple[NDArray[Any], NDArray[Any]]]


def read_arrays(
    files: Sequence[Path], *, target: str | None = None, regression: bool = False
) -> Splits:
    """(x, y) by split, "train" first. ValueError says what is wrong with a file.

    ``target`` is a CSV's column of targets; whole-numbered targets are made int64, class labels,
    unless ``regression``.
    """
    match [path.suffix.lower() for path in files]:
        case [".npy", ".npy"]:
            splits = {"train": (_load(files[0]), _load(files[1]))}
        case [".npz"]:
            splits = _read_npz(files[0])
        case [".csv"]:
            splits = {"train": _read_csv(files[0], target)}
        case endings:
            shown = " ".join(endings) or "nothing"
            raise ValueError(f"files: expected X.npy Y.npy, one .npz or one .csv, not {shown}")
    return {name: (x, _as_targets(y, regression)) for name, (x, y) in splits.items()}


def _load(path: Path) -> Any:
    """The array of an .npy file, or the arrays of an .npz file by name."""
    with path.open("rb") as file:
        try:
            held = np.load(file, allow_pickle=False)
            return dict(held) if isinstance(held, np.lib.npyio.NpzFile) else held
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: expected arrays as NumPy saves them ({error})") from None


def _read_npz(path: Path) -> Splits:
    arrays = _load(path)
    splits: Splits = {}
    for name, inputs in arrays.items():
        head, _, split = name.partition("_")
        answers = arrays.get("y" + name[1:])
        if head == "x" and answers is not None:
            splits[split or "train"] = (inputs, answers)
    if "train" not in splits:
        raise ValueError(f"{path}: expected arrays x and y, not {', '.join(arrays) or 'none'}")
    return splits


def _read_csv(path: Path, target: str | None) -> tuple[NDArray[Any], NDArray[Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        rows = [(reader.line_num, row) for row in reader if row]  # lines as editors number them
    header = rows.pop(0)[1] if rows and not all(map(_is_number, rows[0][1])) else None
    if not rows:
        raise ValueError(f"{path}: expected rows of numbers, found none")
    width = len(header or rows[0][1])
    numbers = np.empty((len(rows), width))
    for index, (line, row) in enumerate(rows):
        if len(row) != width or not all(map(_is_number, row)):
            raise ValueError(f"{path}, line {line}: {_explain_row(row, header, width, target)}")
        numbers[index] = row
        if not np.isfinite(numbers[index]).all():
            raise ValueError(f"{path}, line {line}: holds a number that is not finite")
    column = _target_column(path, target, header, width)
    return np.delete(numbers, column, axis=1), numbers[:, column]


def _explain_row(row: list[str], header: list[str] | None, width: int, target: str | None) -> str:
    """What is wrong with a row: its length, or the first cell that holds no number."""
    if len(row) != width:
        return f"expected {width} numbers, not {len(row)}"
    place, text = next((i, cell) for i, cell in enumerate(row) if not _is_number(cell))
    name = f"'{header[place]}'" if header else str(place)
    if not text.strip():
        return f"column {name} is empty; expected {width} numbers"
    is_target = target in (str(place), header[place] if header else None) or (
        target is None and place == width - 1
    )
    wanted = "classes must be whole numbers from 0" if is_target else "inputs must be numbers"
    return f"column {name} holds text ({text[:30]!r}): {wanted}"


def _target_column(path: Path, target: str | None, header: list[str] | None, width: int) -> int:
    if width < 2:
        raise ValueError(f"{path}: expected a column of targets beside the inputs")
    if target is None:
        return width - 1
    if header and target in header:
        return header.index(target)
    if target.isdecimal() and int(target) < width:
        return int(target)
    names = f"one of {', '.join(header)} or " if header else ""
    raise ValueError(f"--target: expected {names}a number of 0 to {width - 1}, not {target!r}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_targets(y: NDArray[Any], regression: bool) -> NDArray[Any]:
    if regression:
        return np.asarray(y, np.float64)
    is_whole = y.ndim == 1 and y.dtype.kind == "f" and bool(np.isfinite(y).all())
    if not (is_whole and bool((y == np.floor(y)).all())):
        return y
    largest = float(np.abs(y).max(initial=0))
    if largest >= 2**63:
        raise ValueError(
            f"the targets hold {largest:g}, which is no class label: --regression takes whole "
            "numbers for what they are"
        )
    return y.astype(np.int64)
