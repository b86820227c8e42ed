"""What the service and its engine process tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packtrain.training import Speed
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.engine import (
    CheckpointFile,
    EngineError,
    LoadedState,
    SavedState,
    Segment,
    SegmentFailedError,
    SegmentResult,
    Snapshot,
)


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How an engine process runs Ray.

    ``workers``: segments at a time; None: as many as there are CPUs. ``ray_address``: "auto" or
    host:port of a cluster that this machine is a node of; None: a cluster of its own, on loopback
    alone. ``scratch``: an empty folder for that cluster's files, with a short path, since Ray puts
    sockets into it, whose paths may have 107 bytes. A segment may take
    ``deadline_factor`` times what its pack's last epochs lead to expect, but never less than
    ``least_deadline_seconds``, and ``first_deadline_seconds`` where nothing is known yet.
    """

    workers: int | None
    ray_address: str | None
    scratch: Path
    least_deadline_seconds: float = 60.0
    first_deadline_seconds: float = 900.0
    deadline_factor: float = 20.0


@dataclass(frozen=True)
class RunSegment:
    """Run it, and answer with ``request_id``."""

    request_id: int
    segment: Segment


@dataclass(frozen=True)
class CancelRequest:
    """Nobody waits for this answer any more."""

    request_id: int


@dataclass(frozen=True)
class DropState:
    """Forget a pack's state."""

    pack_key: str


@dataclass(frozen=True)
class SaveState:
    """Write a held state to a file, and answer with a :class:`SavedState`."""

    request_id: int
    snapshot: Snapshot
    uri: str


@dataclass(frozen=True)
class LoadState:
    """Hold what a checkpoint has, and answer with a :class:`LoadedState`."""

    request_id: int
    pack_key: str
    file: CheckpointFile
    signature: str


@dataclass(frozen=True)
class ShareCluster:
    """Use no more than this of the cluster."""

    share: ClusterShare


@dataclass(frozen=True)
class DescribeEngine:
    """Answer with an :class:`EngineReport`."""

    request_id: int


@dataclass(frozen=True, kw_only=True)
class EngineReport:
    """What an engine process holds: its id, its workers' process ids, how many of them have a
    segment in hand, and numbers of states and data sets."""

    process_id: int
    worker_process_ids: tuple[int, ...]
    busy_workers: int
    held_states: int
    held_data: int


@dataclass(frozen=True)
class WorkersChanged:
    """Segments can run, so many at a time, at the speed of the slowest machine. The first one
    says that the engine is ready."""

    workers: int
    speed: Speed


@dataclass(frozen=True)
class StartFailed:
    """The engine can't be started: a sentence that says what to do."""

    message: str


Answer = SegmentResult | SavedState | LoadedState | EngineReport


@dataclass(frozen=True)
class Answered:
    """What a request came to."""

    request_id: int
    answer: Answer


@dataclass(frozen=True)
class Refused:
    """A request ended in an error of this ``kind``."""

    request_id: int
    kind: type[EngineError]
    reason: str
    message: str

    @classmethod
    def by(cls, request_id: int, error: EngineError) -> Refused:
        """The message for an error, whose own pickle would not keep its reason."""
        reason = error.reason if isinstance(error, SegmentFailedError) else ""
        return cls(request_id, type(error), reason, str(error))

    def error(self) -> EngineError:
        """The error that it was."""
        if issubclass(self.kind, SegmentFailedError):
            return self.kind(self.reason, self.message)
        return self.kind(self.message)
