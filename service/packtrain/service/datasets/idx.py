"""IDX files, the format of MNIST (LeCun, Cortes and Burges), gzipped or not.

Two zero bytes, the type of the numbers (8: unsigned bytes), the number of axes, the length of
each axis as a big-endian 32-bit integer, then the numbers in row-major order.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from packtrain.service.datasets.arrays import SplitArrays, as_inputs
from packtrain.service.datasets.errors import DatasetTooLargeError, InvalidDatasetError

_UNSIGNED_BYTES = 8
_PIXEL_MAX = 255
_READ_BYTES = 1 << 20

# (split, images, labels), as the files of MNIST are named.
_FILES = (
    ("train", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("test", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def find_idx_files(directory: Path) -> dict[str, tuple[Path, Path]]:
    """{split: (images, labels)} of the files that are there; {} without a training set."""
    found = {}
    for split, images, labels in _FILES:
        paths = [_find(directory, name) for name in (images, labels)]
        if paths[0] and paths[1]:
            found[split] = (paths[0], paths[1])
    return found if "train" in found else {}


def read_idx_splits(files: dict[str, tuple[Path, Path]], max_bytes: int) -> list[SplitArrays]:
    """Pixels, to be scaled to 0..1, and labels. Raises InvalidDatasetError and
    DatasetTooLargeError; ``max_bytes`` bounds what is held in memory."""
    splits = []
    for split, (images_path, labels_path) in files.items():
        images = read_idx(images_path, 3, max_bytes)
        labels = read_idx(labels_path, 1, max_bytes)
        max_bytes -= images.nbytes + labels.nbytes
        inputs = as_inputs(images, images_path.name)
        splits.append(SplitArrays(split, inputs, labels, divisor=_PIXEL_MAX))
    return splits


def read_idx(path: Path, axes: int, max_bytes: int) -> NDArray[np.uint8]:
    """The bytes of a file of so many axes. No more is unpacked than its header announces."""
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw) as file:
                    return _read(file, path.name, axes, max_bytes)
            return _read(raw, path.name, axes, max_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _invalid(f"{path.name} is cut off or damaged ({error})") from error


def _read(
    file: IO[bytes] | gzip.GzipFile, name: str, axes: int, max_bytes: int
) -> NDArray[np.uint8]:
    head = file.read(4)
    if head != bytes((0, 0, _UNSIGNED_BYTES, axes)):
        raise _invalid(
            f"{name} starts with {head.hex() or 'nothing'}; an IDX file of bytes with {axes} "
            f"axes starts with 000008{axes:02x}"
        )
    lengths = file.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise _invalid(f"{name} is cut off within its header")
    shape = struct.unpack(f">{axes}I", lengths)
    size = math.prod(shape)
    if size > max_bytes:
        raise DatasetTooLargeError(
            f"{name} announces {size} bytes; at most {max_bytes} are read", "DATASET_TOO_LARGE"
        )
    # Piece by piece: memory is taken for bytes that are there, not for those announced.
    content = bytearray()
    while piece := file.read(min(_READ_BYTES, size + 1 - len(content))):
        content += piece
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content)}"
        raise _invalid(f"{name} announces {size} bytes, but {found} are there")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _find(directory: Path, name: str) -> Path | None:
    for candidate in (name, f"{name}.gz"):
        path = directory / candidate
        if path.is_file() and path.resolve().is_relative_to(directory.resolve()):
            return path
    return None


def _invalid(message: str) -> InvalidDatasetError:
    return InvalidDatasetError(message, "INVALID_DATASET_FILE")
