"""The trainer called as a library: each of a job's packs in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from packtrain.client import JobSpec
from packtrain.client.converters.specs import spec_message
from packtrain.service.contract.expansion import Expansion, expand
from packtrain.service.datasets import Catalog
from packtrain.service.planner import pack_of, plan_packs
from packtrain.training import Speed, TrainingData, train
from packtrain.workers.segment_runner import load_data

_MOST_TRIALS = 1_000_000
_loaded: dict[Any, TrainingData] = {}


def train_pack(pack: Any, source: Any) -> Any:
    """In a process of its own, which keeps the data it has read."""
    if source not in _loaded:
        _loaded[source] = load_data(source)
    return train(pack, _loaded[source])[1].values


class Library:
    """The packs of one job, on as many processes as the service has workers."""

    def __init__(self, expansion: Expansion, processes: int, pool: ProcessPoolExecutor) -> None:
        planned = plan_packs(expansion.parts, processes, Speed())
        self._work = [(pack_of(p.part.group, p.trials), p.part.group.data) for p in planned]
        self._pool = pool

    def run(self) -> tuple[float, Any]:
        """Seconds, and the metrics (trials, epochs, metrics)."""
        begun = time.perf_counter()
        parts = [f.result() for f in [self._pool.submit(train_pack, *w) for w in self._work]]
        return time.perf_counter() - begun, np.concatenate(parts)


def expand_job(spec: JobSpec, scratch: Path, datasets: Path) -> Expansion:
    """The trials of a job, as the service makes them."""
    return expand(spec_message(spec), Catalog(scratch, [datasets]), _MOST_TRIALS)


@contextmanager
def warm_library(expansion: Expansion, processes: int) -> Iterator[Library]:
    """A library whose processes have started and read their data."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        library = Library(expansion, processes, pool)
        library.run()
        yield library


def write_rows(expansion: Expansion, path: Path) -> None:
    """The data of a job as a file, for others to train on; sorted names are in training order."""
    data = load_data(expansion.groups[0].data)
    np.savez(path, x=data.x, y=data.y, z_x=data.x_validation, z_y=data.y_validation)
