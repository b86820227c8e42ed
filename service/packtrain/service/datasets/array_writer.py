"""Writes one array, as its bytes come, to a ``.npy`` file, and checks its numbers on the way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.service.datasets.dataset import MAX_CLASSES, ArrayHeader
from packtrain.service.datasets.errors import InvalidDatasetError


class ArrayWriter:
    """An array under way. ``what`` names it in errors: "inputs of split 'train'"; ``field`` is the
    path of its header in an upload.

    Floats must be finite, one-dimensional integers be class labels. ``classes`` is then one
    more than the largest label so far, and 0 for anything else. ``largest`` is the largest
    magnitude of a float so far.
    """

    def __init__(self, path: Path, header: ArrayHeader, what: str, field: str) -> None:
        assert header.element_type is not None
        self._dtype = header.element_type.dtype
        self._columns = math.prod(header.shape[1:])
        self._are_labels = len(header.shape) == 1
        self._what, self._field = what, field
        self._carry = b""
        self._items = 0
        self.missing_bytes = math.prod(header.shape) * self._dtype.itemsize
        self.classes = 0
        self.largest = 0.0
        self._file = path.open("wb")
        np.lib.format.write_array_header_1_0(
            self._file,
            {"descr": self._dtype.str, "fortran_order": False, "shape": header.shape},
        )

    def write(self, data: memoryview) -> int:
        """Take as many of the bytes as are missing; returns how many. Raises
        InvalidDatasetError, which names the row."""
        part = data[: self.missing_bytes]
        self._check(part)
        self._file.write(part)
        self.missing_bytes -= len(part)
        return len(part)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self, part: memoryview) -> None:
        # A chunk may end within a number: its first bytes are carried to the next chunk.
        size = self._dtype.itemsize
        if self._carry or len(part) % size:
            joined = self._carry + bytes(part)
            whole = len(joined) - len(joined) % size
            self._carry, part = joined[whole:], memoryview(joined)[:whole]
        numbers = np.frombuffer(part, self._dtype)
        if self._are_labels:
            self._check_labels(numbers)
        elif self._dtype.kind == "f":
            self._check_floats(numbers)
        self._items += len(numbers)

    def _check_floats(self, numbers: NDArray[Any]) -> None:
        if not len(numbers):
            return
        largest = max(float(numbers.max()), -float(numbers.min()))  # NaN goes through both
        if not math.isfinite(largest):
            at = int((~np.isfinite(numbers)).argmax())
            self._refuse(at, "NOT_FINITE", "a number that is not finite")
        self.largest = max(self.largest, largest)

    def _check_labels(self, labels: NDArray[Any]) -> None:
        if not len(labels):
            return
        wrong = (labels < 0) | (labels >= MAX_CLASSES)
        if wrong.any():
            at = int(wrong.argmax())
            self._refuse(
                at,
                "LABEL_OUT_OF_RANGE",
                f"the label {labels[at]}; class labels run from 0 to {MAX_CLASSES - 1}",
            )
        self.classes = max(self.classes, int(labels.max()) + 1)

    def _refuse(self, item: int, reason: str, found: str) -> None:
        row = (self._items + item) // self._columns
        raise InvalidDatasetError(
            f"{self._what} hold {found} (row {row}, counted from 0)", reason, self._field
        )
