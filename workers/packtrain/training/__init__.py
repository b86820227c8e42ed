"""Trains packs of small neural networks as stacked arrays. Needs NumPy and SciPy only."""

from packtrain.training.checks import PackError, check_pack
from packtrain.training.choice import block_trials
from packtrain.training.data import (
    DataError,
    RowRange,
    Scaling,
    Selection,
    Split,
    TrainingData,
    prepare_data,
    select_rows,
)
from packtrain.training.footprint import epoch_operations, segment_memory_bytes
from packtrain.training.metrics import METRICS, Metric, metric_names
from packtrain.training.segment import initial_state, train, train_segment
from packtrain.training.spec import (
    Activation,
    Constant,
    Cost,
    DataType,
    Distribution,
    GivenArrays,
    He,
    Initialization,
    Pack,
    ScaledGaussian,
    Signature,
    Trials,
    UnitGaussian,
    Xavier,
)
from packtrain.training.state import PackState, SegmentMetrics, stack_states
from packtrain.training.trials import make_trials

__all__ = [
    "METRICS",
    "Activation",
    "Constant",
    "Cost",
    "DataError",
    "DataType",
    "Distribution",
    "GivenArrays",
    "He",
    "Initialization",
    "Metric",
    "Pack",
    "PackError",
    "PackState",
    "RowRange",
    "ScaledGaussian",
    "Scaling",
    "SegmentMetrics",
    "Selection",
    "Signature",
    "Split",
    "TrainingData",
    "Trials",
    "UnitGaussian",
    "Xavier",
    "block_trials",
    "check_pack",
    "epoch_operations",
    "initial_state",
    "make_trials",
    "metric_names",
    "prepare_data",
    "segment_memory_bytes",
    "select_rows",
    "stack_states",
    "train",
    "train_segment",
]
