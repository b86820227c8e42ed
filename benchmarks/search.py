"""What algorithms that learn cost, and what they find, beside plain Optuna.

    python benchmarks/search.py [--json FILE] [--seeds N] [--trials N]

First the time of asking and telling alone, over a function that costs nothing. Then the best
validation accuracy on the digits for equal numbers of trials, through a server on this machine:
random search, TPE in batches, and Optuna's TPE asked one by one, each trial a job of its own.
"""

# ruff: noqa: E402  (threads are set before NumPy is imported)
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from packtrain.client import (
    SGD,
    TPE,
    AsyncClient,
    DatasetSelection,
    JobSpec,
    Network,
    RandomSearch,
    Regularization,
    RowRange,
    choice,
    log_uniform,
    uniform,
)
from packtrain.client.searches import Search
from packtrain.service.domains import Choice, Uniform
from packtrain.service.learners import Tpe
from packtrain.service.parameters import Parameter
from packtrain.service.proposals import Proposer
from packtrain.service.server import running_server
from packtrain.service.settings import Settings
from packtrain.workers import LocalEngine

ASKED, BATCHES = 1_000, (8, 32)
WORKERS = 2
TRAINED, MEASURED = 1_438, 359
METRIC = "validation_accuracy"
WIDTHS = ([10], [30], [60])
RATES, MOMENTA, DECAYS = (0.01, 10.0), (0.0, 0.95), (0.001, 10.0)

SPACE = (
    Parameter("rate", Uniform(*RATES, log=True)),
    Parameter("momentum", Uniform(*MOMENTA)),
    Parameter("decay", Uniform(*DECAYS, log=True)),
    Parameter("width", Choice(len(WIDTHS))),
)


def suggest(trial: optuna.Trial) -> tuple[float, float, float, int]:
    """A point of the space, as plain Optuna has it."""
    return (
        trial.suggest_float("rate", *RATES, log=True),
        trial.suggest_float("momentum", *MOMENTA),
        trial.suggest_float("decay", *DECAYS, log=True),
        trial.suggest_categorical("width", range(len(WIDTHS))),
    )


def time_proposer(batch: int) -> float:
    """Seconds of so many trials in batches."""
    began = time.perf_counter()
    proposer = Proposer(SPACE, Tpe(ASKED, batch), 1, seed=1)
    for first in range(0, ASKED, batch):
        points = proposer.propose(first, min(batch, ASKED - first))
        proposer.learn(first, points, -((points - 0.3) ** 2).sum(axis=1, keepdims=True))
    return time.perf_counter() - began


def time_restart(batch: int) -> float:
    """Seconds until a study of all but the last trials proposes again."""
    points = np.random.default_rng(0).random((ASKED, len(SPACE)))
    began = time.perf_counter()
    proposer = Proposer(SPACE, Tpe(ASKED + batch, batch), 1, seed=1)
    proposer.learn(0, points, -((points - 0.3) ** 2).sum(axis=1, keepdims=True))
    proposer.propose(ASKED, batch)
    return time.perf_counter() - began


def time_optuna(batch: int) -> float:
    """Seconds of plain Optuna, asked for so many at a time."""
    began = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1), direction="maximize")
    for first in range(0, ASKED, batch):
        asked = [study.ask() for _ in range(min(batch, ASKED - first))]
        for trial in asked:
            suggest(trial)
        for trial in asked:
            study.tell(trial, -((np.array(list(trial.params.values())) - 0.3) ** 2).sum())
    return time.perf_counter() - began


def network(seed: int, search: Search | None, values: dict[str, Any] | None = None) -> JobSpec:
    """The search of the space, or a network at a point of it."""
    domains = {
        "rate": log_uniform(*RATES),
        "momentum": uniform(*MOMENTA),
        "decay": log_uniform(*DECAYS),
        "hidden": choice(*WIDTHS),
    }
    at = values or domains
    return JobSpec(
        # The same rows whatever the seed: 128 draws of them would find the luckiest.
        dataset=DatasetSelection(
            name="digits",
            training_rows=TRAINED,
            validation=RowRange(first=TRAINED, count=MEASURED),
            scaling="min_max",
        ),
        network=Network(hidden=at["hidden"]),
        optimizer=SGD(learning_rate=at["rate"], momentum=at["momentum"]),
        regularization=Regularization(l2=at["decay"]),
        epochs=10,
        seed=seed,
        metrics=[METRIC],
        search=search,
        objectives=METRIC if search else (),
    )


async def train(client: AsyncClient, spec: JobSpec) -> list[float]:
    """The accuracies of a job's trials, 0 where one diverged."""
    job = await client.train(spec)
    await job.wait()
    return [trial.final_metrics.get(METRIC, 0.0) or 0.0 for trial in await job.trials()]


async def search_alone(client: AsyncClient, seed: int, trials: int) -> list[float]:
    """Plain Optuna, one job after another."""
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    found: list[float] = []
    for k in range(trials):
        trial = study.ask()
        rate, momentum, decay, width = suggest(trial)
        at = {"rate": rate, "momentum": momentum, "decay": decay, "hidden": WIDTHS[width]}
        try:
            (accuracy,) = await train(client, network(1000 * seed + k, None, at))
        except Exception:  # the only trial of the job diverged
            accuracy = 0.0
        study.tell(trial, accuracy)
        found.append(accuracy)
    return found


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[AsyncClient]:
    """A server with workers in threads, and a client."""
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(port=0, data_dir=Path(directory), workers=WORKERS)
        engine = LocalEngine(workers=WORKERS)
        async with (
            running_server(settings, lambda _settings, _on_change: engine) as server,
            AsyncClient(server.address) as client,
        ):
            yield client


async def compare(seeds: int, trials: int) -> list[dict[str, Any]]:
    """The best after a half and after all trials, of each way to search, over the seeds."""
    ways: dict[str, Callable[[AsyncClient, int], Any]] = {
        "random": lambda c, s: train(c, network(s, RandomSearch(trials=trials))),
        "TPE, batches of 32": lambda c, s: train(c, network(s, TPE(trials=trials))),
        "TPE, batches of 8": lambda c, s: train(c, network(s, TPE(trials=trials, batch_size=8))),
        "Optuna's TPE, one by one": lambda c, s: search_alone(c, s, trials),
    }
    rows = []
    async with serving() as client:
        await train(client, network(1, RandomSearch(trials=4)))
        for name, way in ways.items():
            found, seconds = [], []
            for seed in range(1, seeds + 1):
                began = time.perf_counter()
                found.append(await way(client, seed))
                seconds.append(time.perf_counter() - began)
            rows.append(
                {
                    "search": name,
                    "half": statistics.mean(max(f[: trials // 2]) for f in found),
                    "best": statistics.mean(max(f) for f in found),
                    "median": statistics.mean(statistics.median(f[trials // 2 :]) for f in found),
                    "seconds": statistics.mean(seconds),
                }
            )
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=128)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    time_proposer(500)  # imports
    asked = {
        f"{what}, batches of {batch}": measure(batch)
        for batch in BATCHES
        for what, measure in (("proposals", time_proposer), ("plain Optuna", time_optuna))
    }
    asked["plain Optuna, one by one"] = time_optuna(1)
    asked["first batch after a restart"] = time_restart(BATCHES[-1])
    print(f"{f'{ASKED:,} trials of TPE':<32} {'seconds':>8}")
    for name, seconds in asked.items():
        print(f"{name:<32} {seconds:>8.2f}")
    rows = asyncio.run(compare(options.seeds, options.trials))
    print(f"\n{f'{options.trials} trials, mean of {options.seeds} seeds':<32} ", end="")
    print(f"{'best of half':>12} {'best':>8} {'median of 2nd half':>19} {'seconds':>8}")
    for row in rows:
        figures = f"{row['half']:>12.4f} {row['best']:>8.4f} {row['median']:>19.4f}"
        print(f"{row['search']:<32} {figures} {row['seconds']:>8.1f}")
    if options.json:
        options.json.write_text(json.dumps({"asked": asked, "found": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
