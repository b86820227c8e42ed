"""What the trials of a group share: the layers, the data, what is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from packtrain.service.contract import (
    costs,
    initializations,
    measurement,
    networks,
    objectives,
    optimizers,
    regularization,
    schedules,
    stopping,
)
from packtrain.service.contract.fields import Violations
from packtrain.service.contract.measurement import Measured
from packtrain.service.contract.numbers import NumberFields, whole
from packtrain.service.contract.selections import Chosen, Sources, read_scaling, select
from packtrain.service.contract.targets import Targets
from packtrain.service.datasets import StoredDataset
from packtrain.service.objectives import Objective
from packtrain.training import DataType, Signature, TargetKind
from packtrain.v1 import spec_pb2

DEFAULT_BATCH_SIZE = 10
MAX_EPOCHS = 1_000_000

NUMBERS: NumberFields = {"epochs": whole(1, MAX_EPOCHS, default=30), "batch_size": whole(1)}


@dataclass(frozen=True, eq=False)
class Structure:
    """What a group of trials shares. ``measured`` may grow while its trials are read."""

    dataset: StoredDataset
    chosen: Chosen
    targets: Targets
    measured: Measured
    plan: Signature
    objectives: tuple[Objective, ...]

    @property
    def signature(self) -> Signature:
        """With all that has turned out to be measured."""
        return replace(self.plan, metrics=self.measured.names)


def read_structure(
    spec: spec_pb2.JobSpec, sources: Sources, violations: Violations
) -> Structure | None:
    """What the specification's trials share; None where there is no data for them."""
    data_type = networks.read_data_type(spec, violations)
    hidden = networks.read_hidden(spec.network, violations)
    hidden_activation = networks.read_hidden_activation(spec.network, violations)
    epochs = int(NUMBERS["epochs"].read(spec, "epochs", violations))
    every = measurement.read_every(spec.measurement, violations)
    dataset = sources.find(spec.dataset, violations)
    if dataset is None:
        check_without_data(spec, epochs, data_type, violations)
        return None
    output = networks.read_output_activation(spec.network, bool(dataset.classes), violations)
    outputs, one_hot = networks.read_outputs(spec, dataset, output, violations)
    chosen = select(spec, dataset, one_hot, data_type, violations)
    if chosen is None:
        check_without_data(spec, epochs, data_type, violations)
        return None
    sources.check_numbers(dataset, chosen.data, spec.dataset, violations)
    stored = sources.targets(dataset, chosen.splits, violations)
    if stored is None:
        return None
    is_one_hot = not dataset.classes and stored.kind is TargetKind.CLASSES
    targets = Targets(
        stored=stored,
        classes=outputs if is_one_hot else dataset.classes,
        outputs=outputs,
        one_hot=one_hot,
    )
    measured = Measured(
        spec.measurement,
        kind=targets.kind,
        outputs=outputs,
        validation=chosen.validation_rows > 0,
        violations=violations,
    )
    plan = Signature(
        sizes=(dataset.features, *hidden, outputs),
        hidden_activation=hidden_activation,
        output_activation=output,
        batch_size=_read_batch_size(spec, chosen.rows, violations),
        epochs=epochs,
        data_type=data_type,
        metrics=measured.names,
        measure_every=every,
        augmentation=regularization.read_augmentation(
            spec.regularization, dataset.features, data_type, violations
        ),
        patience=stopping.read_patience(spec.stopping, measured, violations),
        target=stopping.read_target(spec.stopping, measured, violations),
    )
    found = objectives.read_objectives(spec.search, measured, violations)
    return Structure(dataset, chosen, targets, measured, plan, found)


def _read_batch_size(spec: spec_pb2.JobSpec, rows: int, violations: Violations) -> int:
    path = "batch_size"
    field = replace(NUMBERS[path], at_most=rows)
    return int(field.read(spec, path, violations, min(DEFAULT_BATCH_SIZE, rows)))


def check_without_data(
    spec: spec_pb2.JobSpec, epochs: int, data_type: DataType, violations: Violations
) -> None:
    """Check what needs no data, so that a wrong dataset hides no other wrong field."""
    network = spec.network
    given = network.output_activation != spec_pb2.ACTIVATION_UNSPECIFIED
    output = networks.read_output_activation(network, True, violations)
    networks.read_width(network, 1, violations)
    NUMBERS["batch_size"].read(spec, "batch_size", violations, 1)
    costs.read_cost(spec.cost, output if given else None, None, data_type, violations)
    if spec.initialization.WhichOneof("kind") != "arrays":
        initializations.read_initialization(spec.initialization, (1, 1), data_type, violations)
    optimizers.read_optimizer(spec.optimizer, data_type, violations)
    regularization.read_regularization(spec.regularization, data_type, violations)
    regularization.read_augmentation(spec.regularization, None, data_type, violations)
    read_scaling(spec.dataset, violations)
    measured = Measured(
        spec.measurement, kind=None, outputs=None, validation=True, violations=violations
    )
    schedules.read_schedule(spec.optimizer.schedule, epochs, measured, violations)
    stopping.read_patience(spec.stopping, measured, violations)
    stopping.read_target(spec.stopping, measured, violations)
    objectives.read_objectives(spec.search, measured, violations)
