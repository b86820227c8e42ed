"""A job followed through the published port, and whether it is the one that was asked for."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from packtrain.client import (
    SGD,
    Client,
    DatasetSelection,
    JobChanged,
    JobSpec,
    JobState,
    MetricsReceived,
    Network,
    RandomSearch,
    Results,
    RowRange,
    WatchSettings,
    log_uniform,
)
from packtrain.client.models import Model

PATIENCE_SECONDS = 300.0


def make_spec(epochs: int) -> JobSpec:
    """Twelve networks of the digits."""
    return JobSpec(
        dataset=DatasetSelection(
            name="digits", training_rows=1000, validation=RowRange(first=1500)
        ),
        network=Network(hidden=[30]),
        optimizer=SGD(learning_rate=log_uniform(0.01, 5), momentum=0.5),
        epochs=epochs,
        seed=11,
        search=RandomSearch(trials=12),
    )


@dataclass
class Outcome:
    """What an undisturbed job came to."""

    results: Results
    model: Model


@dataclass
class Follower:
    """Watches one job from its start to its end, in a thread of its own."""

    client: Client
    job_id: str
    epochs: int
    ends: list[JobState] = field(default_factory=list)
    interruptions: int = 0
    metrics_at: list[float] = field(default_factory=list)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.seen = np.zeros((12, self.epochs + 1), int)
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def begin(self) -> None:
        """Submit the job, and follow it."""
        self.client.create_job(make_spec(self.epochs), self.job_id, request_id=self.job_id)
        self._thread.start()

    def wait_progress(self, fraction: float) -> bool:
        """Return when so much of the job was told; False where it ended before."""
        wanted = fraction * self.seen[:, 1:].size
        with self._moved:
            self._moved.wait_for(
                lambda: self.seen.sum() >= wanted or not self._thread.is_alive(), PATIENCE_SECONDS
            )
        return not self.ends

    def wait_end(self) -> None:
        """Return when the watch has told all. Raises what it ended with."""
        self._thread.join(PATIENCE_SECONDS)
        if self.error is not None:
            raise self.error
        if self._thread.is_alive():
            raise TimeoutError(f"{self.job_id} did not end within {PATIENCE_SECONDS:.0f} s")

    def told(self, gone: float, back: float) -> str:
        """How the watch went since a container was gone, in a sentence; times as of
        ``time.monotonic``."""
        since = [gone, *(at for at in self.metrics_at if at > gone)]
        silence = max(np.diff(since), default=float("nan"))
        later = [at - back for at in since if at > back]
        metrics = f"metrics {later[0]:.1f} s after it was back" if later else "no metrics since"
        return (
            f"{metrics}, the longest silence {silence:.1f} s, the watch cut {self.interruptions} "
            f"times, the job at its end {time.monotonic() - gone:.1f} s after it was gone"
        )

    def faults(self, expected: Outcome) -> list[str]:
        """What is not as it was to be; empty: nothing was lost, doubled or changed."""
        found = []
        if self.ends != [JobState.SUCCEEDED]:
            found.append(f"it ended as {[str(end) for end in self.ends]}, not once SUCCEEDED")
        told = self.seen[:, 1:]
        if (told != 1).any():
            found.append(f"{(told == 0).sum()} epochs were lost, {(told > 1).sum()} doubled")
        job = self.client.job(self.job_id)
        if not np.array_equal(job.results().values, expected.results.values, equal_nan=True):
            found.append("its metrics are not those of the undisturbed job")
        if not _equal(job.model(3), expected.model):
            found.append("its weights are not those of the undisturbed job")
        return found

    def _follow(self) -> None:
        settings = WatchSettings(heartbeat_seconds=2, give_up_seconds=PATIENCE_SECONDS)
        try:
            for event in self.client.watch_job(
                self.job_id, settings=settings, on_interruption=self._interrupted
            ):
                with self._moved:
                    self._take(event)
                    self._moved.notify_all()
        except Exception as error:
            self.error = error
        with self._moved:
            self._moved.notify_all()

    def _take(self, event: object) -> None:
        if isinstance(event, MetricsReceived):
            last = event.first_epoch + event.values.shape[1]
            self.seen[np.ix_(event.trials, range(event.first_epoch, last))] += 1
            self.metrics_at.append(time.monotonic())
        elif isinstance(event, JobChanged) and event.state.is_terminal:
            self.ends.append(event.state)

    def _interrupted(self, error: Exception) -> None:
        self.interruptions += 1


def _equal(one: Model, other: Model) -> bool:
    parts = zip([*one.weights, *one.biases], [*other.weights, *other.biases], strict=True)
    return all(np.array_equal(a, b) for a, b in parts)
