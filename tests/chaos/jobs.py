"""Jobs of all kinds, small enough to train within seconds, and what each must come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.client import (
    SGD,
    TPE,
    Client,
    DatasetSelection,
    Grid,
    JobHandle,
    JobSpec,
    JobState,
    Network,
    Patience,
    PopulationBasedTraining,
    RandomSearch,
    RetrySettings,
    RowRange,
    Stopping,
    SuccessiveHalving,
    TrialState,
    log_uniform,
)

# Through several restarts, one after the other.
RETRY = RetrySettings(budget_seconds=300)

_BASE = JobSpec(
    dataset=DatasetSelection(name="digits", training_rows=500, validation=RowRange(first=1500)),
    network=Network(hidden=[20]),
    optimizer=SGD(learning_rate=log_uniform(0.01, 20), momentum=0.5),
    epochs=100,
    seed=11,
    search=RandomSearch(trials=16),
)
# The largest of these rates diverge in cost: that is found again too.
KINDS: dict[str, JobSpec] = {
    "grid": replace(_BASE, search=Grid(points=16)),
    "tpe": replace(
        _BASE,
        epochs=30,
        search=TPE(trials=24, batch_size=6, startup_trials=6),
        objectives="validation_cost",
    ),
    "halving": replace(
        _BASE,
        search=RandomSearch(trials=27),
        objectives="validation_cost",
        early_stopping=SuccessiveHalving(),
    ),
    "population": replace(
        _BASE,
        search=RandomSearch(trials=12),
        objectives="validation_cost",
        population=PopulationBasedTraining(every_epochs=20),
    ),
    "patience": replace(
        _BASE, stopping=Stopping(patience=Patience(metric="validation_cost", epochs=8))
    ),
}


@dataclass(frozen=True, eq=False)
class Reference:
    """What a job came to: (trials, epochs, metrics) and each trial's state, epochs, adaptations."""

    values: NDArray[np.float32]
    ends: list[tuple[Any, ...]]
    weights: list[NDArray[np.generic]]


def read_outcome(job: JobHandle) -> Reference:
    """What a job that has ended came to."""
    trials = job.trials()
    ends = [(t.state, t.epochs, t.parameters, t.adaptations) for t in trials]
    done = [t.index for t in trials if t.state is TrialState.SUCCEEDED]
    model = job.model(done[0])
    return Reference(job.results().values, ends, [*model.weights, *model.biases])


def train_references(address: str) -> dict[str, Reference]:
    """Every kind, undisturbed."""
    with Client(address, retry=RETRY) as client:
        jobs = {kind: client.train(spec) for kind, spec in KINDS.items()}
        return {kind: read_outcome(job.wait()) for kind, job in jobs.items()}


def compare(job: JobHandle, reference: Reference) -> list[str]:
    """In what a job that should be the same is not, bit for bit."""
    state = job.refresh().state
    if state is not JobState.SUCCEEDED:
        return [f"{job.name} is {state}, not succeeded"]
    found = read_outcome(job)
    wrong = []
    if not same_bits(found.values, reference.values):
        wrong.append(f"{job.name}: its metrics are not those of the undisturbed job")
    for trial, (end, expected) in enumerate(zip(found.ends, reference.ends, strict=True)):
        if end != expected:
            wrong.append(f"{job.name}: trial {trial} ended {end}, not {expected}")
    if not all(map(same_bits, found.weights, reference.weights)):
        wrong.append(f"{job.name}: its weights are not those of the undisturbed job")
    return wrong


def same_bits(found: NDArray[np.generic], expected: NDArray[np.generic]) -> bool:
    """Whether two arrays are the same, NaN included."""
    return found.shape == expected.shape and found.tobytes() == expected.tobytes()
