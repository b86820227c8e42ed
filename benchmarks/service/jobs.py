"""The jobs that are measured, and a watch of one to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from packtrain.client import (
    SGD,
    Client,
    DatasetSelection,
    JobSpec,
    MetricsReceived,
    Network,
    RandomSearch,
    RowRange,
    TrialsChanged,
    inline,
    log_uniform,
)
from packtrain.client.results import Block, Results

MNIST_ROWS = 1_000
NETWORK_EPOCHS = 30


def neurons(trials: int, epochs: int) -> JobSpec:
    """Neurons that learn to answer 1 with 0; output and cost of every epoch."""
    return JobSpec(
        dataset=inline([[1.0]], [[0.0]]),
        network=Network(output_activation="sigmoid"),
        optimizer=SGD(learning_rate=log_uniform(0.01, 1.0)),
        epochs=epochs,
        seed=1,
        metrics=["output", "training_cost"],
        search=RandomSearch(trials=trials),
    )


def mnist_networks(trials: int) -> JobSpec:
    """Networks [784, 30, 10] on 1,000 rows in mini-batches of 10, measured on 1,000 others."""
    return JobSpec(
        dataset=DatasetSelection(
            name="mnist", training_rows=MNIST_ROWS, validation=RowRange("test", count=MNIST_ROWS)
        ),
        network=Network(hidden=[30]),
        optimizer=SGD(learning_rate=log_uniform(0.1, 1.0)),
        epochs=NETWORK_EPOCHS,
        batch_size=10,
        seed=1,
        metrics=["training_cost", "validation_accuracy"],
        search=RandomSearch(trials=trials),
    )


def digits_networks(trials: int, epochs: int) -> JobSpec:
    """Networks [64, 30, 10] on 1,000 digits in mini-batches of 10, measured on the others."""
    return JobSpec(
        dataset=DatasetSelection(
            name="digits", training_rows=1_000, validation=RowRange(first=1_000)
        ),
        network=Network(hidden=[30]),
        optimizer=SGD(learning_rate=log_uniform(0.1, 1.0)),
        epochs=epochs,
        batch_size=10,
        seed=1,
        metrics=["training_cost", "validation_accuracy"],
        search=RandomSearch(trials=trials),
    )


@dataclass(frozen=True)
class Followed:
    """A job whose metrics were all delivered. Seconds are since the call of CreateJob."""

    job: str
    acknowledged_seconds: float
    first_metrics_seconds: float
    seconds: float
    blocks: list[MetricsReceived]

    def results(self) -> Results:
        """The curves, as they were delivered."""
        return Results.from_blocks(
            Block(b.trials, b.first_epoch, b.metrics, b.values) for b in self.blocks
        )


def follow(client: Client, spec: JobSpec, *, delete: bool = True) -> Followed:
    """Create a job and take in every metric of every epoch, each once, until it has ended."""
    begun = time.perf_counter()
    job = client.train(spec)
    acknowledged = time.perf_counter() - begun
    blocks: list[MetricsReceived] = []
    first, told = 0.0, 0
    for event in job.watch():
        if isinstance(event, MetricsReceived):
            first = first or time.perf_counter() - begun
            blocks.append(event)
        elif isinstance(event, TrialsChanged) and event.state.is_terminal:
            told += sum(event.epochs)
    seconds = time.perf_counter() - begun
    delivered = sum(int(np.any(~np.isnan(b.values), axis=2).sum()) for b in blocks)
    if not delivered or delivered != told:
        raise SystemExit(f"{job.name}: {told:,} epochs were trained, {delivered:,} delivered")
    if delete:
        job.delete()
    return Followed(job.name, acknowledged, first, seconds, blocks)
