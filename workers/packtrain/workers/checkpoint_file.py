"""The state of a pack as a file that can be trusted: never a pickle, and checked before any of it
is used.

The file is a frame (a magic text, the size of the file, the size of the header), a header in JSON,
the arrays one after the other, little-endian, each at a multiple of 64 bytes, and the BLAKE2b
digest of everything before. The header has the version of the format, the epoch, the signature of
the pack, and name, type and shape of each array. Arrays go to the file as they lie in memory, in
pieces.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training import PackState, Watch
from packtrain.workers.engine import CheckpointError, CheckpointFile, Snapshot

MAGIC = b"PACKSTAT"
VERSION = 1
DIGEST_BYTES = 32
PIECE_BYTES = 1 << 20

_FRAME = struct.Struct("<8sQQ")
_ALIGNMENT = 64
_TYPES = ("<f4", "<f8", "<i4")

Arrays = dict[str, NDArray[Any]]


def write_state(file: IO[bytes], state: PackState, snapshot: Snapshot) -> tuple[int, str]:
    """Write the state to an open file; its size and its digest, hexadecimal.

    Raises :class:`OSError`, or what the file system has of its own.
    """
    if snapshot.epoch != state.epoch or len(snapshot.trials) != len(state):
        raise ValueError("the snapshot is not of this state")
    arrays = _name_arrays(state, snapshot.trials)
    header = _make_header(arrays, state.epoch, snapshot.signature)
    size = _FRAME.size + len(header) + sum(_padded(a.nbytes) for a in arrays.values())
    size += DIGEST_BYTES
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for piece in _pieces(_FRAME.pack(MAGIC, size, len(header)) + header, arrays):
        digest.update(piece)
        _write_all(file, piece)
    _write_all(file, memoryview(digest.digest()))
    return size, digest.hexdigest()


def _pieces(begin: bytes, arrays: Arrays) -> Iterator[memoryview]:
    yield memoryview(begin)
    for array in arrays.values():
        content = array.reshape(-1).view(np.uint8).data
        for at in range(0, len(content), PIECE_BYTES):
            yield content[at : at + PIECE_BYTES]
        yield memoryview(bytes(_padded(array.nbytes) - array.nbytes))


def _write_all(file: IO[bytes], piece: memoryview) -> None:
    # A file without a buffer may take less than it is given.
    while len(piece):
        piece = piece[file.write(piece) :]


def _make_header(arrays: Arrays, epoch: int, signature: str) -> bytes:
    """Padded, so that the arrays begin at a multiple of their alignment."""
    described = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
    content = {"version": VERSION, "epoch": epoch, "signature": signature, "arrays": described}
    header = json.dumps(content).encode()
    return header + b" " * (-(_FRAME.size + len(header)) % _ALIGNMENT)


def _padded(size: int) -> int:
    return size + -size % _ALIGNMENT


def _name_arrays(state: PackState, trials: NDArray[np.int32]) -> Arrays:
    arrays: dict[str, NDArray[Any]] = {"trials": trials}
    sets = [("", state.weights, state.biases)]
    for i, (weights, biases) in enumerate(
        zip(state.weight_moments, state.bias_moments, strict=True), 1
    ):
        sets.append((f"moments.{i}.", weights, biases))
    for prefix, weights, biases in sets:
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True), 1):
            arrays[f"{prefix}layers.{layer}.weights"] = w
            arrays[f"{prefix}layers.{layer}.biases"] = b
    arrays |= {name: getattr(state, name) for name in ("diverged_at", "stopped_at", "rate_share")}
    for name in ("plateau", "patience"):
        watch: Watch = getattr(state, name)
        arrays |= {f"{name}.best": watch.best, f"{name}.since": watch.since}
    return {name: _little_endian(array) for name, array in arrays.items()}


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def read_state(
    file: IO[bytes], size: int, expected: CheckpointFile, signature: str
) -> tuple[PackState, NDArray[np.int32]]:
    """The state in an open file of this size, and its trials, (K,): only where the file is byte
    for byte what was written, and of this signature. Raises :class:`CheckpointError`."""
    if size != expected.size_bytes or size < _FRAME.size + DIGEST_BYTES:
        raise CheckpointError(f"it has {size} bytes, not {expected.size_bytes}")
    content = _read_all(file, size)
    found = hashlib.blake2b(content[:-DIGEST_BYTES].data, digest_size=DIGEST_BYTES)
    is_whole = found.digest() == content[-DIGEST_BYTES:].tobytes()
    if not is_whole or found.hexdigest() != expected.digest:
        raise CheckpointError("its bytes are not those that were written")
    header, arrays = _parse(content)
    if header["signature"] != signature:
        raise CheckpointError(f"it is of a pack {header['signature']}, not {signature}")
    try:
        return _make_state(int(header["epoch"]), arrays), arrays["trials"].astype(np.int32)
    except KeyError as error:
        raise CheckpointError(f"it has no array {error}") from error


def _read_all(file: IO[bytes], size: int) -> NDArray[np.uint8]:
    # The size is that of the file, which was compared with what was written: it is no claim.
    content = np.empty(size, np.uint8)
    at = 0
    while at < size:
        piece = file.read(min(PIECE_BYTES, size - at))
        if not piece:
            raise CheckpointError(f"it ends after {at} of {size} bytes")
        content[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    return content


def _parse(content: NDArray[np.uint8]) -> tuple[Mapping[str, Any], Arrays]:
    magic, size, header_size = _FRAME.unpack(content[: _FRAME.size].tobytes())
    end = len(content) - DIGEST_BYTES
    at = _FRAME.size + header_size
    if magic != MAGIC or size != len(content) or at > end:
        raise CheckpointError("it is no checkpoint")
    header: Mapping[str, Any] = json.loads(content[_FRAME.size : at].tobytes())
    if header["version"] != VERSION:
        raise CheckpointError(f"it is of version {header['version']}, not {VERSION}")
    arrays: Arrays = {}
    for name, kind, shape in header["arrays"]:
        if kind not in _TYPES or any(length < 0 for length in shape):
            raise CheckpointError(f"its array {name} is of an unknown kind")
        values = int(np.prod(shape, dtype=object)) if shape else 1
        stop = at + values * np.dtype(kind).itemsize
        if stop > end:
            raise CheckpointError(f"its array {name} is larger than the file")
        arrays[name] = content[at:stop].view(kind).reshape(shape)
        at = _padded(stop)
    if at != end:
        raise CheckpointError("it has more than its arrays")
    return header, arrays


def _make_state(epoch: int, arrays: Arrays) -> PackState:
    def layers(prefix: str, what: str) -> tuple[NDArray[Any], ...]:
        count = sum(name.startswith("layers.") and name.endswith(".weights") for name in arrays)
        return tuple(arrays[f"{prefix}layers.{layer}.{what}"] for layer in range(1, count + 1))

    def moments(what: str) -> tuple[tuple[NDArray[Any], ...], ...]:
        count = sum(
            name.startswith("moments.") and name.endswith(".layers.1.weights") for name in arrays
        )
        return tuple(layers(f"moments.{i}.", what) for i in range(1, count + 1))

    def watch(name: str) -> Watch:
        return Watch(arrays[f"{name}.best"], arrays[f"{name}.since"])

    return PackState(
        epoch=epoch,
        weights=layers("", "weights"),
        biases=layers("", "biases"),
        weight_moments=moments("weights"),
        bias_moments=moments("biases"),
        diverged_at=arrays["diverged_at"],
        stopped_at=arrays["stopped_at"],
        rate_share=arrays["rate_share"],
        plateau=watch("plateau"),
        patience=watch("patience"),
    )
