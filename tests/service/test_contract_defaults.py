"""Specifications come back with their defaults."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from tests.service.specifications import LINEAR, PLAIN, choice, read, search

from packtrain.service.contract.expansion import expand
from packtrain.service.datasets import Catalog
from packtrain.v1 import spec_pb2


def test_defaults_are_told(catalog: Catalog) -> None:
    spec = expand(read({"dataset": {"name": "datasets/digits"}}), catalog, 10).spec
    assert (spec.epochs, spec.batch_size, spec.data_type) == (30, 10, spec_pb2.DATA_TYPE_FLOAT32)
    assert spec.HasField("seed")
    assert spec.seed < 2**53
    assert spec.network.hidden_activation == spec_pb2.ACTIVATION_SIGMOID
    assert spec.network.output_activation == spec_pb2.ACTIVATION_SIGMOID
    assert spec.network.outputs == 10
    assert spec.initialization.WhichOneof("kind") == "scaled_gaussian"
    assert spec.dataset.scaling == spec_pb2.SCALING_NONE
    told = json_format.MessageToDict(spec, preserving_proto_field_name=True)
    assert told["cost"] == {"cross_entropy": {}, "label_smoothing": 0}
    assert told["optimizer"] == {
        "sgd": {"learning_rate": 0.5, "momentum": 0, "nesterov": False},
        "schedule": {"constant": {}, "warmup_epochs": 0},
    }
    assert told["regularization"] == {"l2": 0, "l1": 0, "dropout": 0, "input_noise": 0}
    assert told["measurement"] == {
        "metrics": ["training_cost", "training_accuracy"],
        "every_epochs": 1,
    }
    assert "stopping" not in told


VALIDATED = {"dataset": PLAIN["dataset"] | {"validationShare": 0.25}, "epochs": 12}
DIGITS = {"dataset": {"name": "datasets/digits"}}


@pytest.mark.parametrize(
    ("document", "path", "told"),
    [
        ({"cost": {"huber": {}}}, "cost", {"huber": {"delta": 1}, "label_smoothing": 0}),
        (
            {"initialization": {"lecun": {}}},
            "initialization",
            {"lecun": {"distribution": "DISTRIBUTION_NORMAL"}},
        ),
        ({"initialization": {"orthogonal": {}}}, "initialization", {"orthogonal": {"gain": 1}}),
        (
            {"optimizer": {"adagrad": {}}},
            "optimizer.adagrad",
            {"learning_rate": 0.01, "epsilon": 1e-8},
        ),
        (
            {"optimizer": {"rmsprop": {}}},
            "optimizer.rmsprop",
            {"learning_rate": 0.001, "beta2": 0.99, "epsilon": 1e-8},
        ),
        *(
            (
                {"optimizer": {kind: {}}},
                f"optimizer.{kind}",
                {"learning_rate": rate, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
            )
            for kind, rate in (("adam", 0.001), ("adamw", 0.001), ("nadam", 0.002))
        ),
        (
            {"optimizer": {"lion": {}}},
            "optimizer.lion",
            {"learning_rate": 0.0001, "beta1": 0.9, "beta2": 0.99},
        ),
        *(
            (
                {"optimizer": {"schedule": {shape: {}}}},
                "optimizer.schedule",
                {shape: numbers, "warmup_epochs": 0},
            )
            for shape, numbers in (
                ("step", {"every": 10, "factor": 0.5}),
                ("exponential", {"factor": 0.95}),
                ("polynomial", {"power": 1, "final": 0}),
                ("cosine", {"period": 12, "growth": 1, "final": 0}),
                ("one_cycle", {"peak_at": 0.3, "start": 0.04, "final": 0.0001}),
                (
                    "plateau",
                    {
                        "metric": "validation_accuracy",
                        "patience": 10,
                        "factor": 0.5,
                        "least": 1 / 128,
                    },
                ),
            )
        ),
        (
            {"stopping": {"patience": {}, "target": {"value": 0.9}}},
            "stopping",
            {
                "patience": {"metric": "validation_accuracy", "epochs": 10, "min_delta": 0},
                "target": {"metric": "validation_accuracy", "value": 0.9},
            },
        ),
        (
            LINEAR | {"stopping": {"patience": {}}},
            "stopping.patience",
            {"metric": "training_cost", "epochs": 10, "min_delta": 0},
        ),
        (
            DIGITS | {"regularization": {"augmentation": {}}},
            "regularization.augmentation",
            {"height": 8, "width": 8, "shift": 0, "rotation": 0},
        ),
        (
            DIGITS | {"regularization": {"augmentation": {"width": 32, "shift": 2}}},
            "regularization.augmentation",
            {"height": 2, "width": 32, "shift": 2, "rotation": 0},
        ),
    ],
)
def test_each_alternative_has_defaults_of_its_own(
    catalog: Catalog, document: dict[str, object], path: str, told: dict[str, object]
) -> None:
    resolved = expand(read(VALIDATED | document), catalog, 10).spec
    found = json_format.MessageToDict(resolved, preserving_proto_field_name=True)
    for part in path.split("."):
        found = found[part]
    assert found == told
    assert expand(resolved, catalog, 10).spec == resolved


@pytest.mark.parametrize("document", [PLAIN, LINEAR, PLAIN | search(choice("network.hidden", [3]))])
def test_a_resolved_specification_stays_as_it_is(
    catalog: Catalog, document: dict[str, object]
) -> None:
    resolved = expand(read(document), catalog, 10).spec
    assert expand(resolved, catalog, 10).spec == resolved
