"""JAX: whole epochs in one `jit(vmap(scan))`, shuffling, update and evaluation within it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.trainer.shapes import Data, Shape, initial_weights

NAME = "JAX jit(vmap(scan))"
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Parameters = list[tuple[Any, Any]]


def pack_sizes(shape: Shape) -> tuple[int, ...]:
    return (100, 1_000, 4_000, 10_000) if shape.is_tiny else (1, 8, 32, 64)


def prepare(shape: Shape, data: Data, pack: int, epochs: int) -> Callable[[], object]:
    """A call that trains ``epochs`` epochs of ``pack`` networks, compiled for just that."""
    axis = -1 if shape.is_tiny else 0
    parameters = jax.tree.map(
        lambda array: jnp.moveaxis(jnp.asarray(array), 0, axis), initial_weights(shape, pack)
    )
    moments = jax.tree.map(jnp.zeros_like, (parameters, parameters))
    rates = jnp.full(pack, shape.learning_rate, jnp.float32)
    decays = jnp.full(pack, shape.l2 / shape.rows, jnp.float32)
    train = jax.jit(_make_training(shape, data, axis, rates, decays))
    rng = np.random.default_rng(2)

    def run() -> object:
        orders = np.stack([rng.permutation(shape.rows) for _ in range(epochs)]).astype(np.int32)
        return jax.block_until_ready(train(parameters, moments, orders))

    return run


def _make_training(shape: Shape, data: Data, axis: int, rates: Any, decays: Any) -> Any:
    """(parameters, moments, orders) -> (parameters, metrics), over the epochs of ``orders``.

    ``axis`` is that of the networks in all parameters: last where the layers are tiny, so that
    most is arithmetic on long vectors.
    """
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    evaluated = [jnp.asarray(a) for a in (data.x_evaluated, data.y_evaluated)]
    evaluated.append(jnp.asarray(data.y_evaluated.argmax(axis=1)))
    descend = jax.vmap(
        functools.partial(_descend, shape),
        in_axes=(axis, axis, 0, 0, None, None, None),
        out_axes=axis,
    )
    evaluate = jax.vmap(functools.partial(_evaluate, shape), in_axes=(axis, None, None, None))
    whole = shape.rows - shape.rows % shape.batch

    def take_step(state: Any, rows: Any) -> tuple[Any, None]:
        parameters, moments, step = state
        batch = (x, y) if shape.batch == shape.rows else (x[rows], y[rows])
        parameters, moments = descend(parameters, moments, rates, decays, step + 1, *batch)
        return (parameters, moments, step + 1), None

    def train_epoch(state: Any, order: Any) -> tuple[Any, Any]:
        state, _ = jax.lax.scan(take_step, state, order[:whole].reshape(-1, shape.batch))
        if whole < shape.rows:
            state, _ = take_step(state, order[whole:])
        return state, evaluate(state[0], *evaluated)

    def train(parameters: Any, moments: Any, orders: Any) -> tuple[Any, Any]:
        start = (parameters, moments, jnp.float32(0))
        (parameters, _, _), metrics = jax.lax.scan(train_epoch, start, orders)
        return parameters, metrics

    return train


def _descend(
    shape: Shape,
    parameters: Parameters,
    moments: Any,
    rate: Any,
    decay: Any,
    step: Any,
    x: Any,
    y: Any,
) -> tuple[Parameters, Any]:
    """A step of one network: its new parameters and moments."""
    gradients = jax.grad(lambda p: _cost(shape, _forward(shape, p, x), y))(parameters)
    if shape.l2:
        gradients = [
            (dw + decay * w, db) for (dw, db), (w, _) in zip(gradients, parameters, strict=True)
        ]
    steps, moments = _follow(shape, gradients, moments, rate, step)
    return jax.tree.map(jnp.subtract, parameters, steps), moments


def _forward(shape: Shape, parameters: Parameters, x: Any) -> Any:
    """Weighted inputs of the outputs."""
    for layer, (w, b) in enumerate(parameters):
        z = x @ w + b
        if layer + 1 == len(parameters):
            return z
        x = jax.nn.sigmoid(z) if shape.hidden == "sigmoid" else jax.nn.relu(z)
    raise ValueError("a network has at least one layer")


def _cost(shape: Shape, z: Any, y: Any) -> Any:
    if shape.cost == "quadratic":
        return ((jax.nn.sigmoid(z) - y) ** 2).sum() / (2 * len(y))
    if shape.cost == "log_likelihood":
        return -(y * jax.nn.log_softmax(z)).sum() / len(y)
    return (jax.nn.softplus(z) - y * z).sum() / len(y)


def _follow(shape: Shape, gradients: Any, moments: Any, rate: Any, step: Any) -> tuple[Any, Any]:
    """What to take from the parameters, and the new moments."""
    if shape.rule == "sgd":
        return jax.tree.map(lambda g: rate * g, gradients), moments
    means, squares = moments
    means = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, means, gradients)
    squares = jax.tree.map(lambda s, g: BETA2 * s + (1 - BETA2) * g * g, squares, gradients)
    rate = rate / (1 - BETA1**step)
    of_squares = 1 / (1 - BETA2**step)
    steps = jax.tree.map(
        lambda m, s: rate * m / (jnp.sqrt(s * of_squares) + EPSILON), means, squares
    )
    return steps, (means, squares)


def _evaluate(shape: Shape, parameters: Parameters, x: Any, y: Any, labels: Any) -> tuple[Any, ...]:
    z = _forward(shape, parameters, x)
    if shape.name == "neuron":
        return jax.nn.sigmoid(z).mean(), _cost(shape, z, y)
    if not shape.evaluated:
        return (_cost(shape, z, y),)
    return _cost(shape, z, y), (z.argmax(axis=1) == labels).mean()
