"""The packed trainer on one core, beside what a user would pick instead, in one run.

    python benchmarks/trainer.py [--json FILE]

All figures are the best of a few repeats. Data are random, of MNIST's shape: the time does not
depend on the values.
"""

# ruff: noqa: E402  (threads are set before NumPy is imported)
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is imported: one core, one figure

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from packtrain.training import (
    Activation,
    Cost,
    Pack,
    Signature,
    TargetKind,
    TrainingData,
    make_trials,
    train_segment,
)

ROWS, BATCH, RATE, L2 = 1000, 10, 0.5, 0.1
DIGITS = (784, 30, 10)


def fastest(call: Callable[[], object], repeats: int) -> float:
    """The least seconds that ``call`` took."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def matrix_peak() -> float:
    """GFLOP/s of a large float32 product."""
    a = np.random.default_rng(0).random((1024, 1024), dtype=np.float32)
    out = np.empty_like(a)
    return 2 * 1024**3 / fastest(lambda: np.matmul(a, a, out=out), 10) / 1e9


def make_data(sizes: tuple[int, ...], rows: int, seed: int = 0) -> TrainingData:
    rng = np.random.default_rng(seed)

    def made() -> tuple[Any, Any]:
        labels = rng.integers(0, max(2, sizes[-1]), rows)
        one_hot = np.eye(sizes[-1])[labels] if sizes[-1] > 1 else labels[:, np.newaxis]
        return rng.random((rows, sizes[0]), dtype=np.float32), one_hot.astype(np.float32)

    return TrainingData(*made(), *made(), TargetKind.CLASSES)


def packed_seconds(
    sizes: tuple[int, ...],
    batch: int,
    data: TrainingData,
    trials: int,
    epochs: int,
    cost: Cost = Cost.CROSS_ENTROPY,
) -> float:
    """Seconds of an epoch of a pack, with an evaluation in it."""
    validated = len(data.x) > 100
    signature = Signature(
        sizes=sizes,
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=batch,
        epochs=epochs,
        data_type="float32",
        metrics=("validation_cost", "validation_accuracy") if validated else ("training_cost",),
    )
    pack = Pack(signature, make_trials(trials, learning_rate=RATE, l2=L2, cost=cost))
    state, _ = train_segment(pack, data, None, 1)
    return fastest(lambda: train_segment(pack, data, state, epochs), 3) / epochs


def plain_numpy_seconds(data: TrainingData) -> float:
    """One network at a time, written as the book's program is, with matrices for mini-batches."""
    rng = np.random.default_rng(0)
    pairs = list(itertools.pairwise(DIGITS))
    weights = [(rng.normal(size=p) / np.sqrt(p[0])).astype(np.float32) for p in pairs]
    biases = [rng.normal(size=n).astype(np.float32) for n in DIGITS[1:]]

    assert data.y_validation is not None
    labels = data.y_validation.argmax(axis=1)

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + np.exp(-z))

    def epoch() -> None:
        order = rng.permutation(ROWS)
        for first in range(0, ROWS, BATCH):
            x, y = data.x[order[first : first + BATCH]], data.y[order[first : first + BATCH]]
            a1 = sigmoid(x @ weights[0] + biases[0])
            a2 = sigmoid(a1 @ weights[1] + biases[1])
            delta2 = a2 - y
            delta1 = delta2 @ weights[1].T * a1 * (1 - a1)
            for layer, (a, delta) in enumerate(((x, delta1), (a1, delta2))):
                weights[layer] *= 1 - RATE * L2 / ROWS
                weights[layer] -= RATE / BATCH * (a.T @ delta)
                biases[layer] -= RATE / BATCH * delta.sum(axis=0)
        assert data.x_validation is not None
        a2 = sigmoid(sigmoid(data.x_validation @ weights[0] + biases[0]) @ weights[1] + biases[1])
        np.mean(a2.argmax(axis=1) == labels)

    return fastest(epoch, 5)


def scikit_learn_seconds(data: TrainingData) -> float | None:
    """An epoch of MLPClassifier and a prediction of as many rows; None: not installed."""
    try:
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        return None
    labels = data.y.argmax(axis=1)
    epochs = 4
    network: Any = MLPClassifier(  # type: ignore[no-untyped-call]
        hidden_layer_sizes=DIGITS[1:-1],
        activation="logistic",
        solver="sgd",
        alpha=L2 / ROWS,
        batch_size=BATCH,
        learning_rate_init=RATE,
        momentum=0.0,
        nesterovs_momentum=False,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it has not converged: it need not
            network.fit(data.x, labels)

    training = fastest(run, 2) / epochs
    return training + fastest(lambda: network.score(data.x_validation, labels), 3)


def measure() -> dict[str, Any]:
    digits = make_data(DIGITS, ROWS)
    steps = ROWS // BATCH
    result: dict[str, Any] = {"matrix_peak_gflops": matrix_peak()}
    result["digits_us_per_trial_step"] = {
        f"packtrain, pack of {trials}": packed_seconds(DIGITS, BATCH, digits, trials, epochs)
        / (trials * steps)
        * 1e6
        for trials, epochs in ((1, 10), (8, 10), (32, 5), (64, 5))
    }
    plain = plain_numpy_seconds(digits) / steps * 1e6
    result["digits_us_per_trial_step"]["NumPy, one network at a time"] = plain
    peer = scikit_learn_seconds(digits)
    result["digits_us_per_trial_step"]["scikit-learn MLPClassifier"] = (
        None if peer is None else peer / steps * 1e6
    )
    neuron, xor = make_data((1, 1), 1), make_data((2, 3, 1), 4)
    result["neuron_ns_per_trial_epoch"] = {
        f"packtrain, pack of {trials}": packed_seconds(
            (1, 1), 1, neuron, trials, 100, Cost.QUADRATIC
        )
        / trials
        * 1e9
        for trials in (100, 1_000, 10_000)
    }
    result["xor_ns_per_trial_step"] = {
        f"packtrain, pack of {trials}": packed_seconds((2, 3, 1), 4, xor, trials, 50) / trials * 1e9
        for trials in (100, 1_000, 10_000)
    }
    result["matrix_peak_gflops_after"] = matrix_peak()
    return result


TITLES = {
    "digits_us_per_trial_step": "[784, 30, 10], m = 10, 1,000 rows, evaluation of 1,000 rows an "
    "epoch: µs a trial-step",
    "neuron_ns_per_trial_epoch": "a neuron, its cost measured every epoch: ns a trial-epoch",
    "xor_ns_per_trial_step": "[2, 3, 1] on four rows, cost measured every epoch: ns a trial-step",
}


def show(result: dict[str, Any]) -> None:
    peak, after = result["matrix_peak_gflops"], result["matrix_peak_gflops_after"]
    print("One core, float32, random data of MNIST's shape, best of a few repeats.")
    print(f"Matrix-product peak: {peak:.0f} GFLOP/s before, {after:.0f} after.")
    for key, title in TITLES.items():
        print(f"\n{title}")
        for who, figure in result[key].items():
            print(f"  {who:<32}", "not installed" if figure is None else f"{figure:10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    result = measure()
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
