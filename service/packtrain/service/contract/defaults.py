"""The specification as it is answered: every default filled in that is not searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from packtrain.service.contract import catalogue, initializations, optimizers
from packtrain.service.contract.fields import enum_value
from packtrain.service.contract.models import fill_model
from packtrain.service.contract.search import searched_paths
from packtrain.service.objectives import Objective
from packtrain.service.planner import TrialGroup
from packtrain.training import Plateau, Schedule
from packtrain.v1 import spec_pb2


def with_defaults(
    spec: spec_pb2.JobSpec, groups: Sequence[TrialGroup], objectives: Sequence[Objective]
) -> spec_pb2.JobSpec:
    """Fill in, in place, what was left unset. A default that follows from something searched
    (the cost from the output's activation) stays unset where trials differ in it."""
    fill = _Filler(spec, groups)
    fill.dataset()
    fill.network()
    fill.alternatives()
    fill.schedule()
    fill.regularization()
    fill.measurement()
    fill.numbers()
    for message, objective in zip(spec.search.objectives, objectives, strict=True):
        message.metric = objective.metric
        message.goal = spec_pb2.GOAL_MAXIMIZE if objective.maximize else spec_pb2.GOAL_MINIMIZE
    return spec


class _Filler:
    def __init__(self, spec: spec_pb2.JobSpec, groups: Sequence[TrialGroup]) -> None:
        self._spec = spec
        self._searched = searched_paths(spec)
        self._groups = groups
        self._signatures = [g.pack.signature for g in groups]
        self._trials = groups[0].pack.trials
        self._schedules = [s for g in groups for s in g.pack.trials.schedules]
        self._selections = [g.data.selection for g in groups]

    def _free(self, path: str) -> bool:
        """Whether neither the field nor a part of it is searched, nor what it is a part of."""
        return self._is_open(path) and not any(s.startswith(path + ".") for s in self._searched)

    def _is_open(self, path: str) -> bool:
        """Whether neither the field nor what it is a part of is searched: it may be set."""
        return not any(s == path or path.startswith(s + ".") for s in self._searched)

    def _put(self, path: str, values: Sequence[Any]) -> None:
        """Set the field, where it is unset, is not searched, and all groups agree."""
        first = values[0]
        if not self._free(path) or any(value != first for value in values):
            return
        parent, _, leaf = path.rpartition(".")
        node = self._open(parent)
        field = node.DESCRIPTOR.fields_by_name[leaf]
        if field.has_presence and node.HasField(leaf):
            return
        if not field.has_presence and getattr(node, leaf):
            return
        setattr(node, leaf, first)

    def _open(self, path: str) -> Any:
        node: Any = self._spec
        for part in path.split(".") if path else ():
            node = getattr(node, part)
        return node

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
        outputs = {s.output_activation for s in self._signatures}
        if len(outputs) == 1:
            self._choose("cost", "kind", self._trials.costs[0].kind.value)
        self._choose("initialization", "kind", "scaled_gaussian")
        self._choose("optimizer", "kind", optimizers.DEFAULT_KIND)
        kind = self._spec.initialization.WhichOneof("kind")
        if kind in initializations.SPREAD:
            self._put(f"initialization.{kind}.distribution", [spec_pb2.DISTRIBUTION_NORMAL])
        if kind == "model":
            entries = [e for g in self._groups for e in g.pack.trials.initializations]
            layers = [len(s.sizes) - 1 for s in self._signatures]
            fill_model(self._spec.initialization.model, entries, layers, self._searched)
        if self._spec.optimizer.WhichOneof("kind") == "sgd":
            self._put("optimizer.sgd.nesterov", [False])

    def _choose(self, path: str, oneof: str, default: str) -> None:
        """Set the default alternative where none is given and none is searched."""
        node = self._open(path)
        kinds = [f.name for f in node.DESCRIPTOR.oneofs_by_name[oneof].fields]
        if node.WhichOneof(oneof) is None and all(self._free(f"{path}.{k}") for k in kinds):
            getattr(node, default).SetInParent()

    def schedule(self) -> None:
        where = "optimizer.schedule"
        if not self._is_open(where):
            return
        self._choose(where, "shape", "constant")
        shape = self._spec.optimizer.schedule.WhichOneof("shape")
        if shape == "cosine":
            self._put(f"{where}.cosine.period", [s.epochs for s in self._signatures])
        if shape == "plateau":
            self._put(f"{where}.plateau.metric", [_plateau_metric(s) for s in self._schedules])

    def regularization(self) -> None:
        where = "regularization"
        if not self._is_open(where):
            return
        self._spec.regularization.SetInParent()
        images = [s.augmentation for s in self._signatures if s.augmentation is not None]
        if self._spec.regularization.HasField("augmentation") and images:
            for name in ("height", "width"):
                self._put(f"{where}.augmentation.{name}", [getattr(a, name) for a in images])

    def measurement(self) -> None:
        for rule in ("patience", "target"):
            found = [getattr(s, rule) for s in self._signatures]
            if _is_set(self._spec, f"stopping.{rule}") and None not in found:
                self._put(f"stopping.{rule}.metric", [f.metric for f in found])
        measurement = self._spec.measurement
        measurement.SetInParent()
        metrics = {s.metrics for s in self._signatures}
        if not measurement.metrics and len(metrics) == 1:
            measurement.metrics.extend(self._signatures[0].metrics)

    def numbers(self) -> None:
        """Every number that has a default of its own, within the alternatives that are given."""
        for path, field in catalogue.NUMBERS.items():
            parent = path.rpartition(".")[0]
            if field.default is not None and _is_set(self._spec, parent):
                self._put(path, [int(field.default) if field.whole else field.default])
        self._put("batch_size", [s.batch_size for s in self._signatures])
        name = f"DATA_TYPE_{self._signatures[0].data_type.upper()}"
        self._spec.data_type = enum_value(spec_pb2.DataType, name)


def _is_set(message: Message, path: str) -> bool:
    """Whether all the messages that lead to the path are set, the last one too."""
    node: Any = message
    for part in path.split(".") if path else ():
        if not node.HasField(part):
            return False
        node = getattr(node, part)
    return True


def _plateau_metric(schedule: Schedule) -> str | None:
    return schedule.shape.metric if isinstance(schedule.shape, Plateau) else None
