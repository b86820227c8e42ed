"""Rows that travel within a specification."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from packtrain.service.datasets.arrays import SplitArrays
from packtrain.service.datasets.dataset import MAX_CLASSES
from packtrain.service.datasets.errors import DatasetViolation, InvalidDatasetError

Rows = Sequence[Sequence[float]]


def read_inline(inputs: Rows, labels: Sequence[int] | None, targets: Rows | None) -> SplitArrays:
    """The split "train". Raises InvalidDatasetError, which names every wrong field: "inputs[3]",
    "labels", ..."""
    found = _check_rows(inputs, "inputs")
    if (labels is None) == (targets is None):
        given = "neither" if labels is None else "both"
        found.append(DatasetViolation("labels", f"give either labels or targets, not {given}"))
    elif labels is not None:
        found += _check_labels(labels)
    elif targets is not None:
        found += _check_rows(targets, "targets")
    given_rows = labels if labels is not None else targets
    if not found and given_rows is not None and len(given_rows) != len(inputs):
        field = "labels" if labels is not None else "targets"
        found.append(
            DatasetViolation(field, f"{len(given_rows)} of them for {len(inputs)} rows of inputs")
        )
    if found:
        raise InvalidDatasetError.of("INVALID_INLINE_DATASET", found)
    learnt = np.array(inputs, dtype=np.float64)
    if labels is not None:
        return SplitArrays("train", learnt, np.array(labels, dtype=np.int32))
    return SplitArrays("train", learnt, np.array(targets, dtype=np.float64))


def _check_rows(rows: Rows, field: str) -> list[DatasetViolation]:
    if not len(rows):
        return [DatasetViolation(field, "must have at least one row")]
    width = len(rows[0])
    if not width:
        return [DatasetViolation(f"{field}[0]", "must have at least one number")]
    found = []
    for i, row in enumerate(rows):
        if len(row) != width:
            found.append(
                DatasetViolation(
                    f"{field}[{i}]", f"has {len(row)} numbers; the first row has {width}"
                )
            )
        elif not all(math.isfinite(number) for number in row):
            found.append(DatasetViolation(f"{field}[{i}]", "holds a number that is not finite"))
    return found


def _check_labels(labels: Sequence[int]) -> list[DatasetViolation]:
    return [
        DatasetViolation(f"labels[{i}]", f"must be a class from 0 to {MAX_CLASSES - 1}")
        for i, label in enumerate(labels)
        if not 0 <= label < MAX_CLASSES
    ]
