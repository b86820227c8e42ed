"""Specification messages to what the trainer takes, naming every wrong field."""

from __future__ import annotations

import numpy as np

from packtrain.service.contract.fields import Violations
from packtrain.service.datasets import StoredDataset
from packtrain.training import (
    METRICS,
    Activation,
    Constant,
    Cost,
    DataType,
    Distribution,
    GivenArrays,
    He,
    Initialization,
    RowRange,
    ScaledGaussian,
    Scaling,
    TargetKind,
    UnitGaussian,
    Xavier,
)
from packtrain.v1 import spec_pb2

DEFAULT_EPOCHS = 30
DEFAULT_BATCH_SIZE = 10
DEFAULT_LEARNING_RATE = 0.5
MAX_EPOCHS = 1_000_000
MAX_WIDTH = 16_384
MAX_HIDDEN_LAYERS = 32

_ACTIVATIONS: dict[int, Activation] = {
    spec_pb2.ACTIVATION_SIGMOID: Activation.SIGMOID,
    spec_pb2.ACTIVATION_TANH: Activation.TANH,
    spec_pb2.ACTIVATION_RELU: Activation.RELU,
    spec_pb2.ACTIVATION_IDENTITY: Activation.IDENTITY,
    spec_pb2.ACTIVATION_SOFTMAX: Activation.SOFTMAX,
}
_SCALINGS = {
    spec_pb2.SCALING_UNSPECIFIED: Scaling.NONE,
    spec_pb2.SCALING_NONE: Scaling.NONE,
    spec_pb2.SCALING_STANDARDIZE: Scaling.STANDARDIZE,
    spec_pb2.SCALING_MIN_MAX: Scaling.MIN_MAX,
}
_DISTRIBUTIONS: dict[int, Distribution] = {
    spec_pb2.DISTRIBUTION_UNSPECIFIED: Distribution.NORMAL,
    spec_pb2.DISTRIBUTION_NORMAL: Distribution.NORMAL,
    spec_pb2.DISTRIBUTION_UNIFORM: Distribution.UNIFORM,
}
_COSTS = {
    "quadratic": Cost.QUADRATIC,
    "cross_entropy": Cost.CROSS_ENTROPY,
    "log_likelihood": Cost.LOG_LIKELIHOOD,
}
# The activation that a cost asks of the output; the quadratic cost goes with any.
_OUTPUT_OF_COST = {
    Cost.CROSS_ENTROPY: Activation.SIGMOID,
    Cost.LOG_LIKELIHOOD: Activation.SOFTMAX,
}


def read_activation(
    value: int, field: str, default: Activation, violations: Violations, *, hidden: bool
) -> Activation:
    """A layer's activation."""
    if value == spec_pb2.ACTIVATION_UNSPECIFIED:
        return default
    activation = _ACTIVATIONS.get(value)
    if activation is None:
        violations.add(field, f"{value} is no activation of this server")
        return default
    if hidden and activation is Activation.SOFTMAX:
        violations.add(field, "softmax is for the output layer only")
    return activation


def read_hidden(network: spec_pb2.Network, violations: Violations) -> tuple[int, ...]:
    """The widths of the hidden layers."""
    if len(network.hidden) > MAX_HIDDEN_LAYERS:
        violations.add(
            "network.hidden",
            f"must be at most {MAX_HIDDEN_LAYERS} layers, not {len(network.hidden)}",
        )
    for i, width in enumerate(network.hidden):
        if not 1 <= width <= MAX_WIDTH:
            violations.add(f"network.hidden[{i}]", f"must be 1 to {MAX_WIDTH:,}, not {width}")
    return tuple(network.hidden)


def read_output_activation(
    network: spec_pb2.Network, dataset: StoredDataset, violations: Violations
) -> Activation:
    """The output's activation: sigmoid for classes, identity for real targets, if unset."""
    default = Activation.SIGMOID if dataset.classes else Activation.IDENTITY
    return read_activation(
        network.output_activation, "network.output_activation", default, violations, hidden=False
    )


def read_outputs(
    spec: spec_pb2.JobSpec,
    dataset: StoredDataset,
    output: Activation,
    violations: Violations,
) -> tuple[int, int | None]:
    """The width of the output layer, and the number of one-hot outputs (None: targets as is)."""
    encoding = spec.dataset.target_encoding
    one_hot = spec_pb2.TARGET_ENCODING_ONE_HOT
    field = "network.outputs"
    if encoding not in spec_pb2.TargetEncoding.values():
        violations.add(
            "dataset.target_encoding", f"{encoding} is no target encoding of this server"
        )
    if not dataset.classes:
        if encoding == one_hot:
            violations.add(
                "dataset.target_encoding", f"{dataset.dataset_id} has real targets, not classes"
            )
        outputs = violations.integer(spec.network, "outputs", field, dataset.targets, 1, MAX_WIDTH)
        if outputs != dataset.targets:
            violations.add(
                field, f"must be the number of target columns, {dataset.targets}, not {outputs}"
            )
        return outputs, None
    alone = dataset.classes == 2 and output is not Activation.SOFTMAX and encoding != one_hot
    if encoding == spec_pb2.TARGET_ENCODING_AS_IS:
        alone = True
    default = 1 if alone else dataset.classes
    outputs = violations.integer(spec.network, "outputs", field, default, 1, MAX_WIDTH)
    if output is Activation.SOFTMAX and outputs == 1:
        violations.add(field, "softmax needs at least 2 outputs: a single one is always 1")
    if outputs == 1 and encoding != one_hot:
        return 1, None
    if encoding == spec_pb2.TARGET_ENCODING_AS_IS:
        violations.add("dataset.target_encoding", f"AS_IS needs 1 output, not {outputs}")
    elif outputs < dataset.classes:
        violations.add(
            field, f"must be at least the number of classes, {dataset.classes}, not {outputs}"
        )
    return outputs, outputs


def read_cost(
    message: spec_pb2.Cost, output: Activation, classes: bool, violations: Violations
) -> Cost:
    """The cost, checked against the output layer."""
    kind = message.WhichOneof("kind")
    if kind is None:
        defaults = {v: k for k, v in _OUTPUT_OF_COST.items()}
        cost = defaults.get(output, Cost.QUADRATIC)
    else:
        cost = _COSTS[kind]
    needed = _OUTPUT_OF_COST.get(cost)
    if needed is not None and output is not needed:
        violations.add(
            "cost", f"{cost} needs a {needed} output (network.output_activation), not {output}"
        )
    if cost == Cost.LOG_LIKELIHOOD and not classes:
        violations.add("cost", "log_likelihood needs class labels, not real targets")
    return cost


def read_initialization(
    message: spec_pb2.Initialization, sizes: tuple[int, ...], violations: Violations
) -> Initialization:
    """Where weights start, checked against the layers."""
    kind = message.WhichOneof("kind")
    if kind == "unit_gaussian":
        return UnitGaussian()
    if kind == "xavier":
        return Xavier(_read_distribution(message.xavier.distribution, kind, violations))
    if kind == "he":
        return He(_read_distribution(message.he.distribution, kind, violations))
    if kind == "constant":
        where = "initialization.constant"
        weight, bias = (
            violations.number(message.constant, name, f"{where}.{name}", 0.0)
            for name in ("weight", "bias")
        )
        return Constant(weight, bias)
    if kind == "arrays":
        return _read_arrays(message.arrays, sizes, violations)
    return ScaledGaussian()


def _read_distribution(value: int, kind: str, violations: Violations) -> Distribution:
    if value not in _DISTRIBUTIONS:
        field = f"initialization.{kind}.distribution"
        violations.add(field, f"{value} is no distribution of this server")
    return _DISTRIBUTIONS.get(value, Distribution.NORMAL)


def _read_arrays(
    arrays: spec_pb2.GivenArrays, sizes: tuple[int, ...], violations: Violations
) -> GivenArrays:
    where = "initialization.arrays.layers"
    if len(arrays.layers) != len(sizes) - 1:
        violations.add(where, f"must be {len(sizes) - 1} layers, not {len(arrays.layers)}")
        return GivenArrays((), ())
    weights, biases = [], []
    for i, layer in enumerate(arrays.layers):
        shape = (sizes[i], sizes[i + 1])
        for name, count in (("weights", shape[0] * shape[1]), ("biases", shape[1])):
            numbers = np.array(getattr(layer, name), np.float64)
            field = f"{where}[{i}].{name}"
            if len(numbers) != count:
                violations.add(field, f"must be {count:,} numbers, not {len(numbers):,}")
                numbers = np.zeros(count)
            if not np.isfinite(numbers).all():
                violations.add(field, "must be finite numbers")
            if name == "weights":
                weights.append(numbers.reshape(shape))
            else:
                biases.append(numbers)
    return GivenArrays(tuple(weights), tuple(biases))


def read_optimizer(message: spec_pb2.Optimizer, violations: Violations) -> dict[str, float]:
    """The optimizer's numbers."""
    where = "optimizer.sgd"
    return {
        "learning_rate": violations.number(
            message.sgd, "learning_rate", f"{where}.learning_rate", DEFAULT_LEARNING_RATE, above=0
        ),
        "momentum": violations.number(
            message.sgd, "momentum", f"{where}.momentum", 0.0, at_least=0, below=1
        ),
    }


def read_regularization(
    message: spec_pb2.Regularization, violations: Violations
) -> dict[str, float]:
    """The regularization's numbers."""
    where = "regularization"
    return {
        "l2": violations.number(message, "l2", f"{where}.l2", 0.0, at_least=0),
        "l1": violations.number(message, "l1", f"{where}.l1", 0.0, at_least=0),
        "dropout": violations.number(
            message, "dropout", f"{where}.dropout", 0.0, at_least=0, below=1
        ),
    }


def check_without_data(spec: spec_pb2.JobSpec, violations: Violations) -> None:
    """Check what needs no data, so that a wrong dataset hides no other wrong field."""
    network, cost = spec.network, spec.cost.WhichOneof("kind")
    output = read_activation(
        network.output_activation,
        "network.output_activation",
        Activation.SIGMOID,
        violations,
        hidden=False,
    )
    violations.integer(network, "outputs", "network.outputs", 1, 1, MAX_WIDTH)
    violations.number(spec, "batch_size", "batch_size", 1, at_least=1)
    if network.output_activation and cost is not None:
        read_cost(spec.cost, output, True, violations)
    if spec.initialization.WhichOneof("kind") != "arrays":
        read_initialization(spec.initialization, (1, 1), violations)
    read_optimizer(spec.optimizer, violations)
    read_regularization(spec.regularization, violations)
    read_scaling(spec.dataset, violations)
    read_metrics(spec.measurement, classes=True, validation=True, violations=violations)


# The range of each number that may differ within a pack.
NUMBER_RANGES: dict[str, dict[str, float]] = {
    "learning_rate": {"above": 0},
    "momentum": {"at_least": 0, "below": 1},
    "l2": {"at_least": 0},
    "l1": {"at_least": 0},
    "dropout": {"at_least": 0, "below": 1},
}


def read_data_type(spec: spec_pb2.JobSpec, violations: Violations) -> DataType:
    """float32 or float64."""
    if spec.data_type not in spec_pb2.DataType.values():
        violations.add("data_type", f"{spec.data_type} is no data type of this server")
    return "float64" if spec.data_type == spec_pb2.DATA_TYPE_FLOAT64 else "float32"


def read_scaling(selection: spec_pb2.DatasetSelection, violations: Violations) -> Scaling:
    """What is done to the inputs."""
    if selection.scaling not in _SCALINGS:
        violations.add("dataset.scaling", f"{selection.scaling} is no scaling of this server")
    return _SCALINGS.get(selection.scaling, Scaling.NONE)


def read_row_range(message: spec_pb2.RowRange, field: str, violations: Violations) -> RowRange:
    """A range of rows; whether the split has them is checked with the data."""
    if message.first < 0:
        violations.add(f"{field}.first", f"must be at least 0, not {message.first}")
    if message.HasField("count") and message.count < 1:
        violations.add(f"{field}.count", f"must be at least 1, not {message.count}")
    return RowRange(
        message.split or "train",
        max(0, message.first),
        max(1, message.count) if message.HasField("count") else None,
    )


def read_metrics(
    measurement: spec_pb2.Measurement, *, classes: bool, validation: bool, violations: Violations
) -> tuple[str, ...]:
    """The names of what is measured, not yet told apart by layers."""
    if not measurement.metrics:
        names = ["training_cost"]
        names += ["training_accuracy"] if classes else []
        names += ["validation_cost"] if validation else []
        names += ["validation_accuracy"] if validation and classes else []
        return tuple(names)
    for i, name in enumerate(measurement.metrics):
        field = f"measurement.metrics[{i}]"
        metric = METRICS.get(name)
        if metric is None:
            violations.add(field, f"{name!r} is no metric: expected one of {', '.join(METRICS)}")
        elif metric.needs_validation and not validation:
            violations.add(field, f"{name} needs validation rows (dataset.validation_share)")
        elif (TargetKind.CLASSES if classes else TargetKind.NUMBERS) not in metric.target_kinds:
            violations.add(field, f"{name} needs class labels, not real targets")
        elif name in measurement.metrics[:i]:
            violations.add(field, f"{name} is named twice")
    return tuple(measurement.metrics)


# Paths of the numbers that may differ within a pack, and their columns there.
NUMBERS = {
    "optimizer.sgd.learning_rate": "learning_rate",
    "optimizer.sgd.momentum": "momentum",
    "regularization.l2": "l2",
    "regularization.l1": "l1",
    "regularization.dropout": "dropout",
}
