"""An independent oracle: one network, one row at a time, as in Nielsen's program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from packtrain.training import (
    Activation,
    Cost,
    Pack,
    ScaledGaussian,
    Signature,
    TargetKind,
    TrainingData,
    UnitGaussian,
    initial_state,
    make_trials,
    train,
)
from packtrain.training.randomness import order_rows

FUNCTIONS = {
    Activation.SIGMOID: (
        lambda z: 1 / (1 + np.exp(-z)),
        lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    ),
    Activation.TANH: (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    Activation.RELU: (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    Activation.LEAKY_RELU: (
        lambda z: np.where(z > 0, z, z / 100),
        lambda z: np.where(z > 0, 1.0, 0.01),
    ),
    Activation.ELU: (
        lambda z: np.where(z > 0, z, np.expm1(z)),
        lambda z: np.where(z > 0, 1.0, np.exp(z)),
    ),
    Activation.GELU: (lambda z: z * norm.cdf(z), lambda z: norm.cdf(z) + z * norm.pdf(z)),
    Activation.SILU: (
        lambda z: z * expit(z),
        lambda z: expit(z) * (1 + z * expit(-z)),
    ),
    Activation.SOFTPLUS: (lambda z: np.logaddexp(0, z), expit),
    Activation.EXPONENTIAL: (np.exp, np.exp),
    Activation.IDENTITY: (lambda z: z, lambda z: np.ones_like(z)),
}


class Network:
    """A plain network: column-free vectors, one row after the other."""

    def __init__(self, signature, cost, weights, biases):
        self.signature, self.cost = signature, cost
        self.weights = [w.copy() for w in weights]
        self.biases = [b.copy() for b in biases]
        self.velocities = [np.zeros_like(p) for p in (*weights, *biases)]

    def feed(self, x):
        zs, activations = [], [x]
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            zs.append(activations[-1] @ w + b)
            last = layer == len(self.weights) - 1
            kind = self.signature.output_activation if last else self.signature.hidden_activation
            if kind is Activation.SOFTMAX:
                powers = np.exp(zs[-1] - zs[-1].max())
                activations.append(powers / powers.sum())
            else:
                activations.append(FUNCTIONS[kind][0](zs[-1]))
        return zs, activations

    def row_cost(self, x, y):
        a = self.feed(x)[1][-1]
        if self.cost is Cost.QUADRATIC:
            return 0.5 * np.sum((y - a) ** 2)
        if self.cost is Cost.CROSS_ENTROPY:
            return -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a))
        return -np.sum(y * np.log(a))

    def bare_cost(self, xs, ys):
        return np.mean([self.row_cost(x, y) for x, y in zip(xs, ys, strict=True)])

    def gradient(self, x, y):
        zs, activations = self.feed(x)
        kind, a = self.signature.output_activation, activations[-1]
        delta = a - y
        if self.cost is Cost.QUADRATIC:
            if kind is Activation.SOFTMAX:
                delta = (np.diag(a) - np.outer(a, a)) @ delta
            else:
                delta = delta * FUNCTIONS[kind][1](zs[-1])
        weights, biases = [], []
        for layer in reversed(range(len(self.weights))):
            weights.insert(0, np.outer(activations[layer], delta))
            biases.insert(0, delta)
            if layer:
                slope = FUNCTIONS[self.signature.hidden_activation][1](zs[layer - 1])
                delta = (self.weights[layer] @ delta) * slope
        return [*weights, *biases]

    def mean_gradient(self, xs, ys):
        rows = [self.gradient(x, y) for x, y in zip(xs, ys, strict=True)]
        return [sum(parts) / len(rows) for parts in zip(*rows, strict=True)]

    def step(self, xs, ys, rate, momentum, l2, l1, n):
        gradients = self.mean_gradient(xs, ys)
        parameters = [*self.weights, *self.biases]
        for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
            if i < len(self.weights):
                g = g + l2 / n * p + l1 / n * np.sign(p)
            self.velocities[i] = momentum * self.velocities[i] - rate * g
            p += self.velocities[i]


def signature_of(**changes) -> Signature:
    base = Signature(
        sizes=(3, 4, 2),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=4,
        epochs=3,
        data_type="float64",
        metrics=("training_bare_cost", "training_cost", "validation_cost", "training_accuracy"),
    )
    return replace(base, **changes)


def data_of(signature: Signature, rows: int = 11, seed: int = 5) -> TrainingData:
    rng = np.random.default_rng(seed)

    def made(count):
        x = rng.normal(size=(count, signature.sizes[0]))
        y = np.eye(signature.sizes[-1])[rng.integers(0, signature.sizes[-1], count)]
        return x.astype(signature.data_type), y.astype(signature.data_type)

    return TrainingData(*made(rows), *made(7), TargetKind.CLASSES)


OUTPUTS = [
    *((Cost.QUADRATIC, activation) for activation in Activation),
    (Cost.CROSS_ENTROPY, Activation.SIGMOID),
    (Cost.LOG_LIKELIHOOD, Activation.SOFTMAX),
]
# Small layers, and one with so many weights that its update is fused into the product.
SHAPES = [((3, 4, 2), 4), ((3, 2), 11), ((3, 5, 4, 3), 4), ((40, 30, 2), 4), ((3, 40, 30, 2), 4)]


@pytest.mark.parametrize(("cost", "output"), OUTPUTS)
@pytest.mark.parametrize(("sizes", "batch"), SHAPES)
def test_training_agrees_with_one_network_at_a_time(cost, output, sizes, batch):
    signature = signature_of(sizes=sizes, batch_size=batch, output_activation=output)
    data = data_of(signature)
    # The slope of an exponential grows with its output.
    scale = 0.01 if output is Activation.EXPONENTIAL else 1.0
    trials = make_trials(
        4,
        learning_rate=np.array([0.3, 0.1, 0.2, 0.05]) * scale,
        cost=cost,
        initialization=UnitGaussian() if scale == 1 else ScaledGaussian(),
        momentum=[0, 0, 0.9, 0.5],
        l2=[0.0, 2.0, 0.7, 0.3],
        l1=[0.0, 0.5, 0.0, 0.4],
        order_seeds=[3, 3, 3, 8],
    )
    pack = Pack(signature, trials)
    start = initial_state(pack, data)
    state, metrics = train(pack, data)
    for k in range(len(pack)):
        network = Network(
            signature, cost, [w[k] for w in start.weights], [b[k] for b in start.biases]
        )
        l2, l1 = trials.l2[k], trials.l1[k]
        for epoch in range(1, signature.epochs + 1):
            order = order_rows(int(trials.order_seeds[k]), epoch, len(data.x))
            for first in range(0, len(data.x), batch):
                rows = order[first : first + batch]
                network.step(
                    data.x[rows],
                    data.y[rows],
                    trials.learning_rate[k],
                    trials.momentum[k],
                    l2,
                    l1,
                    len(data.x),
                )
            bare = network.bare_cost(data.x, data.y)
            penalty = sum(l2 / 2 * np.sum(w**2) + l1 * np.abs(w).sum() for w in network.weights)
            penalty /= len(data.x)
            validation = network.bare_cost(data.x_validation, data.y_validation)
            right = [
                network.feed(x)[1][-1].argmax() == y.argmax()
                for x, y in zip(data.x, data.y, strict=True)
            ]
            expected = [bare, bare + penalty, validation + penalty, np.mean(right)]
            np.testing.assert_allclose(metrics.values[k, epoch - 1], expected, rtol=2e-6)
        for layer in range(len(sizes) - 1):
            np.testing.assert_allclose(state.weights[layer][k], network.weights[layer], atol=1e-10)
            np.testing.assert_allclose(state.biases[layer][k], network.biases[layer], atol=1e-10)
