"""The specification as it is answered: every default filled in that is not searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from packtrain.service.contract.fields import enum_value
from packtrain.service.contract.learning_rates import searched_paths
from packtrain.service.contract.models import fill_model
from packtrain.service.contract.specs import NUMBERS
from packtrain.service.planner import TrialGroup
from packtrain.v1 import spec_pb2


def with_defaults(spec: spec_pb2.JobSpec, groups: Sequence[TrialGroup]) -> spec_pb2.JobSpec:
    """Fill in, in place, what was left unset. A default that follows from something searched
    (the cost from the output's activation) stays unset where trials differ in it."""
    fill = _Filler(spec, groups)
    fill.dataset()
    fill.network()
    fill.alternatives()
    fill.numbers()
    fill.measurement()
    return spec


class _Filler:
    def __init__(self, spec: spec_pb2.JobSpec, groups: Sequence[TrialGroup]) -> None:
        self._spec = spec
        self._searched = searched_paths(spec)
        self._groups = groups
        self._signatures = [g.pack.signature for g in groups]
        self._trials = groups[0].pack.trials
        self._selections = [g.data.selection for g in groups]

    def _free(self, path: str) -> bool:
        return not any(
            s == path or s.startswith(path + ".") or path.startswith(s + ".")
            for s in self._searched
        )

    def _put(self, path: str, values: Sequence[Any]) -> None:
        """Set the field, where it is unset, is not searched, and all groups agree."""
        first = values[0]
        if not self._free(path) or any(value != first for value in values):
            return
        *parents, leaf = path.split(".")
        node: Any = self._spec
        for part in parents:
            node = getattr(node, part)
        field = node.DESCRIPTOR.fields_by_name[leaf]
        if field.has_presence and node.HasField(leaf):
            return
        if not field.has_presence and getattr(node, leaf):
            return
        setattr(node, leaf, first)

    def dataset(self) -> None:
        self._put("dataset.scaling", [spec_pb2.SCALING_NONE])
        encodings = [
            spec_pb2.TARGET_ENCODING_AS_IS
            if selection.one_hot_outputs is None
            else spec_pb2.TARGET_ENCODING_ONE_HOT
            for selection in self._selections
        ]
        self._put("dataset.target_encoding", encodings)
        dataset = self._spec.dataset
        if dataset.HasField("training"):
            self._put("dataset.training.split", ["train"])
        if dataset.WhichOneof("validation") == "validation_rows":
            self._put("dataset.validation_rows.split", ["train"])
        if dataset.WhichOneof("source") == "synthetic":
            self._synthetic()

    def _synthetic(self) -> None:
        where = "dataset.synthetic"
        kind = self._spec.dataset.synthetic.kind
        is_xor = kind == spec_pb2.SYNTHETIC_KIND_XOR
        if self._free(f"{where}.kind"):
            self._put(f"{where}.rows", [4 if is_xor else 200])
            self._put(f"{where}.noise", [0.0 if is_xor else 0.1])
            if kind == spec_pb2.SYNTHETIC_KIND_LINEAR:
                self._put(f"{where}.features", [5])
        self._put(f"{where}.seed", [0])

    def network(self) -> None:
        for name in ("hidden_activation", "output_activation"):
            values = [
                enum_value(spec_pb2.Activation, f"ACTIVATION_{getattr(s, name).name}")
                for s in self._signatures
            ]
            self._put(f"network.{name}", values)
        self._put("network.outputs", [s.sizes[-1] for s in self._signatures])

    def alternatives(self) -> None:
        spec = self._spec
        outputs = {s.output_activation for s in self._signatures}
        if self._free("cost") and not spec.HasField("cost") and len(outputs) == 1:
            getattr(spec.cost, self._trials.costs[0].kind.value).SetInParent()
        if self._free("initialization") and spec.initialization.WhichOneof("kind") is None:
            spec.initialization.scaled_gaussian.SetInParent()
        kind = spec.initialization.WhichOneof("kind")
        if kind in ("xavier", "he"):
            self._put(f"initialization.{kind}.distribution", [spec_pb2.DISTRIBUTION_NORMAL])
        if kind == "constant":
            for name in ("weight", "bias"):
                self._put(f"initialization.constant.{name}", [0.0])

        if kind == "model":
            entries = [e for g in self._groups for e in g.pack.trials.initializations]
            layers = [len(s.sizes) - 1 for s in self._signatures]
            fill_model(spec.initialization.model, entries, layers, self._searched)

    def numbers(self) -> None:
        for path, name in NUMBERS.items():
            self._put(path, [float(getattr(self._trials, name)[0])])
        self._put("epochs", [s.epochs for s in self._signatures])
        self._put("batch_size", [s.batch_size for s in self._signatures])
        name = f"DATA_TYPE_{self._signatures[0].data_type.upper()}"
        self._spec.data_type = enum_value(spec_pb2.DataType, name)

    def measurement(self) -> None:
        measurement = self._spec.measurement
        measurement.every_epochs = self._signatures[0].measure_every
        metrics = {s.metrics for s in self._signatures}
        if not measurement.metrics and len(metrics) == 1:
            measurement.metrics.extend(self._signatures[0].metrics)
