"""Specifications: every wrong field named, all at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.service.specifications import LINEAR, PLAIN, RATE, choice, read, require_refusal, search

from packtrain.service.errors import InvalidSpecError
from packtrain.service.records import NewJob
from packtrain.v1 import job_pb2, spec_pb2

SOFTMAX = {"network": {"outputActivation": "ACTIVATION_SOFTMAX"}}

WRONG: list[tuple[str, dict[str, object], list[str]]] = [
    (
        "numbers that float32 can't hold",
        {
            "dataset": {
                "inline": {
                    "inputs": [{"values": [1]}, {"values": [1e39]}],
                    "targets": [{"values": [-1e300]}, {"values": [1]}],
                }
            }
        },
        ["dataset.inline.inputs[1]", "dataset.inline.targets[0]"],
    ),
    ("softmax of a real column", LINEAR | SOFTMAX, ["network.outputs"]),
    (
        "a range whose trials stop",
        PLAIN | {"search": {"learningRateRange": {}}, "stopping": {"target": {"value": 0.1}}},
        ["stopping"],
    ),
    ("no data", {"dataset": {}}, ["dataset"]),
    ("unknown data", {"dataset": {"name": "datasets/none"}}, ["dataset.name"]),
    ("a path as a name", {"dataset": {"name": "datasets/../x"}}, ["dataset.name"]),
    ("no kind", {"dataset": {"synthetic": {"rows": 5}}}, ["dataset.synthetic.kind"]),
    (
        "a wrong synthetic set",
        {"dataset": {"synthetic": {"rows": 0, "noise": -1, "features": 0}}},
        [f"dataset.synthetic.{name}" for name in ("kind", "rows", "noise", "features")],
    ),
    (
        "labels and targets",
        {
            "dataset": {
                "inline": {"inputs": [{"values": [1]}], "labels": [0], "targets": [{"values": [1]}]}
            }
        },
        ["dataset.inline"],
    ),
    (
        "numbers out of their ranges",
        {
            "epochs": 0,
            "batchSize": 0,
            "optimizer": {"sgd": {"learningRate": 0, "momentum": 1}},
            "regularization": {"l2": -1, "l1": -1, "dropout": 1},
            "measurement": {"everyEpochs": 0},
            "network": {"hidden": [5, 0, 20_000]},
        },
        [
            "epochs",
            "batch_size",
            "optimizer.sgd.learning_rate",
            "optimizer.sgd.momentum",
            "regularization.l2",
            "regularization.l1",
            "regularization.dropout",
            "measurement.every_epochs",
            "network.hidden[1]",
            "network.hidden[2]",
        ],
    ),
    (
        "what needs no data is checked without it",
        {
            "dataset": {"name": "datasets/none"},
            "epochs": 0,
            "optimizer": {"sgd": {"momentum": 2}},
            "regularization": {"dropout": -1},
        },
        ["dataset.name", "epochs", "optimizer.sgd.momentum", "regularization.dropout"],
    ),
    (
        "no finite numbers",
        {
            "optimizer": {"sgd": {"learningRate": "NaN"}},
            "initialization": {"constant": {"weight": "Infinity"}},
        },
        ["optimizer.sgd.learning_rate", "initialization.constant.weight"],
    ),
    ("a batch of too many rows", {"batchSize": 61}, ["batch_size"]),
    ("too many layers", {"network": {"hidden": [1] * 33}}, ["network.hidden"]),
    (
        "hidden softmax",
        {"network": {"hidden": [3], "hiddenActivation": "ACTIVATION_SOFTMAX"}},
        ["network.hidden_activation"],
    ),
    (
        "softmax of one output",
        {"network": {"outputActivation": "ACTIVATION_SOFTMAX", "outputs": 1}},
        ["network.outputs"],
    ),
    ("a cost without its output", {"cost": {"logLikelihood": {}}}, ["cost"]),
    ("hinge of a sigmoid", {"cost": {"hinge": {}}}, ["cost"]),
    ("Poisson of a sigmoid", {"cost": {"poisson": {}}}, ["cost"]),
    ("hinge of real targets", LINEAR | {"cost": {"hinge": {}}}, ["cost"]),
    (
        "Poisson of targets below 0",
        LINEAR | {"cost": {"poisson": {}}, "network": {"outputActivation": "ACTIVATION_SOFTPLUS"}},
        ["cost"],
    ),
    (
        "hinge smoothed",
        {
            "cost": {"hinge": {}, "labelSmoothing": 0.1},
            "network": {"outputActivation": "ACTIVATION_IDENTITY"},
        },
        ["cost.label_smoothing"],
    ),
    (
        "smoothing and weights without classes",
        LINEAR | {"cost": {"quadratic": {}, "labelSmoothing": 0.1, "classWeights": [1, 2]}},
        ["cost.label_smoothing", "cost.class_weights"],
    ),
    (
        "smoothing of labels as numbers",
        {
            "dataset": {"name": "datasets/digits", "targetEncoding": "TARGET_ENCODING_AS_IS"},
            "cost": {"quadratic": {}, "labelSmoothing": 0.1},
        },
        ["cost.label_smoothing"],
    ),
    (
        "weights of too few classes",
        {"cost": {"crossEntropy": {}, "classWeights": [1, 2, 3]}},
        ["cost.class_weights"],
    ),
    (
        "numbers of a cost out of their ranges",
        {"cost": {"huber": {"delta": 0}, "labelSmoothing": 1, "classWeights": [-1, "NaN"]}},
        [
            "cost.huber.delta",
            "cost.label_smoothing",
            "cost.class_weights[0]",
            "cost.class_weights[1]",
        ],
    ),
    (
        "weights of nothing",
        {"cost": {"quadratic": {}, "classWeights": [0, 0]}},
        ["cost.class_weights"],
    ),
    (
        "cross-entropy of real targets",
        LINEAR
        | {"cost": {"crossEntropy": {}}, "network": {"outputActivation": "ACTIVATION_SIGMOID"}},
        ["cost"],
    ),
    ("outputs without targets", LINEAR | {"network": {"outputs": 3}}, ["network.outputs"]),
    (
        "metrics that can't be had",
        LINEAR
        | {
            "measurement": {
                "metrics": ["speed", "training_accuracy", "validation_cost", "training_cost"] * 2
            }
        },
        [f"measurement.metrics[{i}]" for i in (0, 1, 2, 4, 5, 6, 7)],
    ),
    (
        "arrays of other shapes",
        {
            "network": {"hidden": [2]},
            "initialization": {
                "arrays": {
                    "layers": [
                        {"weights": [1, 2, 3], "biases": [1, 2]},
                        {"weights": [1, 2], "biases": [1, 2]},
                    ]
                }
            },
        },
        [f"initialization.arrays.layers[{p}" for p in ("0].weights", "1].biases")],
    ),
    (
        "arrays of other layers",
        {"initialization": {"arrays": {}}},
        ["initialization.arrays.layers"],
    ),
    (
        "rows that are not there",
        {"dataset": PLAIN["dataset"] | {"training": {"split": "test"}}},
        ["dataset.training.split"],
    ),
]


@pytest.mark.parametrize(("document", "fields"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_every_wrong_field_is_named(
    plan: Callable[..., object], document: dict[str, object], fields: list[str]
) -> None:
    require_refusal(plan, PLAIN | document, fields)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("data_type", {"data_type": 99}),
        ("network.hidden_activation", {"network": {"hidden": [2], "hidden_activation": 99}}),
        ("network.output_activation", {"network": {"output_activation": -5}}),
        ("dataset.scaling", {"dataset": {"scaling": 77}}),
        ("dataset.target_encoding", {"dataset": {"target_encoding": 77}}),
        ("dataset.synthetic.kind", {"dataset": {"synthetic": {"kind": 77}}}),
        ("initialization.he.distribution", {"initialization": {"he": {"distribution": 77}}}),
        (
            "initialization.xavier.distribution",
            {"initialization": {"xavier": {"distribution": 77}}},
        ),
        ("initialization.lecun.distribution", {"initialization": {"lecun": {"distribution": 77}}}),
    ],
)
def test_unknown_alternatives_are_named(
    plan: Callable[..., object], field: str, change: dict[str, object]
) -> None:
    spec = read(PLAIN)
    spec.MergeFrom(spec_pb2.JobSpec(**change))
    with pytest.raises(InvalidSpecError) as caught:
        plan(spec)
    assert [v.field for v in caught.value.violations] == [f"spec.{field}"]


def test_too_much_memory_is_told(plan: Callable[..., object]) -> None:
    with pytest.raises(InvalidSpecError, match=r"would need [\d.,]+ GiB") as caught:
        plan(read(PLAIN | {"network": {"hidden": [5000, 5000]}}), max_job_memory_bytes=1 << 20)
    assert caught.value.reason == "MEMORY_LIMIT_EXCEEDED"
    assert int(caught.value.metadata["memory_bytes"]) > 4 * 25_000_000
    assert caught.value.metadata["limit_bytes"] == str(1 << 20)


def test_plans_tell_what_a_job_costs(plan: Callable[..., NewJob], tmp_path: Path) -> None:
    job = plan(read(PLAIN | search(choice(RATE, *range(1, 8)))))
    cost = job_pb2.JobPlan.FromString(job.plan)
    assert (job.trials, cost.trials, job.trial_epochs_total) == (7, 7, 7 * 30)
    assert cost.packs == len(job.packs)
    assert sorted(np.concatenate([p.trials for p in job.packs]).tolist()) == list(range(7))
    # 2 weights, forward twice (once to measure) and backward once, 60 rows.
    assert cost.operations == pytest.approx(7 * 30 * 60 * 2 * 2 * 3, rel=0.5)
    twice = job_pb2.JobPlan.FromString(plan(read(PLAIN | {"epochs": 60})).plan)
    once = job_pb2.JobPlan.FromString(plan(read(PLAIN | {"epochs": 30})).plan)
    assert once.worker_seconds < twice.worker_seconds < 2 * once.worker_seconds


def test_the_number_of_a_class_is_a_number(plan: Callable[..., NewJob]) -> None:
    digits = {"dataset": {"name": "datasets/digits", "targetEncoding": "TARGET_ENCODING_AS_IS"}}
    job = plan(read(digits | {"network": {"outputActivation": "ACTIVATION_IDENTITY"}}))
    assert list(job.metrics) == ["training_cost"]
    measurement = {"measurement": {"metrics": ["training_accuracy"]}}
    with pytest.raises(InvalidSpecError) as error:
        plan(read(digits | measurement))
    assert "spec.measurement.metrics[0]" in [v.field for v in error.value.violations]


@pytest.mark.parametrize(
    ("document", "meant"),
    [
        ({"dataset": {"name": "digits"}}, "'datasets/digits'"),
        (PLAIN | {"initialization": {"model": {"job": "first"}}}, "'jobs/first'"),
        ({"dataset": {"name": "data/digits"}}, None),
    ],
)
def test_a_name_without_its_collection_gets_a_hint(
    plan: Callable[..., NewJob], document: dict[str, object], meant: str | None
) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(document))
    (violation,) = caught.value.violations
    assert ("did you mean" in violation.description) == (meant is not None)
    assert meant is None or violation.description.endswith(f": did you mean {meant}?")
