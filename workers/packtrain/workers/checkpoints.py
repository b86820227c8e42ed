"""Saves held states and reads them back, wherever the files lie; both block."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from packtrain.training import PackState
from packtrain.workers.artifacts import existing_file, new_file
from packtrain.workers.checkpoint_file import read_state, write_state
from packtrain.workers.engine import CheckpointError, CheckpointFile, SavedState, Snapshot


def save_checkpoint(state: PackState, snapshot: Snapshot, uri: str) -> SavedState:
    """Write a new file. Raises :class:`CheckpointError`."""
    began = time.perf_counter()
    try:
        with new_file(uri) as file:
            size, digest = write_state(file, state, snapshot)
    except Exception as error:  # each file system has errors of its own
        raise CheckpointError(f"{uri} can't be written: {_describe(error)}") from error
    return SavedState(CheckpointFile(uri, size, digest), time.perf_counter() - began)


def load_checkpoint(file: CheckpointFile, signature: str) -> tuple[PackState, NDArray[np.int32]]:
    """The state in a file, and its trials, (K,). Raises :class:`CheckpointError`."""
    try:
        with existing_file(file.uri) as (content, size):
            return read_state(content, size, file, signature)
    except FileNotFoundError as error:
        raise CheckpointError(f"{file.uri} is missing") from error
    except CheckpointError as error:
        raise CheckpointError(f"{file.uri} can't be used: {error}") from error
    except Exception as error:
        raise CheckpointError(f"{file.uri} can't be read: {_describe(error)}") from error


def _describe(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
