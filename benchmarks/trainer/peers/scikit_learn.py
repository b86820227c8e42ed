"""scikit-learn: `MLPClassifier`, one network at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from benchmarks.trainer.shapes import Data, Shape
from sklearn.neural_network import MLPClassifier

NAME = "scikit-learn MLPClassifier"


def pack_sizes(shape: Shape) -> tuple[int, ...]:
    """None for the neuron: it has a classifier for two classes and more only."""
    return () if shape.name == "neuron" else (1,)


def prepare(shape: Shape, data: Data, pack: int, epochs: int) -> Callable[[], object]:
    """A call that trains ``epochs`` epochs and predicts the rows to evaluate as many times.

    It records its own cost, a mean over the mini-batches, as it goes; it is given the accuracy
    of other rows alone.
    """
    x, y, x_evaluated, y_evaluated = data.x, data.y, data.x_evaluated, data.y_evaluated
    labels, expected = (
        (a.argmax(axis=1) if a.shape[1] > 1 else a[:, 0].astype(int)) for a in (y, y_evaluated)
    )
    network: Any = MLPClassifier(
        hidden_layer_sizes=shape.sizes[1:-1],
        activation="logistic" if shape.hidden == "sigmoid" else "relu",
        solver=shape.rule,
        alpha=shape.l2 / shape.rows,
        batch_size=shape.batch,
        learning_rate_init=shape.learning_rate,
        momentum=0.0,
        nesterovs_momentum=False,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )

    def run() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it has not converged: it need not
            network.fit(x, labels)
        if not shape.evaluated:
            return network.loss_curve_
        return [network.score(x_evaluated, expected) for _ in range(epochs)]

    return run
