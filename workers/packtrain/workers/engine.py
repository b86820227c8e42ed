"""What the coordinator asks of whatever runs segments: Ray, or this process in tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from packtrain.training import DataType, Pack, SegmentMetrics, Selection, Speed
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.machines import Memory


@dataclass(frozen=True)
class DataSource:
    """Where a job's rows lie, as ``.npy`` files, and which of them it uses.

    ``splits`` are (split name, inputs file, targets file). Equal sources hold equal data: the
    files are content-addressed.
    """

    splits: tuple[tuple[str, Path, Path], ...]
    selection: Selection
    data_type: DataType


@dataclass(frozen=True, eq=False)
class Source:
    """Rows of the state that is held under ``pack_key``, in this order; None: all."""

    pack_key: str
    rows: NDArray[np.intp] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Some epochs of one pack.

    The state that it ends with stays with the engine, under ``pack_key``. Without ``sources`` it
    begins from the initial state, at epoch 0; otherwise from the rows of these held states, one
    below the other, which must all be at ``start_epoch``: a pack that goes on, or one made of the
    survivors of several. ``pack`` is already the pack of these rows. Epochs up to ``record_after``
    are trained but not measured: they were recorded before. ``expected_seconds`` is a guess, for
    the deadline of a segment that none was measured for. Where ``model_path`` is given, the
    end state is written there before the segment's result is told, with ``trial_indices``; with
    ``model_if_ended`` only where every trial has ended.
    """

    pack_key: str
    pack: Pack
    data: DataSource
    start_epoch: int
    epochs: int
    record_after: int = 0
    sources: tuple[Source, ...] = ()
    expected_seconds: float = 0.0
    model_path: Path | None = None
    model_if_ended: bool = False
    trial_indices: NDArray[np.int32] | None = None

    def wants_model(self, metrics: SegmentMetrics) -> bool:
        """Whether the end state is to be written, now that its metrics are known."""
        if self.model_path is None:
            return False
        ended = (metrics.diverged_at > 0) | (metrics.stopped_at > 0)
        return bool(ended.all()) or not self.model_if_ended


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """What came of a segment: its metrics, the seconds that the training itself took, and the
    arithmetic of the worker that trained it (see :func:`describe_arithmetic`)."""

    metrics: SegmentMetrics
    seconds: float
    arithmetic: str


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state that is held under ``pack_key`` after ``epoch`` epochs: ``trials``, (K,), are the
    indices of its rows' trials, ``signature`` is what a pack that goes on from it must agree in."""

    pack_key: str
    epoch: int
    trials: NDArray[np.int32]
    signature: str


@dataclass(frozen=True)
class CheckpointFile:
    """A state that was written to ``uri``: its whole size, and the BLAKE2b digest (hexadecimal)
    of all that stands before the digest in the file."""

    uri: str
    size_bytes: int
    digest: str


@dataclass(frozen=True)
class SavedState:
    """A checkpoint's file, and the seconds that writing it took."""

    file: CheckpointFile
    seconds: float


@dataclass(frozen=True, eq=False)
class LoadedState:
    """What a checkpoint's file turned out to hold: ``trials``, (K,), after ``epoch`` epochs."""

    epoch: int
    trials: NDArray[np.int32]


class EngineError(Exception):
    """Base of what an engine's work can end with."""


class StateLostError(EngineError):
    """A state that the segment begins from is gone: begin again from epoch 0."""


class SegmentFailedError(EngineError):
    """The segment can't be run: ``reason`` (UPPER_SNAKE_CASE) and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def out_of_memory(trials: int) -> SegmentFailedError:
    """What a segment of so many trials ends with where a worker's memory is too small."""
    what = "this network alone" if trials == 1 else f"these {trials} networks together"
    return SegmentFailedError(
        "OUT_OF_MEMORY",
        f"a worker ran out of memory over {what}; smaller layers, smaller mini-batches or fewer "
        "rows of data need less",
    )


class CheckpointError(EngineError):
    """A checkpoint can't be written or read: a sentence that says why."""


class EngineStartError(EngineError):
    """The engine can't be started: one sentence that says what to do."""


class EngineDiedError(EngineStartError):
    """The engine's process ended of itself while it started: another try may fare better."""


class Engine(Protocol):
    """Runs segments. All methods are called from one event loop and never block it."""

    @property
    def workers(self) -> int:
        """Segments that run at a time; 0 while the engine is not ready."""

    @property
    def capacity(self) -> int:
        """Segments that are to run at a time as soon as there are so many: what packs are cut for.
        Above ``workers`` where some of these are being replaced, or the cluster grows."""

    @property
    def speed(self) -> Speed:
        """That of the slowest machine that trains; the usual one before any was measured."""

    @property
    def memory(self) -> Memory:
        """That of the machines that train; of this one before any is known."""

    @property
    def problem(self) -> str:
        """Why there are no workers, as far as it is known: a sentence, or nothing."""

    async def start(self) -> None:
        """Return when segments can run, or, on a cluster that others run, at once: jobs wait for
        it. Raises :class:`EngineStartError`."""

    async def run_segment(self, segment: Segment) -> SegmentResult:
        """Run it. Raises :class:`StateLostError` or :class:`SegmentFailedError`."""

    def want_workers(self, count: int) -> None:
        """There is work for so many workers: an engine whose cluster can grow asks for them, and
        lets go those that are not wanted for a while."""

    async def save_state(self, snapshot: Snapshot, uri: str) -> SavedState:
        """Write a held state to a new file, while segments run. The state is taken as it is when
        this is called, so that the pack's next segment need not wait.

        Raises :class:`StateLostError` where it is not held, and :class:`CheckpointError`.
        """

    async def load_state(self, pack_key: str, file: CheckpointFile, signature: str) -> LoadedState:
        """Hold what a checkpoint's file has under ``pack_key``.

        Raises :class:`CheckpointError` where the file is missing, is not what was written, or is
        of another signature, and :class:`StateLostError` where the engine ends meanwhile.
        """

    async def drop_state(self, pack_key: str) -> None:
        """Forget a pack's state. Unknown keys are no error."""

    def share_cluster(self, share: ClusterShare) -> None:
        """Use no more than this of a cluster that other engines use too. Workers that have a
        segment in hand end it first. Without effect on an engine that has a machine of its own."""

    async def stop(self) -> None:
        """End all workers and processes. Running segments raise StateLostError."""
