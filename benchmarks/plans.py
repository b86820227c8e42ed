"""What plans say that jobs take, beside what they took.

    python -m benchmarks.plans [--datasets DIR] [--only NAME] [--rounds N] [--json FILE]

Each job is planned by a server of two workers (`validate_only`) and then trained there. Its seconds
are those from the call of CreateJob until the last metric of the last trial has come. The least of
the rounds counts: a plan is of a server with nothing else to do.
"""

# ruff: noqa: E402  (threads are set before NumPy is imported)
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.processor import describe_processor
from benchmarks.service.jobs import digits_networks, follow, mnist_networks, neurons
from benchmarks.service.server import running_server

from packtrain.client import (
    NSGA2,
    SGD,
    TPE,
    Adam,
    Client,
    CmaEs,
    DatasetSelection,
    Grid,
    Hyperband,
    JobSpec,
    MedianRule,
    Network,
    PopulationBasedTraining,
    RandomSearch,
    Regularization,
    Sobol,
    SuccessiveHalving,
    choice,
    log_uniform,
    uniform,
    xor,
)

WORKERS = 2
# Below, nobody waits for a job: whether it takes 0.05 or 0.15 s is told, and not held against it.
FLOOR_SECONDS = 0.3
FACTOR = 2.0
ACCURACY = "validation_accuracy"
# Of digits and of MNIST: cost, accuracy and more of both splits.
ALL_METRICS = [
    f"{split}_{kind}" for split in ("training", "validation") for kind in ("cost", "accuracy", "f1")
]


@dataclass(frozen=True)
class Case:
    """A job; ``needs_mnist`` where it is left out without."""

    name: str
    spec: JobSpec
    needs_mnist: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a plan said, and what the job took, in seconds."""

    name: str
    planned: float
    one_worker: float
    measured: float

    @property
    def ratio(self) -> float:
        """Above 1: less time than planned."""
        return self.planned / self.measured

    @property
    def holds(self) -> bool:
        """Within the factor, or both below the floor."""
        if max(self.planned, self.measured) < FLOOR_SECONDS:
            return True
        return 1 / FACTOR <= self.ratio <= FACTOR


def xor_networks(search: Any, epochs: int) -> JobSpec:
    """Networks [2, 3, 1] on the four corners, all in one mini-batch."""
    return JobSpec(
        dataset=xor(),
        network=Network(hidden=[3]),
        optimizer=SGD(learning_rate=log_uniform(0.1, 10.0)),
        epochs=epochs,
        batch_size=4,
        seed=1,
        metrics=["training_cost"],
        search=search,
    )


def digits(trials: int, epochs: int, hidden: Any = (30,), **changes: Any) -> JobSpec:
    """Networks on 1,000 digits: in mini-batches of 10 by default."""
    network = Network(hidden=hidden if not isinstance(hidden, tuple) else list(hidden))
    return replace(digits_networks(trials, epochs), network=network, **changes)


def searched(search: Any, epochs: int, **changes: Any) -> JobSpec:
    """A search over three numbers, for the accuracy on other digits."""
    return replace(
        digits_networks(1, epochs),
        optimizer=SGD(learning_rate=log_uniform(0.01, 5.0), momentum=uniform(0.0, 0.9)),
        regularization=Regularization(l2=log_uniform(0.001, 1.0)),
        metrics=[ACCURACY],
        objectives=ACCURACY,
        search=search,
        **changes,
    )


def halved(trials: int, epochs: int, rule: Any) -> JobSpec:
    """A random search over the learning rate that stops early."""
    return digits(trials, epochs, objectives=ACCURACY, early_stopping=rule)


def cases() -> Iterator[Case]:
    """Jobs of all kinds."""
    yield Case("a neuron x 300", neurons(1, 300))
    yield Case("10,000 neurons x 300", neurons(10_000, 300))
    yield Case("100,000 neurons x 100", neurons(100_000, 100))
    yield Case("XOR, 1,000 x 2,000", xor_networks(RandomSearch(trials=1_000), 2_000))
    yield Case("XOR, Sobol, 8,192 x 100", xor_networks(Sobol(trials=8_192), 100))
    yield Case("digits, a network x 30", digits(1, 30))
    yield Case("digits, 64 x 30", digits(64, 30))
    yield Case("digits, 1,000 x 10", digits(1_000, 10))
    yield Case("digits, [200, 100], 8 x 10", digits(8, 10, (200, 100)))
    yield Case("digits, 5 layers, 16 x 20", digits(16, 20, (30, 30, 30, 30, 30)))
    yield Case("digits, mini-batch 1, 16 x 5", digits(16, 5, batch_size=1))
    yield Case("digits, full batch, 64 x 300", digits(64, 300, batch_size=1_000))
    dropout = Regularization(dropout=0.5)
    yield Case("digits, dropout, 32 x 20", digits(32, 20, (60,), regularization=dropout))
    adam = Adam(learning_rate=log_uniform(0.0001, 0.01))
    yield Case("digits, Adam, 64 x 20", digits(64, 20, optimizer=adam))
    measured = digits(32, 100, batch_size=250, metrics=ALL_METRICS)
    yield Case("digits, much measured, 32 x 100", measured)
    widths = digits(
        1,
        10,
        choice([10], [30], [60, 30]),
        search=Grid(points=9),
        optimizer=choice(SGD(learning_rate=log_uniform(0.05, 5.0)), adam),
    )
    yield Case("digits, grid of widths and rules", widths)
    yield from _searches()
    yield Case("MNIST, 64 x [784, 30, 10] x 30", mnist_networks(64), needs_mnist=True)
    large = replace(
        mnist_networks(4),
        dataset=DatasetSelection(name="mnist", training_rows=10_000, validation="test"),
        network=Network(hidden=[300, 100]),
        optimizer=adam,
        batch_size=32,
        epochs=4,
    )
    yield Case("MNIST, 4 x [784, 300, 100, 10] x 4", large, needs_mnist=True)


def _searches() -> Iterator[Case]:
    yield Case("TPE, 64 x 10", searched(TPE(trials=64), 10))
    yield Case("TPE, 512 x 10", searched(TPE(trials=512), 10))
    yield Case("TPE, 2,048 x 1", searched(TPE(trials=2_048), 1))
    yield Case("CMA-ES, 160 x 10", searched(CmaEs(trials=160), 10))
    yield Case("NSGA-II, 512 x 10", searched(NSGA2(trials=512), 10))
    yield Case("halving, 243 x 27", halved(243, 27, SuccessiveHalving()))
    yield Case("Hyperband, 486 x 27", halved(486, 27, Hyperband()))
    yield Case("median rule, 120 x 27", halved(120, 27, MedianRule(least_epochs=3, every_epochs=3)))
    population = PopulationBasedTraining(every_epochs=5)
    spec = digits(32, 40, objectives=ACCURACY, population=population)
    yield Case("population, 32 x 40", spec)


def measure(client: Client, case: Case, rounds: int) -> Outcome:
    """Plan it, then train it as often."""
    plan = client.create_job(case.spec, validate_only=True).plan
    seconds = min(follow(client, case.spec).seconds for _ in range(rounds))
    return Outcome(case.name, plan.seconds, plan.worker_seconds, seconds)


def _tell(outcome: Outcome) -> str:
    figures = f"{outcome.planned:>8.2f} {outcome.measured:>9.2f} {outcome.ratio:>6.2f}"
    floor = max(outcome.planned, outcome.measured) < FLOOR_SECONDS
    note = "" if outcome.holds and not floor else "  below the floor" if floor else "  NO"
    return f"{outcome.name:<36} {outcome.one_worker:>11.2f} {figures}{note}"


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=Path, help="a directory that holds MNIST, as DIR/mnist")
    parser.add_argument("--only", default="", help="jobs whose name has this in it")
    parser.add_argument("--rounds", type=int, default=1, help="the least of so many counts")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    chosen = [
        case
        for case in cases()
        if options.only in case.name and (options.datasets or not case.needs_mnist)
    ]
    outcomes: list[Outcome] = []
    with (
        tempfile.TemporaryDirectory(prefix="packtrain-plans-") as folder,
        running_server(
            Path(folder) / "server", WORKERS, [options.datasets] if options.datasets else []
        ) as server,
        Client(server.address) as client,
    ):
        for warm in (neurons(10_000, 10), digits(8, 2), searched(TPE(trials=64), 1)):
            follow(client, warm)
        print(f"{WORKERS} workers on {os.cpu_count()} cores of {describe_processor()}, warm")
        print(f"{'seconds':<36} {'one worker':>11} {'planned':>8} {'measured':>9} {'ratio':>6}")
        for case in chosen:
            outcomes.append(measure(client, case, options.rounds))
            print(_tell(outcomes[-1]), flush=True)
    within = sum(outcome.holds for outcome in outcomes)
    print(f"{within} of {len(outcomes)} within a factor of {FACTOR:g}")
    if options.json:
        options.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=2) + "\n")


if __name__ == "__main__":
    main()
