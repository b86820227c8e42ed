"""A small problem that every test of this room trains, and what it must come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Constant,
    Cost,
    Pack,
    ScaledGaussian,
    Selection,
    Signature,
    make_trials,
)
from packtrain.workers import DataSource, Segment, Source

TRIALS = 6


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    folder: Path = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(7)
    np.save(folder / "x.npy", rng.random((120, 12), dtype=np.float32))
    np.save(folder / "y.npy", rng.integers(0, 3, 120))
    selection = Selection(validation=0.25, one_hot_outputs=3, seed=3)
    return DataSource((("train", folder / "x.npy", folder / "y.npy"),), selection, "float32")


@pytest.fixture(scope="session")
def pack() -> Pack:
    """Six trials: momentum, dropout, both costs and two initializations among them."""
    count = np.arange(TRIALS)
    return Pack(
        Signature(
            sizes=(12, 8, 3),
            hidden_activation=Activation.SIGMOID,
            output_activation=Activation.SIGMOID,
            batch_size=10,
            epochs=6,
            data_type="float32",
            metrics=("training_cost", "validation_accuracy"),
        ),
        make_trials(
            TRIALS,
            seeds=count + 1,
            order_seeds=count + 100,
            learning_rate=0.1 + 0.2 * count,
            momentum=np.where(count % 2, 0.5, 0.0),
            l2=0.1 * count,
            dropout=np.where(count == 3, 0.2, 0.0),
            cost=[(Cost.CROSS_ENTROPY, Cost.QUADRATIC)[i % 2] for i in count],
            initialization=[Constant(0.1, 0.2) if i == 4 else ScaledGaussian() for i in count],
        ),
    )


@pytest.fixture(scope="session")
def segment(source: DataSource, pack: Pack) -> Callable[..., Segment]:
    """Makes segments of the pack: ``segment("key", 0, 2)`` trains epochs 1 and 2, a later one
    goes on from what the same key holds."""

    def make(pack_key: str, start_epoch: int, epochs: int, **fields: object) -> Segment:
        sources = (Source(pack_key),) if start_epoch else ()
        whole = {"pack": pack, "data": source, "sources": sources, **fields}
        return Segment(pack_key=pack_key, start_epoch=start_epoch, epochs=epochs, **whole)

    return make
