"""The process that trains: one long-lived Ray actor a CPU."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import ray
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from packtrain.training import Pack, PackState, SegmentMetrics, Speed, TrainingData, measure_speed
from packtrain.workers import failpoints, segment_runner
from packtrain.workers.arithmetic import describe_arithmetic

CACHED_DATA = 2
"""Data sets that a worker keeps open: the one it trains on and the one before. They are mapped
from the node's object store, not copied, but they hold their place there."""


@dataclass(frozen=True)
class Whereabouts:
    """Where a worker's process is, and what it computes with there."""

    node_id: str
    process_id: int
    arithmetic: str


class SegmentActor:
    """Trains segments, one at a time. Runs as a Ray actor with two threads: one trains, the
    other stays in :meth:`stay` so that the engine hears at once when the process dies."""

    def __init__(self) -> None:
        # The environment variables that the engine sets reach the workers of its own cluster
        # only; on a cluster that was joined this keeps BLAS to the actor's one CPU.
        self._blas_limit = threadpool_limits(1)  # type: ignore[no-untyped-call]
        failpoints.arm_from_environment()
        self._data: OrderedDict[str, TrainingData] = OrderedDict()

    def locate(self) -> Whereabouts:
        """Where this process is."""
        node_id = ray.get_runtime_context().get_node_id()
        return Whereabouts(node_id, os.getpid(), describe_arithmetic())

    def measure(self) -> Speed:
        """The speed of this process."""
        return measure_speed()

    def stay(self) -> None:
        """Never return: the call fails when the process dies, and tells the engine so."""
        threading.Event().wait()

    def train(
        self,
        pack: Pack,
        data: list[ray.ObjectRef[TrainingData]],
        epochs: int,
        record_after: int,
        rows: list[NDArray[np.intp] | None],
        *states: PackState,
    ) -> tuple[PackState, tuple[SegmentMetrics, float]]:
        """One segment: its end state, which stays in the object store, and (metrics, seconds).

        ``data`` is a list of one reference, so that Ray hands it over unopened. It goes on from
        ``rows`` of ``states``; without any, from epoch 0.
        """
        failpoints.hit("worker.before_segment", MemoryError)
        begin = list(zip(states, rows, strict=True))
        end_state, metrics, seconds = segment_runner.run(
            pack, self._open(data[0]), begin, epochs=epochs, record_after=record_after
        )
        failpoints.hit("worker.after_segment", MemoryError)
        return end_state, (metrics, seconds)

    def _open(self, reference: ray.ObjectRef[TrainingData]) -> TrainingData:
        key = reference.hex()
        if key not in self._data:
            self._data[key] = ray.get(reference)
        self._data.move_to_end(key)
        while len(self._data) > CACHED_DATA:
            self._data.popitem(last=False)
        return self._data[key]
