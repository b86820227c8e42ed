"""One network at a time in NumPy, as the book's program is, with matrices for mini-batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from benchmarks.trainer.shapes import Data, Floats, Shape, initial_weights

NAME = "NumPy, one network at a time"
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def pack_sizes(shape: Shape) -> tuple[int, ...]:
    return (1,)


def prepare(shape: Shape, data: Data, pack: int, epochs: int) -> Callable[[], object]:
    """A call that trains ``epochs`` epochs."""
    network = Network(shape)
    rng = np.random.default_rng(2)

    def run() -> list[Any]:
        return [network.train_epoch(data, rng) for _ in range(epochs)]

    return run


def sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-z))


class Network:
    """Weights and biases of one network, and Adam's moments of them."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        drawn = initial_weights(shape, 1)
        self.weights = [w[0] for w, _ in drawn]
        self.biases = [b[0] for _, b in drawn]
        self.moments = [(np.zeros_like(p), np.zeros_like(p)) for p in self.weights + self.biases]
        self.step = 0

    def train_epoch(self, data: Data, rng: np.random.Generator) -> tuple[Any, ...]:
        """An epoch, and what is recorded of it."""
        order = rng.permutation(self.shape.rows)
        for first in range(0, self.shape.rows, self.shape.batch):
            batch = order[first : first + self.shape.batch]
            self._descend(data.x[batch], data.y[batch])
        return self._evaluate(data.x_evaluated, data.y_evaluated)

    def _forward(self, x: Floats) -> list[Floats]:
        activations = [x]
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = activations[-1] @ w + b
            if layer + 1 < len(self.weights):
                a = sigmoid(z) if self.shape.hidden == "sigmoid" else np.maximum(z, 0)
            elif self.shape.cost == "log_likelihood":
                shown = np.exp(z - z.max(axis=1, keepdims=True))
                a = shown / shown.sum(axis=1, keepdims=True)
            else:
                a = sigmoid(z)
            activations.append(a)
        return activations

    def _descend(self, x: Floats, y: Floats) -> None:
        activations = self._forward(x)
        delta = activations[-1] - y
        if self.shape.cost == "quadratic":
            delta = delta * activations[-1] * (1 - activations[-1])
        gradients = []
        for layer in reversed(range(len(self.weights))):
            a = activations[layer]
            gradients.append((a.T @ delta / len(x), delta.sum(axis=0) / len(x)))
            if layer:
                slope = a * (1 - a) if self.shape.hidden == "sigmoid" else a > 0
                delta = delta @ self.weights[layer].T * slope
        gradients.reverse()
        self.step += 1
        keep = 1 - self.shape.learning_rate * self.shape.l2 / self.shape.rows
        for layer, (w_gradient, b_gradient) in enumerate(gradients):
            if keep != 1:
                self.weights[layer] *= keep
            self.weights[layer] -= self._step(w_gradient, layer)
            self.biases[layer] -= self._step(b_gradient, len(self.weights) + layer)

    def _step(self, gradient: Floats, place: int) -> Floats:
        rate = self.shape.learning_rate
        if self.shape.rule == "sgd":
            return rate * gradient
        mean, square = self.moments[place]
        mean += (1 - BETA1) * (gradient - mean)
        square += (1 - BETA2) * (gradient * gradient - square)
        root = np.sqrt(square / (1 - BETA2**self.step)) + EPSILON
        return rate / (1 - BETA1**self.step) * mean / root

    def _evaluate(self, x: Floats, y: Floats) -> tuple[Any, ...]:
        a = self._forward(x)[-1]
        if self.shape.cost == "quadratic":
            return a.mean(), ((a - y) ** 2).sum() / (2 * len(x))
        chosen = np.where(y > 0, a, 1 if self.shape.cost == "log_likelihood" else 1 - a)
        cost = -np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).sum() / len(x)
        if not self.shape.evaluated:
            return (cost,)
        return cost, (a.argmax(axis=1) == y.argmax(axis=1)).mean()
