"""What is measured: networks, their training, and how many operations that takes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pairs = list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A network and how it is trained; everyone measured trains it so.

    ``rows`` are shown an epoch, shuffled, in mini-batches of ``batch``; then the cost and the
    accuracy of ``evaluated`` other rows are recorded, or, where that is 0, what ``recorded``
    names, of the training rows.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int
    evaluated: int
    recorded: tuple[str, ...]
    cost: Literal["quadratic", "cross_entropy", "log_likelihood"]
    hidden: Literal["sigmoid", "relu"] = "sigmoid"
    rule: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.5
    l2: float = 0.0
    pack_sizes: tuple[int, ...]

    @property
    def pairs(self) -> Pairs:
        """(inputs, outputs) of each layer."""
        return list(itertools.pairwise(self.sizes))

    @property
    def steps(self) -> int:
        """Mini-batches an epoch."""
        return -(-self.rows // self.batch)

    @property
    def is_tiny(self) -> bool:
        """Whether its products are too small for a share of the matrix peak to mean anything."""
        return sum(a * b for a, b in self.pairs) < 1000

    @property
    def title(self) -> str:
        how = "full batch" if self.batch == self.rows else f"m = {self.batch}, {self.rows:,} rows"
        what = " and ".join(name.replace("_", " ") for name in self.recorded)
        of = f" of {self.evaluated:,} rows" if self.evaluated else ""
        hidden = f"{self.hidden} hidden, " if len(self.sizes) > 2 else ""
        return (
            f"{self.name}: {list(self.sizes)}, {hidden}{self.cost.replace('_', '-')}, {self.rule}, "
            f"{how}; {what}{of} every epoch"
        )


def epoch_operations(shape: Shape) -> int:
    """Floating-point operations in the matrix products of one trial's epoch, 2 for each
    multiply-add: forward, backward (the first layer's inputs need no gradient), evaluation."""
    forward = sum(2 * inputs * outputs for inputs, outputs in shape.pairs)
    to_inputs = sum(2 * inputs * outputs for inputs, outputs in shape.pairs[1:])
    evaluated = shape.evaluated or shape.rows
    return (2 * forward + to_inputs) * shape.rows + forward * evaluated


_EVALUATED: dict[str, Any] = {
    "rows": 1000,
    "evaluated": 1000,
    "recorded": ("validation_bare_cost", "validation_accuracy"),
}

SHAPES = {
    shape.name: shape
    for shape in (
        Shape(
            name="neuron",
            sizes=(1, 1),
            batch=1,
            rows=1,
            evaluated=0,
            recorded=("output", "training_cost"),
            cost="quadratic",
            learning_rate=0.15,
            pack_sizes=(1, 100, 1_000, 10_000),
        ),
        Shape(
            name="xor",
            sizes=(2, 3, 1),
            batch=4,
            rows=4,
            evaluated=0,
            recorded=("training_cost",),
            cost="cross_entropy",
            pack_sizes=(1, 100, 1_000, 10_000),
        ),
        Shape(
            name="small-batches",
            sizes=(784, 30, 10),
            batch=10,
            cost="cross_entropy",
            l2=0.1,
            pack_sizes=(1, 2, 4, 8, 16, 32, 64, 256, 1_000),
            **_EVALUATED,
        ),
        Shape(
            name="large-batches",
            sizes=(784, 100, 10),
            batch=100,
            cost="cross_entropy",
            l2=0.1,
            pack_sizes=(1, 2, 4, 8, 16, 32, 64, 256),
            **_EVALUATED,
        ),
        Shape(
            name="deeper",
            sizes=(784, 100, 100, 10),
            batch=32,
            cost="log_likelihood",
            hidden="relu",
            rule="adam",
            learning_rate=0.001,
            pack_sizes=(1, 2, 4, 8, 16, 32, 64, 256),
            **_EVALUATED,
        ),
    )
}


@dataclass(frozen=True, eq=False)
class Data:
    """Random rows of a shape: the time does not depend on the values. The rows to evaluate are
    the training rows themselves where the shape has no others."""

    x: Floats
    y: Floats
    x_evaluated: Floats
    y_evaluated: Floats


def make_data(shape: Shape) -> Data:
    """The same rows for everyone."""
    if shape.name == "neuron":
        one, zero = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
        return Data(one, zero, one, zero)
    if shape.name == "xor":
        x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
        y = np.array([[0], [1], [1], [0]], np.float32)
        return Data(x, y, x, y)
    rng = np.random.default_rng(0)

    def rows(count: int) -> tuple[Floats, Floats]:
        labels = rng.integers(0, shape.sizes[-1], count)
        targets = np.eye(shape.sizes[-1], dtype=np.float32)[labels]
        return rng.random((count, shape.sizes[0]), dtype=np.float32), targets

    return Data(*rows(shape.rows), *rows(shape.evaluated))


def initial_weights(shape: Shape, trials: int) -> list[tuple[Floats, Floats]]:
    """Weights (trials, inputs, outputs) and biases (trials, outputs) of each layer."""
    rng = np.random.default_rng(1)
    return [
        (
            rng.standard_normal((trials, a, b), dtype=np.float32) / np.float32(np.sqrt(a)),
            rng.standard_normal((trials, b), dtype=np.float32),
        )
        for a, b in shape.pairs
    ]
