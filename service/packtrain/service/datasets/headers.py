"""Checks what is announced before a byte of it is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from packtrain.service.datasets.content import count_bytes
from packtrain.service.datasets.dataset import (
    DATASET_ID,
    ArrayHeader,
    ElementType,
    SplitHeader,
    UploadHeader,
)
from packtrain.service.datasets.errors import (
    DatasetTooLargeError,
    DatasetViolation,
    InvalidDatasetError,
)

# A dataset has two or three; each costs two files.
MAX_SPLITS = 16

# It lies in a file that every listing reads.
MAX_DESCRIPTION = 4096

_NAME = "1 to 63 of a-z, 0-9 and -"
_INPUT_TYPES = (ElementType.FLOAT32, ElementType.FLOAT64, ElementType.UINT8)
_REAL_TYPES = (ElementType.FLOAT32, ElementType.FLOAT64)


def check_upload(header: UploadHeader, max_bytes: int) -> None:
    """Raises InvalidDatasetError, which names every wrong field, or DatasetTooLargeError."""
    found = []
    if not DATASET_ID.fullmatch(header.dataset_id):
        found.append(DatasetViolation("header.dataset_id", f"must be {_NAME}"))
    if len(header.description) > MAX_DESCRIPTION:
        found.append(
            DatasetViolation("header.description", f"must be at most {MAX_DESCRIPTION} characters")
        )
    found += find_violations(header.splits, "header.splits")
    if found:
        raise InvalidDatasetError.of("INVALID_DATASET_HEADER", found)
    check_size(count_bytes(header.splits), max_bytes)


def check_size(size_bytes: int, max_bytes: int) -> None:
    """Raises DatasetTooLargeError."""
    if size_bytes > max_bytes:
        raise DatasetTooLargeError(
            f"the dataset has {size_bytes} bytes; this server takes at most {max_bytes}",
            "DATASET_TOO_LARGE",
        )


def find_violations(splits: Sequence[SplitHeader], field: str) -> list[DatasetViolation]:
    """Everything that is wrong with the splits, whose path is ``field``."""
    names = Counter(split.name for split in splits)
    found = []
    if "train" not in names:
        found.append(DatasetViolation(field, 'one split must be named "train"'))
    if len(splits) > MAX_SPLITS:
        found.append(DatasetViolation(field, f"{len(splits)} splits; at most {MAX_SPLITS}"))
    for i, split in enumerate(splits[:MAX_SPLITS]):
        where = f"{field}[{i}]"
        if not DATASET_ID.fullmatch(split.name):
            found.append(DatasetViolation(f"{where}.name", f"must be {_NAME}"))
        elif names[split.name] > 1:
            found.append(DatasetViolation(f"{where}.name", f"{split.name!r} is named twice"))
        arrays = _check_inputs(split.inputs, f"{where}.inputs") + _check_targets(
            split, f"{where}.targets"
        )
        found += arrays or _check_alike(split, splits[0], where)
    return found


def _check_inputs(inputs: ArrayHeader, where: str) -> list[DatasetViolation]:
    found = []
    if inputs.element_type not in _INPUT_TYPES:
        found.append(DatasetViolation(f"{where}.element_type", "must be FLOAT32, FLOAT64 or UINT8"))
    if len(inputs.shape) != 2 or min(inputs.shape) < 1:
        found.append(DatasetViolation(f"{where}.shape", "must be (rows, features), each 1 or more"))
    return found


def _check_targets(split: SplitHeader, where: str) -> list[DatasetViolation]:
    kind, shape = split.targets.element_type, split.targets.shape
    found = []
    if kind is None:
        found.append(DatasetViolation(f"{where}.element_type", "must be given"))
    if len(shape) not in (1, 2) or min(shape) < 1:
        found.append(
            DatasetViolation(f"{where}.shape", "must be (rows) or (rows, outputs), each 1 or more")
        )
    elif split.inputs.shape and shape[0] != split.inputs.shape[0]:
        found.append(
            DatasetViolation(
                f"{where}.shape",
                f"{shape[0]} rows of targets, but {split.inputs.shape[0]} rows of inputs",
            )
        )
    if kind is not None and len(shape) == 1 and not kind.is_integer:
        found.append(
            DatasetViolation(
                f"{where}.element_type",
                "must be an integer type for labels (rows); real targets are (rows, outputs)",
            )
        )
    if kind is not None and len(shape) == 2 and kind not in _REAL_TYPES:
        found.append(
            DatasetViolation(
                f"{where}.element_type",
                "must be FLOAT32 or FLOAT64 for real targets (rows, outputs); labels are (rows)",
            )
        )
    return found


def _check_alike(split: SplitHeader, first: SplitHeader, where: str) -> list[DatasetViolation]:
    found = []
    if split.inputs.shape[1:] != first.inputs.shape[1:]:
        found.append(
            DatasetViolation(f"{where}.inputs.shape", "must have the features of the first split")
        )
    if split.targets.shape[1:] != first.targets.shape[1:]:
        found.append(
            DatasetViolation(f"{where}.targets.shape", "must be as in the first split but for rows")
        )
    return found
