"""Runs segments of packs: on Ray through a supervised process, or here in tests."""

from packtrain.workers import failpoints
from packtrain.workers.artifacts import ArtifactStore
from packtrain.workers.cluster_address import describe_cluster, split_address
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.engine import (
    CheckpointError,
    CheckpointFile,
    DataSource,
    Engine,
    EngineError,
    EngineStartError,
    LoadedState,
    SavedState,
    Segment,
    SegmentFailedError,
    SegmentResult,
    Snapshot,
    Source,
    StateLostError,
)
from packtrain.workers.local_engine import LocalEngine
from packtrain.workers.machines import Memory
from packtrain.workers.model_file import read_model, read_tensors, write_tensors
from packtrain.workers.process_session import kill_child_sessions
from packtrain.workers.reminder import Reminder
from packtrain.workers.segment_runner import open_splits
from packtrain.workers.supervisor import SupervisedEngine

__all__ = [
    "ArtifactStore",
    "CheckpointError",
    "CheckpointFile",
    "ClusterShare",
    "DataSource",
    "Engine",
    "EngineError",
    "EngineStartError",
    "LoadedState",
    "LocalEngine",
    "Memory",
    "Reminder",
    "SavedState",
    "Segment",
    "SegmentFailedError",
    "SegmentResult",
    "Snapshot",
    "Source",
    "StateLostError",
    "SupervisedEngine",
    "describe_cluster",
    "failpoints",
    "kill_child_sessions",
    "open_splits",
    "read_model",
    "read_tensors",
    "split_address",
    "write_tensors",
]
