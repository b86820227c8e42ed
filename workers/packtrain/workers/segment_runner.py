"""One segment as a plain function, the same in a Ray worker and in a test's thread."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from packtrain.training import (
    Pack,
    PackState,
    SegmentMetrics,
    Split,
    TrainingData,
    prepare_data,
    stack_states,
    train_segment,
)
from packtrain.workers.engine import DataSource, Segment, SegmentFailedError
from packtrain.workers.model_file import write_model

log = structlog.get_logger(__name__)


def load_data(source: DataSource) -> TrainingData:
    """Read the rows that a source selects; whatever it leaves out stays on the disk.

    Raises :class:`OSError` where a file can't be read and :class:`ValueError` where it is no
    ``.npy`` file of numbers or the selection does not fit it.
    """
    return prepare_data(open_splits(source), source.selection, source.data_type)


def open_splits(source: DataSource) -> Mapping[str, Split]:
    """The splits of a source as memory maps. Raises as :func:`load_data` does of files."""
    return {
        name: Split(_open_array(inputs), _open_array(targets))
        for name, inputs, targets in source.splits
    }


def _open_array(path: Path) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def run(
    pack: Pack,
    data: TrainingData,
    begin: Sequence[tuple[PackState, NDArray[np.intp] | None]],
    *,
    epochs: int,
    record_after: int = 0,
) -> tuple[PackState, SegmentMetrics, float]:
    """The state after ``epochs`` more epochs, their metrics, and the seconds that it took.

    It goes on from the rows (None: all) of the states in ``begin``, one below the other, which
    are never written to; empty: from epoch 0. ``pack`` is already the pack of these rows.
    """
    began = time.perf_counter()
    state = _gather(begin) if begin else None
    if state is not None and len(state) != len(pack):
        raise ValueError(f"the states hold {len(state)} trials, the pack has {len(pack)}")
    end_state, metrics = train_segment(pack, data, state, epochs, record_after=record_after)
    return end_state, metrics, time.perf_counter() - began


def _gather(begin: Sequence[tuple[PackState, NDArray[np.intp] | None]]) -> PackState:
    parts = [state if rows is None else state.select(rows) for state, rows in begin]
    return parts[0] if len(parts) == 1 else stack_states(parts)


def write_end_state(segment: Segment, state: PackState) -> None:
    """Write the model that a segment asks for, if it asks for one.

    Raises :class:`SegmentFailedError` where that can't be done: ``DISK_FULL``, or
    ``MODEL_NOT_WRITTEN``.
    """
    if segment.model_path is None:
        return
    if segment.trial_indices is None:
        raise SegmentFailedError("MODEL_NOT_WRITTEN", "model_path needs trial_indices beside it")
    try:
        write_model(segment.model_path, segment.pack, state, segment.trial_indices)
    except OSError as error:
        log.exception("model.not_written", pack_key=segment.pack_key)
        sentence = f"the model can't be written: {error}"
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "DISK_FULL" if is_full else "MODEL_NOT_WRITTEN"
        raise SegmentFailedError(reason, sentence) from error
