"""Every gradient agrees with central differences of the cost, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf, expit
from tests.training.kernels import kernel_of

from packtrain.training import (
    ALLOWED_OUTPUTS,
    Activation,
    Cost,
    CostKind,
    Pack,
    Signature,
    TargetKind,
    TrainingData,
    make_trials,
    train_segment,
)
from packtrain.training.activations import OUTPUT_ONLY
from packtrain.training.costs import elementwise_cost

# Each activation and each row's cost by its definition, with nothing done for extreme numbers.
APPLY = {
    Activation.SIGMOID: expit,
    Activation.TANH: np.tanh,
    Activation.RELU: lambda z: np.where(z > 0, z, 0),
    Activation.LEAKY_RELU: lambda z: np.where(z > 0, z, z / 100),
    Activation.ELU: lambda z: np.where(z > 0, z, np.exp(z) - 1),
    Activation.GELU: lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    Activation.SILU: lambda z: z * expit(z),
    Activation.SOFTPLUS: lambda z: np.log(1 + np.exp(z)),
    Activation.IDENTITY: lambda z: z,
    Activation.EXPONENTIAL: np.exp,
    Activation.SOFTMAX: lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
}
DELTA = 0.4
ROW_COSTS = {
    CostKind.QUADRATIC: lambda a, y: (a - y) ** 2 / 2,
    CostKind.CROSS_ENTROPY: lambda a, y: -y * np.log(a) - (1 - y) * np.log(1 - a),
    CostKind.LOG_LIKELIHOOD: lambda a, y: -y * np.log(a),
    CostKind.HINGE: lambda a, y: np.maximum(0, 1 - (2 * y - 1) * a),
    CostKind.HUBER: lambda a, y: np.where(
        np.abs(a - y) <= DELTA, (a - y) ** 2 / 2, DELTA * (np.abs(a - y) - DELTA / 2)
    ),
    CostKind.ABSOLUTE: lambda a, y: np.abs(a - y),
    CostKind.POISSON: lambda a, y: a - y * np.log(a),
}
HIDDEN = sorted(set(Activation) - OUTPUT_ONLY)
OUTPUTS = [
    (kind, output)
    for kind, allowed in sorted(ALLOWED_OUTPUTS.items())
    for output in sorted(allowed)
]
PENALTIES = {"l2": np.array([0, 0.7, 0, 0.4]), "l1": np.array([0, 0, 0.3, 0.2])}


def costs_of(signature, cost, weights, biases, data, l2, l1) -> np.ndarray:
    """Bare costs and costs, (N, 2), of N networks, (N, n_in, n_out) a layer."""
    a = data.x
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        last = layer == len(weights) - 1
        kind = signature.output_activation if last else signature.hidden_activation
        a = APPLY[kind](a @ w + b[:, np.newaxis])
    counts = np.array(cost.class_weights or [1, 1])[data.y.argmax(axis=1)]
    y = data.y * (1 - cost.label_smoothing) + cost.label_smoothing / 2
    bare = np.sum(counts[:, np.newaxis] * ROW_COSTS[cost.kind](a, y), axis=(1, 2))
    squares = sum(np.sum(w**2, axis=(1, 2)) for w in weights)
    magnitudes = sum(np.abs(w).sum(axis=(1, 2)) for w in weights)
    with_terms = bare + l2 / 2 * squares + l1 * magnitudes
    return np.stack([bare, with_terms], axis=1) / len(data.x)


def differences(signature, cost, weights, biases, data, l2, l1) -> list[np.ndarray]:
    """The gradients (2, ...) of the bare cost and the cost, by each weight and bias."""
    arrays = [*weights, *biases]
    sizes = [array.size for array in arrays]
    flat = np.concatenate([array.ravel() for array in arrays])
    shifts = 1e-5 * np.eye(len(flat))
    moved = np.concatenate([flat + shifts, flat - shifts])
    parts = np.split(moved, np.cumsum(sizes)[:-1], axis=1)
    parts = [p.reshape(-1, *array.shape) for p, array in zip(parts, arrays, strict=True)]
    depth = len(weights)
    found = costs_of(signature, cost, parts[:depth], parts[depth:], data, l2, l1)
    gradient = (found[: len(flat)] - found[len(flat) :]).T / 2e-5
    split = np.split(gradient, np.cumsum(sizes)[:-1], axis=1)
    return [g.reshape(2, *array.shape) for g, array in zip(split, arrays, strict=True)]


def check_step(cost: Cost, output: Activation, hidden: Activation, lanes: bool) -> None:
    """One step of four trials with each kind of penalty follows their gradients, and the metrics
    are those of the networks that it leads to."""
    signature = Signature(
        sizes=(3, 4, 2),
        hidden_activation=hidden,
        output_activation=output,
        batch_size=5,
        epochs=1,
        data_type="float64",
        metrics=("gradient_norm", "training_bare_cost", "training_cost"),
    )
    rng = np.random.default_rng(2)
    y = np.eye(2)[rng.integers(0, 2, 5)]
    data = TrainingData(rng.normal(size=(5, 3)), y, None, None, TargetKind.CLASSES)
    rate = 1e-5
    trials = make_trials(4, learning_rate=rate, cost=cost, **PENALTIES)
    pack = Pack(signature, trials)
    with kernel_of(lanes=lanes):
        start, _ = train_segment(pack, data, None, 0)
        end, metrics = train_segment(pack, data, start, 1)

    before, after = (*start.weights, *start.biases), (*end.weights, *end.biases)
    for k in range(4):
        terms = trials.l2[k], trials.l1[k]
        network = [w[k] for w in start.weights], [b[k] for b in start.biases]
        expected = differences(signature, cost, *network, data, *terms)
        for gradient, old, new in zip(expected, before, after, strict=True):
            close = 1e-7 * max(1, np.abs(gradient[1]).max())
            np.testing.assert_allclose((old[k] - new[k]) / rate, gradient[1], rtol=1e-6, atol=close)
        network = [w[k] for w in end.weights], [b[k] for b in end.biases]
        gradients = differences(signature, cost, *network, data, *terms)
        norms = [np.linalg.norm(g[0]) for g in gradients[:2]]
        layers = [array[np.newaxis] for array in network[0]], [b[np.newaxis] for b in network[1]]
        costs = costs_of(signature, cost, *layers, data, *terms)[0]
        np.testing.assert_allclose(metrics.values[k, 0], [*norms, *costs], rtol=2e-6)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("kind", "output"), OUTPUTS)
@pytest.mark.parametrize("lanes", [True, False])
def test_step_follows_the_gradient(kind, output, hidden, lanes):
    check_step(Cost(kind, huber_delta=DELTA), output, hidden, lanes)


@pytest.mark.parametrize(("kind", "output"), OUTPUTS)
@pytest.mark.parametrize("lanes", [True, False])
def test_smoothed_targets_and_weighed_classes_have_gradients_too(kind, output, lanes):
    smoothing = 0.0 if kind is CostKind.HINGE else 0.3
    cost = Cost(kind, huber_delta=DELTA, label_smoothing=smoothing, class_weights=(0.5, 3.0))
    check_step(cost, output, Activation.GELU, lanes)


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
