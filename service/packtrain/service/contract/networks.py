"""The layers of a specification."""

from __future__ import annotations

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.numbers import NumberFields, whole
from packtrain.service.datasets import StoredDataset
from packtrain.training import Activation, DataType
from packtrain.training.activations import OUTPUT_ONLY
from packtrain.v1 import spec_pb2

MAX_WIDTH = 16_384
MAX_HIDDEN_LAYERS = 32

NUMBERS: NumberFields = {"network.outputs": whole(1, MAX_WIDTH)}

ACTIVATIONS: dict[int, Activation] = {
    value.number: Activation[value.name.removeprefix("ACTIVATION_")]
    for value in spec_pb2.Activation.DESCRIPTOR.values
    if value.number != spec_pb2.ACTIVATION_UNSPECIFIED
}


def read_activation(
    value: int, field: str, default: Activation, violations: Violations, *, hidden: bool
) -> Activation:
    """A layer's activation."""
    if value == spec_pb2.ACTIVATION_UNSPECIFIED:
        return default
    activation = ACTIVATIONS.get(value)
    if activation is None:
        violations.add(field, f"{value} is no activation of this server")
        return default
    if hidden and activation in OUTPUT_ONLY:
        violations.add(field, f"{activation} is for the output layer only")
    return activation


def read_hidden_activation(network: spec_pb2.Network, violations: Violations) -> Activation:
    """The hidden layers' activation: sigmoid if unset."""
    return read_activation(
        network.hidden_activation,
        "network.hidden_activation",
        Activation.SIGMOID,
        violations,
        hidden=True,
    )


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
    network: spec_pb2.Network, classes: bool, violations: Violations
) -> Activation:
    """The output's activation: sigmoid for classes, identity for real targets, if unset."""
    default = Activation.SIGMOID if classes else Activation.IDENTITY
    return read_activation(
        network.output_activation, "network.output_activation", default, violations, hidden=False
    )


_LONELY = "softmax needs at least 2 outputs: a single one is always 1"


def read_outputs(
    spec: spec_pb2.JobSpec,
    dataset: StoredDataset,
    output: Activation,
    violations: Violations,
) -> tuple[int, int | None]:
    """The width of the output layer, and the number of one-hot outputs (None: targets as is)."""
    encoding = spec.dataset.target_encoding
    one_hot = spec_pb2.TARGET_ENCODING_ONE_HOT
    if encoding not in spec_pb2.TargetEncoding.values():
        violations.add(
            "dataset.target_encoding", f"{encoding} is no target encoding of this server"
        )
    field = "network.outputs"
    if not dataset.classes:
        columns = _read_columns(spec, dataset, violations)
        if output is Activation.SOFTMAX and columns == 1:
            violations.add(field, _LONELY)
        return columns, None
    alone = dataset.classes == 2 and output is not Activation.SOFTMAX and encoding != one_hot
    if encoding == spec_pb2.TARGET_ENCODING_AS_IS:
        alone = True
    outputs = read_width(spec.network, 1 if alone else dataset.classes, violations)
    if output is Activation.SOFTMAX and outputs == 1:
        violations.add(field, _LONELY)
    if outputs == 1 and encoding != one_hot:
        return 1, None
    if encoding == spec_pb2.TARGET_ENCODING_AS_IS:
        violations.add("dataset.target_encoding", f"AS_IS needs 1 output, not {outputs}")
    elif outputs < dataset.classes:
        violations.add(
            field, f"must be at least the number of classes, {dataset.classes}, not {outputs}"
        )
    return outputs, outputs


def _read_columns(spec: spec_pb2.JobSpec, dataset: StoredDataset, violations: Violations) -> int:
    if spec.dataset.target_encoding == spec_pb2.TARGET_ENCODING_ONE_HOT:
        violations.add(
            "dataset.target_encoding",
            f"{dataset.dataset_id or 'the dataset'} has real targets, not classes",
        )
    outputs = read_width(spec.network, dataset.targets, violations)
    if outputs != dataset.targets:
        violations.add(
            "network.outputs",
            f"must be the number of target columns, {dataset.targets}, not {outputs}",
        )
    return outputs


def read_width(network: spec_pb2.Network, default: int, violations: Violations) -> int:
    """The width of the output layer."""
    field = NUMBERS["network.outputs"]
    return int(field.read(network, "network.outputs", violations, default))


def read_data_type(spec: spec_pb2.JobSpec, violations: Violations) -> DataType:
    """float32 or float64."""
    if spec.data_type not in spec_pb2.DataType.values():
        violations.add("data_type", f"{spec.data_type} is no data type of this server")
    return "float64" if spec.data_type == spec_pb2.DATA_TYPE_FLOAT64 else "float32"
