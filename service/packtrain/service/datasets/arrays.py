"""Arrays at hand on the server, on their way to the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.service.datasets.dataset import ArrayHeader, ElementType, SplitHeader
from packtrain.service.datasets.errors import InvalidDatasetError

# Bytes that are converted at a time.
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, eq=False)
class SplitArrays:
    """``inputs`` (rows, features) and ``targets`` (rows,) or (rows, columns).

    With a ``divisor``, inputs become float32 and are divided by it: the largest value that a
    pixel can have.
    """

    name: str
    inputs: NDArray[Any]
    targets: NDArray[Any]
    divisor: int | None = None

    def header(self) -> SplitHeader:
        """What an upload would announce."""
        kind = np.dtype(np.float32) if self.divisor else self.inputs.dtype
        return SplitHeader(
            self.name,
            ArrayHeader(_element_type(kind), self.inputs.shape),
            ArrayHeader(_element_type(self.targets.dtype), self.targets.shape),
        )

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, in the order of an upload."""
        header = self.header()
        yield from _bytes_of(self.inputs, header.inputs, self.divisor)
        yield from _bytes_of(self.targets, header.targets, None)


def as_inputs(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Rows of numbers: any further axes are joined, bytes and floats keep their type and other
    numbers become float64. Raises InvalidDatasetError."""
    if array.ndim < 2:
        raise InvalidDatasetError(
            f"{what} has {array.ndim} axes; expected rows and features", "INVALID_DATASET_FILE"
        )
    if 0 in array.shape:
        raise InvalidDatasetError(f"{what} is empty", "INVALID_DATASET_FILE")
    rows = array.reshape(len(array), -1)
    return rows if _is_kept(rows.dtype, "f4 f8 u1") else rows.astype(np.float64)


def as_targets(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Class labels (rows,) of an integer type, or real targets (rows, columns). A column of
    integers is labels; several are numbers. Raises InvalidDatasetError."""
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise InvalidDatasetError(
            f"{what} has the shape {array.shape}; expected (rows) or (rows, columns)",
            "INVALID_DATASET_FILE",
        )
    if array.dtype.kind in "iub" and (array.ndim == 1 or array.shape[1] == 1):
        labels = array.reshape(-1)
        return labels if _is_kept(labels.dtype, "u1 i4 i8") else labels.astype(np.int64)
    columns = array.reshape(len(array), -1)
    return columns if _is_kept(columns.dtype, "f4 f8") else columns.astype(np.float64)


def _is_kept(kind: np.dtype[Any], kept: str) -> bool:
    return kind.str[1:] in kept.split()


def _element_type(kind: np.dtype[Any]) -> ElementType:
    return ElementType(kind.newbyteorder("=").name)


def _bytes_of(array: NDArray[Any], header: ArrayHeader, divisor: int | None) -> Iterator[bytes]:
    assert header.element_type is not None
    kind = header.element_type.dtype
    rows = max(1, _BLOCK_BYTES * len(array) // max(1, array.size * kind.itemsize))
    for first in range(0, len(array), rows):
        block = array[first : first + rows].astype(kind)
        if divisor is not None:
            block /= divisor
        yield block.tobytes()


def headers_of(splits: Sequence[SplitArrays]) -> tuple[SplitHeader, ...]:
    """What an upload of them would announce."""
    return tuple(split.header() for split in splits)
