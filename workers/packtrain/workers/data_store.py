"""Data sets in Ray's object store, each put there once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import ray
import structlog

from packtrain.training import TrainingData
from packtrain.workers.engine import DataSource, SegmentFailedError
from packtrain.workers.segment_runner import load_data

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Stored:
    """A data set's reference and its size."""

    reference: ray.ObjectRef[TrainingData]
    size_bytes: int


class DataStore:
    """Keeps the data sets used last, up to ``capacity_bytes`` and one at the least.

    A running segment holds a reference of its own, so forgetting a data set never takes it away
    from under a worker.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._stored: OrderedDict[DataSource, asyncio.Task[Stored]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stored)

    async def find(self, source: DataSource) -> ray.ObjectRef[TrainingData]:
        """The reference to a source's data, read and put on first use.

        Raises :class:`SegmentFailedError` where it can't be read.
        """
        task = self._stored.get(source)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(_put, source))
            self._stored[source] = task
        self._stored.move_to_end(source)
        try:
            # Shielded: others may wait for the same data when this one is cancelled.
            stored = await asyncio.shield(task)
        except Exception as error:
            self.forget(source)
            log.exception("data.unreadable")
            if _is_memory(error):
                # No smaller pack would help.
                sentence = "the data don't fit into the memory of the workers' object store"
                raise SegmentFailedError("DATA_TOO_LARGE", sentence) from error
            raise SegmentFailedError("DATA_ERROR", f"the data can't be read: {error}") from error
        self._trim()
        return stored.reference

    def forget(self, source: DataSource) -> None:
        """Put it again on its next use."""
        self._stored.pop(source, None)

    def _trim(self) -> None:
        done = {s: t.result().size_bytes for s, t in self._stored.items() if _is_good(t)}
        excess = sum(done.values()) - self._capacity_bytes
        for source in list(done)[:-1]:
            if excess <= 0:
                return
            excess -= done[source]
            self.forget(source)


def _put(source: DataSource) -> Stored:
    data = load_data(source)
    return Stored(ray.put(data), _size(data))


def _size(data: TrainingData) -> int:
    arrays = (data.x, data.y, data.x_validation, data.y_validation)
    return sum(array.nbytes for array in arrays if array is not None)


def _is_good(task: asyncio.Task[Stored]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _is_memory(error: Exception) -> bool:
    full = (MemoryError, ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError)
    return isinstance(error, full)
