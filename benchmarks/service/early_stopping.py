"""Successive halving beside the same search without: time and the best network that it finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from benchmarks.service.bench import Bench
from benchmarks.service.jobs import follow
from benchmarks.service.table import Line

from packtrain.client import (
    SGD,
    DatasetSelection,
    He,
    JobSpec,
    Network,
    RandomSearch,
    Regularization,
    RowRange,
    ScaledGaussian,
    SuccessiveHalving,
    UnitGaussian,
    Xavier,
    choice,
    log_uniform,
)

TRIALS, EPOCHS = 1_000, 81
ASKED_TIMES, ASKED_LOSS = 5, 0.005
METRIC = "validation_accuracy"


def search(seed: int) -> JobSpec:
    """Networks [64, 30, 10] on 1,000 digits: learning rates, L2 and initializations."""
    return JobSpec(
        dataset=DatasetSelection(
            name="digits", training_rows=1_000, validation=RowRange(first=1_000)
        ),
        network=Network(hidden=[30]),
        optimizer=SGD(learning_rate=log_uniform(0.001, 10.0)),
        regularization=Regularization(l2=log_uniform(0.001, 10.0)),
        initialization=choice(ScaledGaussian(), UnitGaussian(), Xavier(), He()),
        epochs=EPOCHS,
        batch_size=10,
        seed=seed,
        metrics=[METRIC],
        search=RandomSearch(trials=TRIALS),
        objectives=METRIC,
    )


def measure_early_stopping(bench: Bench) -> list[Line]:
    """Several seeds, each with and without, in turns."""
    row, job = "early-stopping", f"successive halving, {TRIALS:,} trials x {EPOCHS} epochs, digits"
    found = []
    for seed in range(1, bench.rounds(1, 5) + 1):
        bench.report(f"{job}: seed {seed}")
        found.append([_run(bench, spec) for spec in _pair(seed)])
    return _lines(row, job, np.array(found))


def _pair(seed: int) -> tuple[JobSpec, JobSpec]:
    spec = search(seed)
    return spec, replace(spec, early_stopping=SuccessiveHalving())


def _run(bench: Bench, spec: JobSpec) -> tuple[float, float]:
    """Seconds, and the best of all last accuracies."""
    followed = follow(bench.client, spec)
    return followed.seconds, followed.results().best(METRIC).value


def _lines(row: str, job: str, found: Any) -> list[Line]:
    """``found`` is (seeds, 2, 2): without and with, seconds and best."""
    seconds, best = found[:, :, 0], found[:, :, 1]
    ratios, losses = seconds[:, 0] / seconds[:, 1], best[:, 0] - best[:, 1]
    ratio, loss = float(np.median(ratios)), float(np.max(losses))
    pairs = ", ".join(f"{without:.4f}/{stopped:.4f}" for without, stopped in best)
    figures = {"seconds": seconds.tolist(), "best": best.tolist()}
    return [
        Line(
            row,
            job,
            f"{ratio:.1f} times less time ({np.median(seconds[:, 0]):.1f} s to "
            f"{np.median(seconds[:, 1]):.1f} s; least {ratios.min():.1f} of {len(found)} seeds)",
            f"{ASKED_TIMES} times",
            ratio >= ASKED_TIMES,
            figures | {"ratio": ratio},
        ),
        Line(
            row,
            job,
            f"best accuracy without/with: {pairs}",
            f"at most {ASKED_LOSS:.1%} worse",
            loss <= ASKED_LOSS,
            {"most_lost": loss},
        ),
    ]
