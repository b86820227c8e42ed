"""One segment as a plain function, the same in a Ray worker and in a test's thread."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from packtrain.training import (
    Pack,
    PackState,
    SegmentMetrics,
    Split,
    TrainingData,
    prepare_data,
    train_segment,
)
from packtrain.workers.engine import DataSource


def load_data(source: DataSource) -> TrainingData:
    """Read the rows that a source selects; whatever it leaves out stays on the disk.

    Raises :class:`OSError` where a file can't be read and :class:`ValueError` where it is no
    ``.npy`` file of numbers or the selection does not fit it.
    """
    splits: Mapping[str, Split] = {
        name: Split(_open_array(inputs), _open_array(targets))
        for name, inputs, targets in source.splits
    }
    return prepare_data(splits, source.selection, source.data_type)


def _open_array(path: Path) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def run(
    pack: Pack,
    data: TrainingData,
    state: PackState | None,
    *,
    epochs: int,
    record_after: int = 0,
    rows: NDArray[np.intp] | None = None,
) -> tuple[PackState, SegmentMetrics, float]:
    """The state after ``epochs`` more epochs, their metrics, and the seconds that it took.

    ``state`` None begins at epoch 0. ``rows`` are the rows of ``state`` that go on, and
    ``pack`` is already the pack of these rows; the state itself is never written to.
    """
    if state is not None and rows is not None:
        state = state.select(rows)
    if state is not None and len(state) != len(pack):
        raise ValueError(f"the state holds {len(state)} trials, the pack has {len(pack)}")
    began = time.perf_counter()
    end_state, metrics = train_segment(pack, data, state, epochs, record_after=record_after)
    return end_state, metrics, time.perf_counter() - began
