"""The experiments of Nielsen, *Neural Networks and Deep Learning*, chapter 3, and what he got."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.client import (
    SGD,
    Constant,
    CrossEntropy,
    DatasetSelection,
    JobSpec,
    Network,
    Quadratic,
    Regularization,
    Results,
    RowRange,
    ScaledGaussian,
    UnitGaussian,
    choice,
    inline,
    integer,
)

MNIST = "mnist"
STARTS = ((0.6, 0.9), (2.0, 2.0))
LAMBDAS = (0.0, 0.1)
EPOCHS = 60


@dataclass(frozen=True)
class Finding:
    """A figure that came out beside the published one. ``values`` are one for each repeat;
    ``published`` is None where the book tells the course of a curve but no number."""

    what: str
    values: tuple[float, ...]
    published: float | None = None
    percent: bool = False

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the repeats; None where there is one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Experiment:
    """A job, and how its results are read."""

    number: int
    title: str
    spec: JobSpec
    read: Callable[[Results], list[Finding]]

    @property
    def needs_mnist(self) -> bool:
        data = self.spec.dataset
        return isinstance(data, DatasetSelection) and data.name == MNIST


def experiments(seeds: int, long_seeds: int) -> list[Experiment]:
    """All four; ``seeds`` repeats of the third, ``long_seeds`` of the fourth, which takes the
    whole of MNIST."""
    return [
        Experiment(
            1,
            "one neuron, quadratic cost, η = 0.15, 300 epochs",
            _neuron(Quadratic(), 0.15),
            _read_quadratic,
        ),
        Experiment(
            2,
            "the same neuron, cross-entropy, η = 0.005",
            _neuron(CrossEntropy(), 0.005),
            _read_cross_entropy,
        ),
        Experiment(
            3,
            "[784, 30, 10] on 1,000 MNIST images, unit Gaussian start, cross-entropy, η = 0.5, "
            "m = 10, 400 epochs",
            _overfitting(seeds),
            lambda results: _read_overfitting(results, seeds),
        ),
        Experiment(
            4,
            "[784, 100, 10] on 50,000 MNIST images, scaled Gaussian start, cross-entropy, "
            f"η = 0.1, λ = 5.0, m = 10, {EPOCHS} epochs",
            _whole(long_seeds),
            _read_whole,
        ),
    ]


def _neuron(cost: Quadratic | CrossEntropy, learning_rate: float) -> JobSpec:
    return JobSpec(
        dataset=inline([[1.0]], [[0.0]]),
        network=Network(output_activation="sigmoid"),
        cost=cost,
        initialization=choice(*(Constant(weight=w, bias=b) for w, b in STARTS)),
        optimizer=SGD(learning_rate=learning_rate),
        epochs=300,
        metrics=["output", "training_cost"],
    )


def _overfitting(seeds: int) -> JobSpec:
    return JobSpec(
        dataset=DatasetSelection(name=MNIST, training_rows=1_000, validation="test"),
        network=Network(hidden=[30]),
        cost=CrossEntropy(),
        initialization=UnitGaussian(),
        regularization=Regularization(l2=choice(*LAMBDAS)),
        optimizer=SGD(learning_rate=0.5),
        epochs=400,
        batch_size=10,
        seed=integer(1, seeds),
        metrics=["validation_accuracy", "training_cost"],
    )


def _whole(seeds: int) -> JobSpec:
    return JobSpec(
        dataset=DatasetSelection(
            name=MNIST, training_rows=50_000, validation=RowRange("train", first=50_000)
        ),
        network=Network(hidden=[100]),
        cost=CrossEntropy(),
        initialization=ScaledGaussian(),
        regularization=Regularization(l2=5.0),
        optimizer=SGD(learning_rate=0.1),
        epochs=EPOCHS,
        batch_size=10,
        seed=integer(1, seeds),
        metrics=["validation_accuracy"],
    )


def _read_quadratic(results: Results) -> list[Finding]:
    good, bad = results.metric("output")
    return [
        # The book tells the output before the first step; this is the first that is measured.
        _one("output after 1 epoch from w = 0.6, b = 0.9 (published: before it)", good[0], 0.82),
        _one("output after 300 epochs from w = 0.6, b = 0.9", good[-1], 0.09),
        _one("output after 1 epoch from w = b = 2.0 (published: before it)", bad[0], 0.98),
        _one("output after 150 epochs from w = b = 2.0", bad[149], 0.93),
        _one("output after 300 epochs from w = b = 2.0", bad[-1], 0.20),
    ]


def _read_cross_entropy(results: Results) -> list[Finding]:
    cost = results.metric("training_cost")[1]
    return [
        _one("epoch of the steepest fall from w = b = 2.0", np.diff(cost).argmin() + 2),
        _one("output after 300 epochs from w = b = 2.0", results.metric("output")[1, -1]),
    ]


def _read_overfitting(results: Results, seeds: int) -> list[Finding]:
    # The seed is the last parameter of the search, so it varies fastest.
    last = results.final("validation_accuracy").reshape(len(LAMBDAS), seeds)
    published = (0.8227, 0.871)
    return [
        _share(f"accuracy on the 10,000 test images, λ = {lam:g}", values, given)
        for lam, values, given in zip(LAMBDAS, last, published, strict=True)
    ]


def _read_whole(results: Results) -> list[Finding]:
    accuracy = results.metric("validation_accuracy")
    where = "accuracy on the 10,000 validation images"
    return [
        _share(f"{where}, last epoch", accuracy[:, -1], None),
        _share(f"{where}, best epoch", accuracy.max(axis=1), 0.9804),
    ]


def _one(what: str, value: Any, published: float | None = None) -> Finding:
    return Finding(what, (float(value),), published)


def _share(what: str, values: NDArray[np.float32], published: float | None) -> Finding:
    return Finding(what, tuple(float(v) for v in values), published, percent=True)
