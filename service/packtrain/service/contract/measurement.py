"""What a specification measures, and what it goes by when it stops or slows down."""

from __future__ import annotations

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.numbers import NumberFields, whole
from packtrain.service.hints import did_you_mean
from packtrain.training import METRICS, TargetKind
from packtrain.v1 import spec_pb2

NUMBERS: NumberFields = {"measurement.every_epochs": whole(1, 1_000_000, default=1)}


class Measured:
    """The metrics of a group of trials, not yet told apart by layers.

    Where the specification names none, what a schedule or a stopping rule goes by is measured
    too; where it names some, it must have named those. ``kind`` and ``outputs`` None: they are
    not known, and not checked.
    """

    def __init__(
        self,
        measurement: spec_pb2.Measurement,
        *,
        kind: TargetKind | None,
        outputs: int | None,
        validation: bool,
        violations: Violations,
    ) -> None:
        self._kind = kind
        self._outputs = outputs
        self._validation = validation
        self._given = bool(measurement.metrics)
        self._names = dict.fromkeys(measurement.metrics or self._default_names())
        for i, name in enumerate(measurement.metrics):
            wrong = self._wrong(name)
            if wrong is None and name in measurement.metrics[:i]:
                wrong = f"{name} is named twice"
            if wrong is not None:
                violations.add(f"measurement.metrics[{i}]", wrong)

    @property
    def _classes(self) -> bool:
        return self._kind is TargetKind.CLASSES

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in order."""
        return tuple(self._names)

    def follow(self, name: str, field: str, violations: Violations) -> str:
        """The metric that ``field`` goes by: it is measured then. "" takes the default."""
        name = name or self._best()
        wrong = self._wrong(name)
        if wrong is None and METRICS[name].per_layer:
            wrong = f"{name} has a value for each layer: name a metric that has one alone"
        if wrong is None and self._given and name not in self._names:
            wrong = f"{name} is not measured: add it to measurement.metrics, or name one of them"
        if wrong is not None:
            violations.add(field, wrong)
        else:
            self._names[name] = None
        return name

    def _best(self) -> str:
        if not self._validation:
            return "training_cost"
        return "validation_accuracy" if self._classes else "validation_cost"

    def _default_names(self) -> list[str]:
        names = ["training_cost"]
        names += ["training_accuracy"] if self._classes else []
        names += ["validation_cost"] if self._validation else []
        names += ["validation_accuracy"] if self._validation and self._classes else []
        return names

    def _wrong(self, name: str) -> str | None:
        metric = METRICS.get(name)
        if metric is None:
            hint = did_you_mean(name, list(METRICS)) or f": expected one of {', '.join(METRICS)}"
            return f"{name!r} is no metric{hint}"
        if metric.needs_validation and not self._validation:
            return f"{name} needs validation rows (dataset.validation_share)"
        if self._kind is not None and self._kind not in metric.target_kinds:
            kinds = " or ".join(sorted(metric.target_kinds))
            return f"{name} needs targets that stand for {kinds}, not {self._kind}"
        if self._outputs is not None and self._outputs < metric.least_outputs:
            return f"{name} needs {metric.least_outputs} outputs or more, not {self._outputs}"
        return None


def read_every(measurement: spec_pb2.Measurement, violations: Violations) -> int:
    """After how many epochs each measurement is made."""
    path = "measurement.every_epochs"
    return int(NUMBERS[path].read(measurement, path, violations))
