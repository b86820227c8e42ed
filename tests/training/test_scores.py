"""Scores of classes, labels and numbers against their definitions in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.kernels import kernel_of

from packtrain.training import (
    METRICS,
    Activation,
    Cost,
    CostKind,
    Pack,
    Signature,
    TargetKind,
    TrainingData,
    find_target_kind,
    make_trials,
    train_segment,
)

ROWS = 60  # more than one pass of the kernel of tiny layers


def measured(data: TrainingData, output: Activation, cost: Cost, lanes: bool):
    """The metrics of three untrained networks, by name, (3,), and their outputs on each split,
    (3, rows, outputs)."""
    names = [
        name
        for name, metric in METRICS.items()
        if data.target_kind in metric.target_kinds
        and metric.least_outputs <= data.y.shape[1]
        and not metric.per_layer
    ]
    signature = Signature(
        sizes=(data.x.shape[1], data.y.shape[1]),
        hidden_activation=Activation.SIGMOID,
        output_activation=output,
        batch_size=4,
        epochs=1,
        data_type="float64",
        metrics=tuple(names),
    )
    trials = make_trials(3, learning_rate=1e-300, cost=cost)
    with kernel_of(lanes=lanes):
        state, metrics = train_segment(Pack(signature, trials), data, None, 1)
    z = [x @ state.weights[0] + state.biases[0][:, np.newaxis] for x in (data.x, data.x_validation)]
    if output is Activation.SIGMOID:
        z = [1 / (1 + np.exp(-part)) for part in z]
    found = dict(zip(metrics.names, metrics.values[:, 0].T, strict=True))
    return found, {"training": z[0], "validation": z[1]}


def make_data(targets, kind: TargetKind) -> TrainingData:
    rng = np.random.default_rng(1)
    x, x_validation = rng.normal(size=(ROWS, 4)), rng.normal(size=(ROWS // 3, 4))
    return TrainingData(x, targets(rng, ROWS), x_validation, targets(rng, ROWS // 3), kind)


def f1(guessed: np.ndarray, there: np.ndarray) -> float:
    """The macro mean, by precision and recall, of marks (rows, classes)."""
    each = []
    for g, t in zip(guessed.T, there.T, strict=True):
        if not (g | t).any():
            continue
        right = (g & t).sum()
        precision = right / g.sum() if g.any() else 0
        recall = right / t.sum() if t.any() else 0
        each.append(2 * precision * recall / (precision + recall) if right else 0)
    return float(np.mean(each))


def check_errors(found, split: str, a: np.ndarray, y: np.ndarray) -> None:
    squared = np.mean((a - y) ** 2, axis=(1, 2))
    close = {"rtol": 2e-7}
    np.testing.assert_allclose(found[f"{split}_mean_squared_error"], squared, **close)
    absolute = np.abs(a - y).mean(axis=(1, 2))
    np.testing.assert_allclose(found[f"{split}_mean_absolute_error"], absolute, **close)
    r2 = 1 - squared * len(y) * y.shape[1] / np.sum((y - y.mean(axis=0)) ** 2)
    np.testing.assert_allclose(found[f"{split}_r2"], r2, rtol=2e-6)


@pytest.mark.parametrize("lanes", [True, False])
@pytest.mark.parametrize("outputs", [3, 9])
def test_classes(outputs, lanes):
    # The last class never occurs.
    data = make_data(
        lambda rng, rows: np.eye(outputs)[rng.integers(0, outputs - 1, rows)], TargetKind.CLASSES
    )
    cost = Cost(CostKind.CROSS_ENTROPY, label_smoothing=0.2)
    found, shown = measured(data, Activation.SIGMOID, cost, lanes)
    for split, y in (("training", data.y), ("validation", data.y_validation)):
        a = shown[split]
        guesses, classes = a.argmax(axis=2), y.argmax(axis=1)
        right = (guesses == classes).mean(axis=1)
        np.testing.assert_allclose(found[f"{split}_accuracy"], right, rtol=1e-7)
        marks = np.eye(outputs, dtype=bool)
        expected = [f1(marks[g], y == 1) for g in guesses]
        np.testing.assert_allclose(found[f"{split}_f1"], expected, rtol=2e-7)
        check_errors(found, split, a, y)
        if outputs > 5:
            best = np.argsort(-a, axis=2)[:, :, :5]
            near = (best == classes[:, np.newaxis]).any(axis=2).mean(axis=1)
            np.testing.assert_allclose(found[f"{split}_top5_accuracy"], near, rtol=1e-7)
    assert ("training_top5_accuracy" in found) == (outputs > 5)


@pytest.mark.parametrize("lanes", [True, False])
@pytest.mark.parametrize(
    ("cost", "output", "threshold"),
    [
        (Cost.CROSS_ENTROPY, Activation.SIGMOID, 0.5),
        (Cost.QUADRATIC, Activation.IDENTITY, 0.5),
        (Cost.HINGE, Activation.IDENTITY, 0),
    ],
)
def test_one_output_and_its_threshold(cost, output, threshold, lanes):
    data = make_data(
        lambda rng, rows: rng.integers(0, 2, (rows, 1)).astype(float), TargetKind.CLASSES
    )
    found, shown = measured(data, output, cost, lanes)
    guesses = shown["training"][:, :, 0] >= threshold
    classes = data.y[:, 0] == 1
    right = (guesses == classes).mean(axis=1)
    np.testing.assert_allclose(found["training_accuracy"], right, rtol=1e-7)
    both = np.stack([~classes, classes], axis=1)
    expected = [f1(np.stack([~g, g], axis=1), both) for g in guesses]
    np.testing.assert_allclose(found["training_f1"], expected, rtol=2e-7)


@pytest.mark.parametrize("lanes", [True, False])
@pytest.mark.parametrize(
    ("cost", "output", "threshold"),
    [
        (Cost.CROSS_ENTROPY, Activation.SIGMOID, 0.5),
        (Cost.HINGE, Activation.IDENTITY, 0),
    ],
)
def test_labels(cost, output, threshold, lanes):
    data = make_data(
        lambda rng, rows: (rng.random((rows, 3)) < 0.4).astype(float), TargetKind.LABELS
    )
    found, shown = measured(data, output, cost, lanes)
    assert "training_accuracy" not in found
    for split, y in (("training", data.y), ("validation", data.y_validation)):
        guessed = shown[split] >= threshold
        right = (guessed == (y == 1)).mean(axis=(1, 2))
        np.testing.assert_allclose(found[f"{split}_label_accuracy"], right, rtol=1e-7)
        expected = [f1(g, y == 1) for g in guessed]
        np.testing.assert_allclose(found[f"{split}_f1"], expected, rtol=2e-7)
        check_errors(found, split, shown[split], y)


@pytest.mark.parametrize("lanes", [True, False])
def test_numbers(lanes):
    data = make_data(lambda rng, rows: rng.normal(5, 2, (rows, 2)), TargetKind.NUMBERS)
    found, shown = measured(data, Activation.IDENTITY, Cost.QUADRATIC, lanes)
    assert not {name for name in found if name.endswith(("accuracy", "f1"))}
    for split, y in (("training", data.y), ("validation", data.y_validation)):
        check_errors(found, split, shown[split], y)


def test_r2_of_targets_that_do_not_vary_is_no_number():
    data = make_data(lambda _, rows: np.ones((rows, 2)), TargetKind.NUMBERS)
    found, _ = measured(data, Activation.IDENTITY, Cost.QUADRATIC, lanes=True)
    assert np.isnan(found["training_r2"]).all()


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        ([np.array([0, 1, 2])], TargetKind.CLASSES),
        ([np.eye(3), np.eye(3)[:1]], TargetKind.CLASSES),
        ([np.eye(3), np.ones((2, 3))], TargetKind.LABELS),
        ([np.zeros((2, 2))], TargetKind.LABELS),
        ([np.eye(3), np.full((2, 3), 0.5)], TargetKind.NUMBERS),
        ([np.array([[0.0], [1.0]])], TargetKind.NUMBERS),
        ([np.array([[0, np.nan]])], TargetKind.NUMBERS),
    ],
)
def test_kinds_of_targets(targets, kind):
    assert find_target_kind(*targets) is kind
