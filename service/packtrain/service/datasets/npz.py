"""``.npz`` files: the arrays x and y, and perhaps x_test and y_test.

A small file can claim or unfold to terabytes. So each member's header is read first, its shape
multiplied by its item size, and only then are its bytes read, and never more than that.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from packtrain.service.datasets.arrays import SplitArrays, as_inputs, as_targets
from packtrain.service.datasets.errors import DatasetTooLargeError, InvalidDatasetError

_READ_BYTES = 1 << 20

# (split, names of its inputs, names of its targets); the second names are those of Keras' files.
_MEMBERS = (
    ("train", ("x", "x_train"), ("y", "y_train")),
    ("test", ("x_test",), ("y_test",)),
)


def read_npz_splits(path: Path, max_bytes: int) -> list[SplitArrays]:
    """The splits that are there. Raises InvalidDatasetError and DatasetTooLargeError;
    ``max_bytes`` bounds what is held in memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_splits(archive, path.name, max_bytes)
    # ValueError, NotImplementedError and RuntimeError: a bad .npy header, a compression that
    # zipfile does not know, a password.
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise _invalid(f"{path.name} is not a readable npz file ({error})") from error


def _read_splits(archive: zipfile.ZipFile, file_name: str, max_bytes: int) -> list[SplitArrays]:
    members = set(archive.namelist())
    splits = []
    for split, input_names, target_names in _MEMBERS:
        arrays = []
        for names in (input_names, target_names):
            name = next((n for n in names if f"{n}.npy" in members), None)
            if name is not None:
                with archive.open(f"{name}.npy") as file:
                    arrays.append(_read_array(file, f"{name} in {file_name}", max_bytes))
                max_bytes -= arrays[-1].nbytes
            elif split == "train" or arrays:
                raise _invalid(f"{file_name} has no array {names[0]!r}")
        if len(arrays) == 2:
            inputs = as_inputs(arrays[0], f"{input_names[0]} in {file_name}")
            targets = as_targets(arrays[1], f"{target_names[0]} in {file_name}")
            splits.append(SplitArrays(split, inputs, targets))
    return splits


def _read_array(file: IO[bytes], what: str, max_bytes: int) -> NDArray[Any]:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise _invalid(f"{what} is of version {version} of the npy format; expected 1.0 or 2.0")
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran_order, kind = read_header(file)
    if kind.kind not in "biuf" or kind.itemsize > 8:
        raise _invalid(f"{what} holds {kind}; expected real numbers of at most 64 bits")
    size = math.prod(shape) * kind.itemsize
    if size > max_bytes:
        raise DatasetTooLargeError(
            f"{what} announces {size} bytes; at most {max_bytes} are read", "DATASET_TOO_LARGE"
        )
    content = bytearray()
    while len(content) < size and (piece := file.read(min(_READ_BYTES, size - len(content)))):
        content += piece
    if len(content) < size:
        raise _invalid(f"{what} announces {size} bytes, but {len(content)} are there")
    array = np.frombuffer(content, kind)
    return array.reshape(shape, order="F" if fortran_order else "C")


def _invalid(message: str) -> InvalidDatasetError:
    return InvalidDatasetError(message, "INVALID_DATASET_FILE")
