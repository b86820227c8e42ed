"""JAX for a tiny network, each neuron written out by hand as arithmetic on single numbers.

What `jit(vmap(scan))` makes of matrix products of a few numbers is far from what XLA makes of
this; nobody would write a network so, but it is JAX at its best.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from benchmarks.trainer.shapes import Data, Shape, initial_weights

NAME = "JAX, each neuron written out"


def pack_sizes(shape: Shape) -> tuple[int, ...]:
    return (1_000, 4_000, 10_000) if shape.is_tiny else ()


def prepare(shape: Shape, data: Data, pack: int, epochs: int) -> Callable[[], object]:
    """A call that trains ``epochs`` epochs of ``pack`` networks, compiled for just that."""
    numbers = [
        jnp.asarray(column)
        for w, b in initial_weights(shape, pack)
        for array in (w, b)
        for column in array.reshape(pack, -1).T
    ]
    rates = jnp.full(pack, shape.learning_rate, jnp.float32)

    def outputs(numbers: list[Any], row: Any) -> list[Any]:
        """Weighted inputs of the outputs for one row."""
        place, values = 0, [float(value) for value in row]
        for layer, (inputs, neurons) in enumerate(shape.pairs):
            if layer:
                values = [0.5 * jnp.tanh(0.5 * z) + 0.5 for z in values]
            biases = place + inputs * neurons
            values = [
                sum(
                    (values[i] * numbers[place + i * neurons + j] for i in range(inputs)),
                    numbers[biases + j],
                )
                for j in range(neurons)
            ]
            place = biases + neurons
        return values

    def cost(numbers: list[Any]) -> tuple[Any, Any]:
        total, shown = 0.0, 0.0
        for row, targets in zip(data.x, data.y, strict=True):
            for z, y in zip(outputs(numbers, row), targets.tolist(), strict=True):
                a = 0.5 * jnp.tanh(0.5 * z) + 0.5
                shown += a
                if shape.cost == "quadratic":
                    total += (a - y) ** 2 / 2
                else:
                    total += jax.nn.softplus(z) - y * z
        return total / shape.rows, shown / shape.rows

    def train_epoch(numbers: list[Any], rate: Any) -> tuple[list[Any], Any]:
        recorded, gradients = jax.value_and_grad(cost, has_aux=True)(numbers)
        return [p - rate * g for p, g in zip(numbers, gradients, strict=True)], recorded

    mapped = jax.vmap(train_epoch)

    def train(numbers: list[Any]) -> Any:
        # What an epoch's forward pass sees is what the epoch before is to record.
        numbers, before = jax.lax.scan(
            lambda state, _: mapped(state, rates), numbers, None, length=epochs
        )
        return numbers, before, jax.vmap(cost)(numbers)

    compiled = jax.jit(train)
    return lambda: jax.block_until_ready(compiled(numbers))
