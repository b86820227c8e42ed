"""Every family of the specification, trained through the service."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from packtrain.v1 import job_pb2, spec_pb2

MOONS = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 80}}, "seed": 5}
DIGITS = {"dataset": {"name": "datasets/digits", "training": {"count": 300}}, "seed": 5}
OPTIMIZERS: list[dict[str, Any]] = [
    {"sgd": {"momentum": 0.9}, "schedule": {"oneCycle": {}}},
    {"sgd": {"momentum": 0.9, "nesterov": True}, "schedule": {"exponential": {}}},
    {"adagrad": {"learningRate": 0.1}, "schedule": {"constant": {}, "warmupEpochs": 1}},
    {"rmsprop": {"learningRate": 0.02}, "schedule": {"polynomial": {"power": 2}}},
    {"adam": {"learningRate": 0.02}, "schedule": {"cosine": {"period": 2, "growth": 2}}},
    {"adamw": {"learningRate": 0.02}, "schedule": {"step": {"every": 3}}},
    {"nadam": {"learningRate": 0.02}, "schedule": {"plateau": {"patience": 3}}},
    {"lion": {"learningRate": 0.005}},
]


def read(document: dict[str, Any]) -> spec_pb2.JobSpec:
    return json_format.ParseDict(document, spec_pb2.JobSpec())


def choices(path: str, values: list[Any]) -> dict[str, Any]:
    return {"search": {"parameters": [{"path": path, "choice": {"values": values}}], "grid": {}}}


def series(blocks: list[job_pb2.MetricBlock], trial: int, metric: str) -> np.ndarray[Any, Any]:
    """A trial's values of a metric, epoch by epoch."""
    parts = []
    for block in blocks:
        if trial in block.trials:
            shape = (len(block.trials), block.epoch_count, len(block.metrics))
            values = np.frombuffer(block.values, "<f4").reshape(shape)
            place = list(block.trials).index(trial), list(block.metrics).index(metric)
            parts.append(values[place[0], :, place[1]])
    return np.concatenate(parts)


async def test_optimizers_and_schedules_train_side_by_side_as_they_do_alone(api: Any) -> None:
    base = MOONS | {"epochs": 8, "network": {"hidden": [4], "hiddenActivation": "ACTIVATION_TANH"}}
    swept = choices("optimizer", OPTIMIZERS)
    swept["search"]["parameters"].append({"path": "seed", "choice": {"values": [5]}})
    job = await api.train(read({k: v for k, v in base.items() if k != "seed"} | swept))
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert job.progress.succeeded == len(OPTIMIZERS)
    together = await api.metrics(job.name)
    for trial, optimizer in enumerate(OPTIMIZERS):
        costs = series(together, trial, "training_cost")
        assert costs[-1] < costs[0], optimizer
        if trial in (1, 4, 6):
            alone = await api.train(read(base | {"optimizer": optimizer}))
            own = series(await api.metrics(alone.name), 0, "training_cost")
            np.testing.assert_array_equal(own, costs)


@pytest.mark.parametrize(
    ("output", "costs"),
    [
        ("SIGMOID", [{"crossEntropy": {}, "labelSmoothing": 0.1}, {"huber": {"delta": 0.5}}]),
        ("SOFTMAX", [{"logLikelihood": {}, "classWeights": [1, 3]}, {"absolute": {}}]),
        ("IDENTITY", [{"hinge": {}}, {"quadratic": {}, "labelSmoothing": 0.2}]),
        ("SOFTPLUS", [{"poisson": {}}, {"huber": {}, "classWeights": [2, 0]}]),
        ("EXPONENTIAL", [{"poisson": {}, "labelSmoothing": 0.1}]),
    ],
)
async def test_costs_fall(api: Any, output: str, costs: list[Any]) -> None:
    document = MOONS | {
        "epochs": 6,
        "network": {"hidden": [4], "outputActivation": f"ACTIVATION_{output}"},
        "optimizer": {"adam": {"learningRate": 0.01}},
    }
    job = await api.train(read(document | choices("cost", costs)))
    assert job.progress.succeeded == len(costs)
    blocks = await api.metrics(job.name)
    for trial in range(len(costs)):
        values = series(blocks, trial, "training_cost")
        assert values[-1] < values[0], costs[trial]


async def test_a_rule_ends_a_trial_that_has_then_succeeded(api: Any) -> None:
    document = MOONS | {
        "epochs": 50,
        "optimizer": {"sgd": {"learningRate": 1e-9}},
        "stopping": {"patience": {"metric": "training_cost", "epochs": 3, "minDelta": 0.01}},
    }
    job = await api.train(read(document))
    (trial,) = await api.trials(job.name)
    assert (job.state, trial.state) == (
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.TRIAL_STATE_SUCCEEDED,
    )
    assert trial.epochs == 4
    job = await api.train(read(MOONS | {"epochs": 50, "stopping": {"target": {"value": 100}}}))
    (trial,) = await api.trials(job.name)
    assert job.spec.stopping.target.metric == "training_cost"
    assert trial.epochs == 1


async def test_every_regularization_trains_within_its_bounds(api: Any) -> None:
    document = DIGITS | {
        "epochs": 3,
        "network": {"hidden": [12]},
        "measurement": {"metrics": ["weight_norm", "training_cost", "training_top5_accuracy"]},
        "regularization": {
            "maxNorm": 0.5,
            "clipNorm": 0.5,
            "inputNoise": 0.1,
            "dropout": 0.1,
            "augmentation": {"shift": 1, "rotation": 15},
        },
    }
    job = await api.train(read(document))
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    norms = series(await api.metrics(job.name), 0, "weight_norm/1")
    assert (norms <= 0.5 * np.sqrt(12) * 1.0001).all()


@pytest.mark.parametrize("kind", [{"lecun": {}}, {"orthogonal": {"gain": 2}}])
async def test_initializations_train(api: Any, kind: dict[str, Any]) -> None:
    job = await api.train(read(MOONS | {"epochs": 1, "initialization": kind}))
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED


async def test_labels_and_numbers_are_learnt(api: Any) -> None:
    rows = [{"values": [i % 2, i // 2 % 2]} for i in range(16)]
    labels = [{"values": [i % 2, i // 2 % 2, (i % 2) | (i // 2 % 2)]} for i in range(16)]
    document = {
        "dataset": {"inline": {"inputs": rows, "targets": labels}},
        "network": {"hidden": [6], "outputActivation": "ACTIVATION_SIGMOID"},
        "optimizer": {"adam": {"learningRate": 0.1}},
        "epochs": 60,
        "seed": 2,
        "measurement": {"metrics": ["training_label_accuracy", "training_f1"]},
    }
    job = await api.train(read(document))
    assert job.spec.cost.WhichOneof("kind") == "cross_entropy"
    (trial,) = await api.trials(job.name)
    assert trial.final_metrics["training_label_accuracy"] == 1
    assert trial.final_metrics["training_f1"] == 1
    linear = {
        "dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_LINEAR"}, "validationShare": 0.25},
        "cost": {"huber": {}},
        "optimizer": {"sgd": {"learningRate": 0.05}},
        "seed": 2,
        "measurement": {"metrics": ["validation_r2", "validation_mean_absolute_error"]},
    }
    (trial,) = await api.trials((await api.train(read(linear))).name)
    assert trial.final_metrics["validation_r2"] > 0.9
