"""Every gradient agrees with central differences of the cost, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Cost,
    Pack,
    Signature,
    TargetKind,
    TrainingData,
    UnitGaussian,
    make_trials,
    train_segment,
)
from packtrain.training.activations import activate
from packtrain.training.choice import suits_lanes
from packtrain.training.costs import elementwise_cost

OUTPUTS = [
    *((Cost.QUADRATIC, activation) for activation in Activation),
    (Cost.CROSS_ENTROPY, Activation.SIGMOID),
    (Cost.LOG_LIKELIHOOD, Activation.SOFTMAX),
]
HIDDEN = [Activation.SIGMOID, Activation.TANH, Activation.RELU, Activation.IDENTITY]
PENALTIES = [{}, {"l2": 0.7}, {"l1": 0.3}, {"l2": 0.4, "l1": 0.2}]


def cost_of(signature, cost, weights, biases, data, penalties) -> float:
    a = data.x
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = a @ w + b
        last = layer == len(weights) - 1
        a = np.empty_like(z)
        kind = signature.output_activation if last else signature.hidden_activation
        activate(kind, z, a, -1)
    parts = np.empty_like(z)
    elementwise_cost(cost, z, a, data.y, None, parts, np.empty_like(z), -1)
    squares = sum(np.sum(w**2) for w in weights) * penalties.get("l2", 0) / 2
    magnitudes = sum(np.abs(w).sum() for w in weights) * penalties.get("l1", 0)
    return float(parts.sum() + squares + magnitudes) / len(data.x)


def differences(signature, cost, weights, biases, data, penalties) -> list[np.ndarray]:
    found = []
    for array in (*weights, *biases):
        gradient = np.empty_like(array)
        for place in np.ndindex(array.shape):
            kept, costs = array[place], []
            for sign in (1, -1):
                array[place] = kept + sign * 1e-5
                costs.append(cost_of(signature, cost, weights, biases, data, penalties))
            array[place] = kept
            gradient[place] = (costs[0] - costs[1]) / 2e-5
        found.append(gradient)
    return found


@pytest.mark.parametrize("penalties", PENALTIES, ids=str)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("cost", "output"), OUTPUTS)
@pytest.mark.parametrize("lanes", [True, False])
def test_step_follows_the_gradient(cost, output, hidden, penalties, lanes):
    signature = Signature(
        sizes=(3, 4, 2),
        hidden_activation=hidden,
        output_activation=output,
        batch_size=6 if lanes else 600,
        epochs=1,
        data_type="float64",
        metrics=("gradient_norm",),
    )
    assert suits_lanes(signature) is lanes
    rng = np.random.default_rng(2)
    y = np.eye(2)[rng.integers(0, 2, 6)]
    data = TrainingData(rng.normal(size=(6, 3)), y, None, None, TargetKind.CLASSES)
    rate = 1e-3
    trials = make_trials(
        1, learning_rate=rate, cost=cost, initialization=UnitGaussian(), **penalties
    )
    pack = Pack(signature, trials)
    start, _ = train_segment(pack, data, None, 0)
    end, metrics = train_segment(pack, data, start, 1)

    weights, biases = [w[0].copy() for w in start.weights], [b[0].copy() for b in start.biases]
    expected = differences(signature, cost, weights, biases, data, penalties)
    before, after = (*start.weights, *start.biases), (*end.weights, *end.biases)
    for gradient, old, new in zip(expected, before, after, strict=True):
        np.testing.assert_allclose((old - new)[0] / rate, gradient, rtol=1e-6, atol=1e-8)

    weights, biases = [w[0].copy() for w in end.weights], [b[0].copy() for b in end.biases]
    norms = [np.linalg.norm(g) for g in differences(signature, cost, weights, biases, data, {})]
    np.testing.assert_allclose(metrics.values[0, 0], norms[:2], rtol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_rule_of_the_first_layer_writes_in_place_whatever_the_type(dtype):
    signature = Signature(
        sizes=(64, 30, 10),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=10,
        epochs=1,
        data_type=dtype,
        metrics=("weight_norm",),
    )
    rng = np.random.default_rng(0)
    x, labels = rng.random((20, 64)), rng.integers(0, 10, 20)
    data = TrainingData(
        x.astype(dtype), np.eye(10, dtype=dtype)[labels], None, None, TargetKind.CLASSES
    )
    moved = []
    for kind in ({}, {"momentum": 0.5}, {"l1": 0.1}):
        pack = Pack(signature, make_trials(2, learning_rate=0.5, **kind))
        start, _ = train_segment(pack, data, None, 0)
        end, _ = train_segment(pack, data, start, 1)
        moved.append(np.abs(end.weights[0] - start.weights[0]).max())
    assert min(moved) > 1e-4


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 3e-7), ("float64", 5e-16)])
def test_cross_entropy_is_accurate_for_every_z(dtype, digits):
    z = np.linspace(-80, 80, 4001, dtype=dtype)[:, np.newaxis]
    out = np.empty_like(z)
    elementwise_cost(Cost.CROSS_ENTROPY, z, z, np.zeros_like(z), None, out, np.empty_like(z), -1)
    exact = np.logaddexp(0, z.astype(np.longdouble))
    np.testing.assert_allclose(out, exact.astype(np.float64), rtol=digits)
