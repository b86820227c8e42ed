"""Arrays on their way to the server: checked, in the contract's types, cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from packtrain.client.errors import DatasetError

# The contract's limit of a piece.
CHUNK_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class Split:
    """``inputs`` (rows, features); ``targets`` (rows,) of integers or (rows, outputs) of floats."""

    name: str
    inputs: NDArray[Any]
    targets: NDArray[Any]


def make_splits(
    x: ArrayLike,
    y: ArrayLike,
    test: tuple[ArrayLike, ArrayLike] | None,
    splits: Mapping[str, tuple[ArrayLike, ArrayLike]] | None,
) -> tuple[Split, ...]:
    """The splits of an upload: (x, y) as "train", ``test`` as "test", and any others.

    DatasetError where an array can't be sent.
    """
    given = {"train": (x, y), **({"test": test} if test is not None else {}), **(splits or {})}
    made = []
    for name, (inputs, targets) in given.items():
        sent = _inputs(name, inputs)
        made.append(Split(name, sent, _targets(name, targets, len(sent))))
    return tuple(made)


def _as_array(array: ArrayLike, expected: str) -> NDArray[Any]:
    try:
        return np.asarray(array)
    except ValueError:  # rows of several lengths
        raise DatasetError(expected) from None


def _inputs(split: str, array: ArrayLike) -> NDArray[Any]:
    expected = f"{split} inputs: expected numbers of shape (rows, features), one or more of each"
    x = _as_array(array, expected)
    if x.ndim == 0 or x.size == 0 or x.dtype.kind not in "biuf":
        raise DatasetError(f"{expected}, not {_describe(x)}")
    x = x.reshape(len(x), -1)  # images (rows, height, width) become rows
    if x.dtype == np.float64 or x.dtype == np.uint8:
        return np.ascontiguousarray(x, x.dtype.newbyteorder("<"))
    wide = x.dtype.kind in "iu" and x.dtype.itemsize > 2  # not exact in float32
    return np.ascontiguousarray(x, "<f8" if wide else "<f4")


def _targets(split: str, array: ArrayLike, rows: int) -> NDArray[Any]:
    expected = (
        f"{split} targets: expected {rows} class labels, or numbers of shape ({rows}, outputs)"
    )
    y = _as_array(array, expected)
    if y.dtype.kind not in "biuf" or y.ndim not in (1, 2) or len(y) != rows or y.size == 0:
        raise DatasetError(f"{expected}, not {_describe(y)}")
    if y.dtype.kind in "biu" and y.ndim == 1:
        return np.ascontiguousarray(y, "<i4" if y.dtype == np.int32 else "<i8")
    y = y.reshape(rows, -1)
    return np.ascontiguousarray(y, "<f4" if y.dtype == np.float32 else "<f8")


def _describe(array: NDArray[Any]) -> str:
    kind = "numbers" if array.dtype.kind in "biuf" else str(array.dtype)
    return f"{kind} of shape {array.shape}"


def cut_pieces(splits: tuple[Split, ...]) -> Iterator[bytes]:
    """The bytes of each split's inputs and targets, in pieces of up to 1 MiB."""
    for split in splits:
        for array in (split.inputs, split.targets):
            content = array.reshape(-1).view(np.uint8)
            for start in range(0, len(content), CHUNK_BYTES):
                yield content[start : start + CHUNK_BYTES].tobytes()
