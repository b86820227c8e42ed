"""The four experiments, after Nielsen, *Neural Networks and Deep Learning*, chapter 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.client.costs import CrossEntropy, Quadratic
from packtrain.client.domains import choice, integer
from packtrain.client.initializations import Constant, ScaledGaussian, UnitGaussian
from packtrain.client.optimizers import SGD
from packtrain.client.regularization import Regularization
from packtrain.client.results import Results
from packtrain.client.selections import DatasetSelection, RowRange, inline
from packtrain.client.spec import JobSpec, Network

Summary = dict[str, Any]

STARTS = ((0.6, 0.9), (2.0, 2.0))
SEEDS = 8
LAMBDAS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# Of the 1,797 digits: few to learn from, so that networks overfit; the rest to be judged by.
FEW_ROWS = 200
TRAINING_ROWS = 1_000


@dataclass(frozen=True)
class Experiment:
    """A job, and what to read off its results."""

    job_id: str
    title: str
    spec: JobSpec
    summarize: Callable[[Results], list[Summary]]


def _neuron(cost: Quadratic | CrossEntropy, learning_rate: float) -> JobSpec:
    return JobSpec(
        dataset=inline([[1.0]], [[0.0]]),
        network=Network(output_activation="sigmoid"),
        cost=cost,
        initialization=choice(*(Constant(weight=w, bias=b) for w, b in STARTS)),
        optimizer=SGD(learning_rate=learning_rate),
        epochs=300,
        metrics=["output", "training_cost", "sigma_prime"],
    )


def _digits(rows: int, **fields: Any) -> JobSpec:
    return JobSpec(
        dataset=DatasetSelection(
            name="digits",
            training_rows=rows,
            validation=RowRange(first=TRAINING_ROWS),
            scaling="standardize",
        ),
        network=Network(hidden=[30]),
        cost=CrossEntropy(),
        batch_size=10,
        # Repeats: each seed is a network, and an order of the mini-batches, of its own.
        seed=integer(1, SEEDS),
        **fields,
    )


def _neuron_summary(results: Results) -> list[Summary]:
    rows = []
    for trial, (weight, bias) in enumerate(STARTS):
        output = results.curve("output", trial)
        rows.append(
            {
                "weight": weight,
                "bias": bias,
                "output_after_1_epoch": float(output[0]),
                "output_after_150_epochs": float(output[149]),
                "output_after_300_epochs": float(output[-1]),
            }
        )
    return rows


def by_seed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(settings x seeds, ...) as (settings, seeds, ...): the seed varies fastest or slowest
    according to its place among the parameters; here it is the last."""
    return values.reshape(-1, SEEDS, *values.shape[1:])


def _spread(values: NDArray[np.float32]) -> Summary:
    return {"mean": float(values.mean()), "deviation": float(values.std(ddof=1))}


def _initialization_summary(results: Results) -> list[Summary]:
    accuracy = by_seed(results.metric("validation_accuracy"))
    return [
        {
            "initialization": name,
            "accuracy_after_1_epoch": _spread(values[:, 0]),
            "accuracy_after_30_epochs": _spread(values[:, -1]),
        }
        for name, values in zip(("unit Gaussian", "scaled Gaussian"), accuracy, strict=True)
    ]


def _regularization_summary(results: Results) -> list[Summary]:
    finals = {name: by_seed(results.final(name)) for name in results.metrics}
    return [
        {
            "lambda": lam,
            "validation_accuracy": _spread(finals["validation_accuracy"][row]),
            "training_accuracy": _spread(finals["training_accuracy"][row]),
            "training_bare_cost": _spread(finals["training_bare_cost"][row]),
            "weight_norm_of_hidden_layer": _spread(finals["weight_norm/1"][row]),
        }
        for row, lam in enumerate(LAMBDAS)
    ]


def experiments() -> list[Experiment]:
    """In the order in which they are told."""
    return [
        Experiment(
            "neuron-quadratic",
            "one neuron, quadratic cost",
            _neuron(Quadratic(), 0.15),
            _neuron_summary,
        ),
        Experiment(
            "neuron-cross-entropy",
            "one neuron, cross-entropy",
            _neuron(CrossEntropy(), 0.15),
            _neuron_summary,
        ),
        Experiment(
            "initialization",
            "initial weights on digits",
            _digits(
                TRAINING_ROWS,
                initialization=choice(UnitGaussian(), ScaledGaussian()),
                optimizer=SGD(learning_rate=0.1),
                epochs=30,
                metrics=["training_cost", "validation_accuracy", "saturated_share", "sigma_prime"],
            ),
            _initialization_summary,
        ),
        Experiment(
            "regularization",
            f"L2 on {FEW_ROWS} digits",
            _digits(
                FEW_ROWS,
                regularization=Regularization(l2=choice(*LAMBDAS)),
                initialization=UnitGaussian(),
                optimizer=SGD(learning_rate=0.5),
                epochs=200,
                metrics=[
                    "training_cost",
                    "training_bare_cost",
                    "training_accuracy",
                    "validation_accuracy",
                    "weight_norm",
                ],
            ),
            _regularization_summary,
        ),
    ]
