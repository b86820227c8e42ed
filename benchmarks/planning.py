"""Predicted and measured seconds of an epoch, over packs of many kinds.

    python benchmarks/planning.py

The predictions are the planner's, by the speed that a worker measures as it starts; the packs
here are others than those that it measures with.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from packtrain.training import (
    Activation,
    Augmentation,
    Cost,
    Pack,
    Rule,
    Signature,
    TargetKind,
    TrainingData,
    epoch_seconds,
    make_trials,
    measure_speed,
    train_segment,
)

# How long a pack is measured, about, and how often.
LEAST_SECONDS, REPEATS = 0.05, 3

VALIDATION = ("validation_bare_cost", "validation_accuracy")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Packs of some numbers of trials. ``changes`` are the signature's, ``numbers`` the trials';
    lists are repeated for as many trials as there are."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int
    held_out: int = 0
    packs: tuple[int, ...]
    metrics: tuple[str, ...] = VALIDATION
    changes: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)

    def make(self, trials: int) -> tuple[Pack, TrainingData]:
        """A pack and its rows."""
        signature = Signature(
            sizes=self.sizes,
            hidden_activation=Activation.SIGMOID,
            output_activation=Activation.SIGMOID,
            batch_size=self.batch,
            epochs=10**9,
            data_type="float32",
            metrics=self.metrics,
        )
        signature = replace(signature, **self.changes)
        rng, dtype = np.random.default_rng(0), signature.data_type

        def rows(count: int) -> tuple[Any, Any]:
            classes = rng.integers(0, max(2, self.sizes[-1]), count)
            y = np.eye(self.sizes[-1])[classes] if self.sizes[-1] > 1 else classes[:, np.newaxis]
            return rng.random((count, self.sizes[0])).astype(dtype), y.astype(dtype)

        kind = TargetKind.CLASSES if self.sizes[-1] > 1 else TargetKind.NUMBERS
        held_out = rows(self.held_out) if self.held_out else (None, None)
        numbers = {name: _spread(values, trials) for name, values in self.numbers.items()}
        pack = Pack(signature, make_trials(trials, **{"learning_rate": 0.01, **numbers}))
        return pack, TrainingData(*rows(self.rows), *held_out, kind)


def _spread(values: Any, trials: int) -> Any:
    if not isinstance(values, list):
        return values
    return (values * -(-trials // len(values)))[:trials]


TINY: dict[str, Any] = {"sizes": (2, 3, 1), "batch": 4, "rows": 4, "metrics": ("training_cost",)}
DIGITS: dict[str, Any] = {"sizes": (64, 30, 10), "batch": 10, "rows": 1438, "held_out": 359}
MNIST: dict[str, Any] = {"sizes": (784, 30, 10), "batch": 10, "rows": 1000, "held_out": 1000}
DEEPER: dict[str, Any] = {**MNIST, "sizes": (784, 100, 100, 10), "batch": 32}

CASES = [
    Case(
        name="neuron",
        sizes=(1, 1),
        batch=1,
        rows=1,
        packs=(1, 100, 1_000, 10_000),
        metrics=("output", "training_cost"),
        numbers={"cost": Cost.QUADRATIC},
    ),
    Case(name="XOR", **TINY, packs=(1, 100, 1_000, 10_000)),
    Case(name="XOR, unmeasured", **{**TINY, "metrics": ()}, packs=(10_000,)),
    Case(name="XOR, Adam", **TINY, packs=(1_000,), numbers={"rule": Rule.ADAM}),
    Case(name="moons", sizes=(2, 8, 2), batch=10, rows=200, held_out=50, packs=(64, 1_000)),
    Case(
        name="[8, 12, 10]",
        sizes=(8, 12, 10),
        batch=4,
        rows=100,
        packs=(1, 100, 1_000),
        metrics=("training_cost",),
    ),
    Case(name="digits", **DIGITS, packs=(1, 8, 32, 100)),
    Case(name="digits, unmeasured", **DIGITS, packs=(32,), metrics=()),
    Case(name="digits, momentum", **DIGITS, packs=(32,), numbers={"momentum": 0.9}),
    Case(name="digits, Adam", **DIGITS, packs=(32,), numbers={"rule": Rule.ADAM}),
    Case(name="digits, dropout", **DIGITS, packs=(16,), numbers={"dropout": 0.5}),
    Case(name="digits, float64", **DIGITS, packs=(32,), changes={"data_type": "float64"}),
    Case(
        name="digits, turned",
        **DIGITS,
        packs=(16,),
        changes={"augmentation": Augmentation(8, 8, 1.0, 10.0)},
    ),
    Case(
        name="digits, 4 blocks",
        **DIGITS,
        packs=(32,),
        numbers={
            "rule": [Rule.SGD, Rule.ADAM, Rule.SGD, Rule.ADAM],
            "cost": [Cost.CROSS_ENTROPY, Cost.CROSS_ENTROPY, Cost.QUADRATIC, Cost.QUADRATIC],
        },
    ),
    Case(
        name="digits, a block each",
        **DIGITS,
        packs=(16,),
        numbers={"order_seeds": list(range(16))},
    ),
    Case(name="[784, 30, 10]", **MNIST, packs=(1, 4, 16, 64), numbers={"l2": 0.1}),
    Case(name="  unmeasured", **MNIST, packs=(32,), metrics=()),
    Case(name="  10,000 rows measured", **{**MNIST, "held_out": 10_000}, packs=(16,)),
    Case(name="  momentum", **MNIST, packs=(16,), numbers={"momentum": 0.9}),
    Case(
        name="[784, 100, 10], m = 100",
        **{**MNIST, "sizes": (784, 100, 10), "batch": 100},
        packs=(1, 4, 32),
    ),
    Case(name="[784, 100, 100, 10]", **DEEPER, packs=(8,)),
    Case(
        name="  Adam",
        **DEEPER,
        packs=(1, 4, 16),
        changes={"hidden_activation": Activation.RELU, "output_activation": Activation.SOFTMAX},
        numbers={"cost": Cost.LOG_LIKELIHOOD, "rule": Rule.ADAM, "learning_rate": 0.001},
    ),
]


def measure_epoch(pack: Pack, data: TrainingData) -> float:
    """The least seconds of an epoch, of some segments of some epochs."""
    state, _ = train_segment(pack, data, None, 1)
    epochs, found = 1, []
    while len(found) < REPEATS:
        began = time.thread_time()
        train_segment(pack, data, state, epochs)
        taken = time.thread_time() - began
        if taken < LEAST_SECONDS / 2:
            epochs = max(2 * epochs, int(epochs * LEAST_SECONDS / max(taken, 1e-6)))
        else:
            found.append(taken / epochs)
    return min(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    only = parser.parse_args().only
    speed = measure_speed()
    print("speed: " + ", ".join(f"{name} {each:.2g} s" for name, each in asdict(speed).items()))
    print(f"{'pack':<24} {'trials':>6} {'predicted ms':>13} {'measured ms':>12} {'ratio':>6}")
    logs = []
    for case in (case for case in CASES if only in case.name):
        for trials in case.packs:
            pack, data = case.make(trials)
            measured = measure_epoch(pack, data)
            predicted = epoch_seconds(speed, pack, case.rows, case.held_out)
            logs.append(np.log(predicted / measured))
            figures = f"{predicted * 1e3:>13.3f} {measured * 1e3:>12.3f}"
            print(f"{case.name:<24} {trials:>6,} {figures} {predicted / measured:>6.2f}")
    worst, usual = np.exp(np.abs(logs).max()), np.exp(np.sqrt(np.square(logs).mean()))
    print(f"off by a factor of {worst:.2f} at most, {usual:.2f} in the mean")


if __name__ == "__main__":
    main()
