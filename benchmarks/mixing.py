"""What it costs that the trials of a pack differ: each kind of pack beside one whose trials are
alike, in turns.

    python -m benchmarks.mixing

64 networks [784, 30, 10] in mini-batches of 10 on 1,000 rows, the accuracy of 1,000 others each
epoch, on one core. A ratio of 1 means that differing costs nothing.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from benchmarks.processor import describe_processor

from packtrain.training import (
    Activation,
    Cost,
    He,
    LeCun,
    Pack,
    Rule,
    Schedule,
    Signature,
    StepDecay,
    TargetKind,
    TrainingData,
    UnitGaussian,
    Xavier,
    make_trials,
    train_segment,
)

TRIALS, ROWS, EPOCHS = 64, 1000, 2
ALIKE: dict[str, Any] = {"learning_rate": 0.1, "l2": 0.1}


def _take(*values: Any) -> list[Any]:
    return [values[i % len(values)] for i in range(TRIALS)]


def kinds() -> Iterator[tuple[str, dict[str, Any]]]:
    """What the trials of each pack differ in."""
    some = np.linspace(0.05, 0.5, TRIALS)
    yield "learning rates", {"learning_rate": some}
    yield "L2", {"l2": some}
    yield "seeds of the weights", {"seeds": np.arange(TRIALS)}
    yield "two costs", {"cost": _take(Cost.CROSS_ENTROPY, Cost.QUADRATIC)}
    yield "four initializations", {"initialization": _take(He(), LeCun(), UnitGaussian(), Xavier())}
    yield "four schedules", {"schedule": _take(*(Schedule(StepDecay(n)) for n in (1, 2, 3, 4)))}
    yield "half with momentum", {"momentum": _take(0.9, 0.0)}
    yield "all with momentum", {"momentum": 0.9}
    yield "momenta", {"momentum": some}
    yield "all Adam", {"rule": Rule.ADAM}
    yield "Adam, learning rates", {"rule": Rule.ADAM, "learning_rate": some / 100}
    yield "8 rules", {"rule": _take(*Rule)}
    yield "8 values of input noise", {"input_noise": _take(*np.linspace(0.01, 0.1, 8))}
    yield "8 orders of the rows", {"order_seeds": _take(*range(8))}
    yield "64 orders of the rows", {"order_seeds": np.arange(TRIALS)}


def make_training(rows: int, **numbers: Any) -> Callable[[], float]:
    """A call that trains a pack and tells the seconds that it took."""
    signature = Signature(
        sizes=(784, 30, 10),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=10,
        epochs=EPOCHS + 1,
        data_type="float32",
        metrics=("validation_accuracy",),
    )
    rng = np.random.default_rng(0)

    def split() -> tuple[Any, Any]:
        targets = np.eye(10, dtype=np.float32)[rng.integers(0, 10, rows)]
        return rng.random((rows, 784), dtype=np.float32), targets

    data = TrainingData(*split(), *split(), TargetKind.CLASSES)
    pack = Pack(signature, make_trials(TRIALS, **{**ALIKE, **numbers}))
    start, _ = train_segment(pack, data, None, 1)

    def run() -> float:
        began = time.perf_counter()
        train_segment(pack, data, start, EPOCHS)
        return time.perf_counter() - began

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description="What it costs that the trials of a pack differ.")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows to train on, and to measure")
    parser.add_argument("--rounds", type=int, default=5, help="turns; the least of each counts")
    parser.add_argument("--only", default="", help="kinds whose name has this in it")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"One core of {describe_processor()}; a pack of {TRIALS} that are alike takes 1.")
    alike = make_training(arguments.rows)
    for name, numbers in kinds():
        if arguments.only not in name:
            continue
        other = make_training(arguments.rows, **numbers)
        turns = [(alike(), other()) for _ in range(arguments.rounds)]
        ours, theirs = (min(seconds) for seconds in zip(*turns, strict=True))
        print(f"  {name:<26}{theirs / ours:6.2f}", flush=True)


if __name__ == "__main__":
    main()
