"""Runs segments of packs: on Ray through a supervised process, or here in tests."""

from packtrain.workers import failpoints
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.engine import (
    DataSource,
    Engine,
    EngineError,
    EngineStartError,
    Segment,
    SegmentFailedError,
    SegmentResult,
    Source,
    StateLostError,
)
from packtrain.workers.local_engine import LocalEngine
from packtrain.workers.model_file import read_model, read_tensors, write_tensors
from packtrain.workers.process_session import kill_child_sessions
from packtrain.workers.segment_runner import open_splits
from packtrain.workers.supervisor import SupervisedEngine

__all__ = [
    "ClusterShare",
    "DataSource",
    "Engine",
    "EngineError",
    "EngineStartError",
    "LocalEngine",
    "Segment",
    "SegmentFailedError",
    "SegmentResult",
    "Source",
    "StateLostError",
    "SupervisedEngine",
    "failpoints",
    "kill_child_sessions",
    "open_splits",
    "read_model",
    "read_tensors",
    "write_tensors",
]
