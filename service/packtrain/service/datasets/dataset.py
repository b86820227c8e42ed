"""What a dataset is, as plain data: what is stored, and what an upload announces."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

DATASET_ID = re.compile(r"[a-z0-9-]{1,63}")

# Labels above are a sign of a regression target or an identifier, and a one-hot row of them
# would outgrow any network of the kind that is trained here.
MAX_CLASSES = 65_536


class Origin(StrEnum):
    """How the server came by a dataset."""

    BUILT_IN = "built_in"
    UPLOADED = "uploaded"
    FILE = "file"


class ElementType(StrEnum):
    """The type of an array's numbers; bytes are little-endian."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    UINT8 = "uint8"
    INT32 = "int32"
    INT64 = "int64"

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """NumPy's name for it."""
        return np.dtype(self.value).newbyteorder("<")

    @property
    def is_integer(self) -> bool:
        """Whether numbers of this type can be class labels."""
        return self.dtype.kind in "iu"


@dataclass(frozen=True)
class ArrayHeader:
    """An array's type and shape; its bytes are row-major. None: a type that was not named."""

    element_type: ElementType | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SplitHeader:
    """The arrays of a split.

    ``inputs``: (rows, features), float32, float64 or uint8. ``targets``: (rows,) of an integer
    type, class labels from 0; or (rows, columns), float32 or float64, real targets.
    """

    name: str
    inputs: ArrayHeader
    targets: ArrayHeader


@dataclass(frozen=True)
class UploadHeader:
    """What the bytes of an upload are: each split's inputs, then its targets, in this order."""

    dataset_id: str
    splits: tuple[SplitHeader, ...]
    description: str = ""


class StoredSplit(NamedTuple):
    """A split on disk: two ``.npy`` files, of (rows, features) and (rows,) or (rows, columns)."""

    name: str
    rows: int
    inputs_path: Path
    targets_path: Path


@dataclass(frozen=True, kw_only=True)
class StoredDataset:
    """A dataset that the server holds.

    ``dataset_id`` is "" and ``origin`` None for content without a name (inline and synthetic
    sets). ``classes`` is 0 for real targets; ``targets`` is the number of target columns, 1 for
    labels. ``digest`` is the SHA-256 of the content, hexadecimal; it is "" and ``splits`` empty
    for a file that :meth:`Catalog.list` has not read. ``size_bytes`` counts the arrays' bytes.
    ``largest`` is the largest magnitude of its floats: infinity where it was not told.
    """

    dataset_id: str
    origin: Origin | None
    splits: tuple[StoredSplit, ...]
    features: int
    classes: int
    targets: int
    digest: str
    size_bytes: int
    created: datetime | None = None
    description: str = ""
    largest: float = math.inf

    def rows_by_split(self) -> dict[str, int]:
        """{split: rows}, as :func:`packtrain.training.select_rows` takes them."""
        return {split.name: split.rows for split in self.splits}
