"""Trained networks in one safetensors file a pack: any language reads it, and no code is in it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from packtrain.training import Pack, PackState
from packtrain.workers import failpoints

TRIALS = "trials"


def write_model(path: Path, pack: Pack, state: PackState, trial_indices: NDArray[np.int32]) -> None:
    """Write the networks of the trials that have not diverged.

    Tensors: ``trials`` (K,) int32, the trials inside; for layer l from 1 ``layers.<l>.weights``
    (K, n_in, n_out) and ``layers.<l>.biases`` (K, n_out), of the pack's data type. The metadata
    name the activations. A reader sees the whole file or none, after a power loss too.

    Raises :class:`OSError` where the file can't be written.
    """
    if len(trial_indices) != len(state):
        raise ValueError(f"{len(trial_indices)} trial indices for {len(state)} trials")
    alive = np.flatnonzero(state.diverged_at == 0)
    tensors: dict[str, NDArray[np.generic]] = {TRIALS: trial_indices[alive].astype(np.int32)}
    for layer, (weights, biases) in enumerate(zip(state.weights, state.biases, strict=True), 1):
        # safetensors writes the buffer of an array as it lies: it must be contiguous.
        tensors[f"layers.{layer}.weights"] = np.ascontiguousarray(weights[alive])
        tensors[f"layers.{layer}.biases"] = np.ascontiguousarray(biases[alive])
    metadata = {
        "hidden_activation": str(pack.signature.hidden_activation),
        "output_activation": str(pack.signature.output_activation),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    failpoints.hit("model.before_write")
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.unfinished")
    try:
        # Not by the library, whose own error is none of the system's: a full disk passes.
        unfinished.write_bytes(save(tensors, metadata))
        _sync(unfinished)
        failpoints.hit("model.before_rename")
        unfinished.replace(path)
        failpoints.hit("model.after_rename")
        _sync(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_model(
    path: Path, trial_index: int, more_metadata: Mapping[str, str] | None = None
) -> bytes:
    """One trial's network as a safetensors file of its own, without reading the others.

    Tensors: those of :func:`read_tensors`, with the activations in the metadata, and
    ``more_metadata`` beside them. Raises what that raises.
    """
    tensors, metadata = read_tensors(path, trial_index)
    return write_tensors(tensors, {**metadata, **(more_metadata or {})})


def read_tensors(
    path: Path, trial_index: int
) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """One trial's network, without reading the others, and the file's metadata.

    Tensors: ``layers.<l>.weights`` (n_in, n_out) and ``layers.<l>.biases`` (n_out,). Raises
    :class:`KeyError` where the trial is not inside, because it diverged or belongs to another
    pack, and :class:`OSError` where the file is not there, or spoilt.
    """
    try:
        return _read_tensors(path, trial_index)
    except SafetensorError as error:
        raise OSError(f"{path} is spoilt: {error}") from error


def _read_tensors(
    path: Path, trial_index: int
) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    with safe_open(path, framework="numpy") as file:
        found = np.flatnonzero(file.get_tensor(TRIALS) == trial_index)
        if not len(found):
            raise KeyError(f"no trial {trial_index} in {path.name}")
        row = int(found[0])
        tensors = {
            # Sliced, then squeezed: an index of one would come back with a length-1 axis lost
            # or kept by the version of safetensors.
            name: np.ascontiguousarray(file.get_slice(name)[row : row + 1][0])
            for name in file.keys()  # noqa: SIM118 - not a mapping
            if name != TRIALS
        }
        return tensors, file.metadata()


def write_tensors(
    tensors: Mapping[str, NDArray[np.generic]], metadata: dict[str, str] | None = None
) -> bytes:
    """Contiguous tensors as the content of a safetensors file: the same bytes each time, where
    the library writes the header's keys in any order."""
    content: bytes = save(dict(tensors), metadata)
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]
