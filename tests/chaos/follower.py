"""A watcher of one job through any number of restarts: each event once, in order."""

from __future__ import annotations

import base64
import threading
import time
from collections import Counter, defaultdict

import numpy as np
from tests.chaos.jobs import RETRY

from packtrain.client import (
    Client,
    Event,
    JobChanged,
    MetricsReceived,
    TrialsChanged,
    WatchSettings,
)

_SETTINGS = WatchSettings(heartbeat_seconds=2.0, give_up_seconds=300.0)


class Follower(threading.Thread):
    """Watches a job from its first event to its last. ``interruptions`` counts the connections that
    it lost."""

    def __init__(self, address: str, job: str) -> None:
        super().__init__(name=f"follower of {job}", daemon=True)
        self.job = job
        self.log = EventLog()
        self.interruptions = 0
        self.error: Exception | None = None
        self._address = address
        self.start()

    def run(self) -> None:
        """Watch."""
        try:
            with Client(self._address, retry=RETRY) as client:
                for event in client.watch_job(
                    self.job, settings=_SETTINGS, on_interruption=self._count
                ):
                    self.log.take(event)
        except Exception as error:  # told by whoever waits for this thread
            self.error = error

    def _count(self, _: Exception) -> None:
        self.interruptions += 1


class EventLog:
    """What came, and what was wrong about it."""

    def __init__(self) -> None:
        self.sequences: list[int] = []
        self.blocks: list[MetricsReceived] = []
        self.last_metrics_at = 0.0
        self._measured: Counter[tuple[int, int]] = Counter()
        self._ends: defaultdict[int, list[str]] = defaultdict(list)
        self._job_ends: list[str] = []

    def take(self, event: Event) -> None:
        """The next event."""
        self.sequences.append(sequence_of(event.resume_token))
        if isinstance(event, MetricsReceived):
            self.last_metrics_at = time.monotonic()
            self.blocks.append(event)
            measured = ~np.isnan(event.values).all(axis=2)
            for row, column in np.argwhere(measured).tolist():
                self._measured[event.trials[row], event.first_epoch + column] += 1
        elif isinstance(event, TrialsChanged) and event.state.is_terminal:
            for trial in event.trials:
                self._ends[trial].append(event.state)
        elif isinstance(event, JobChanged) and event.state.is_terminal:
            self._job_ends.append(event.state)

    def find_faults(self, name: str, trials: int) -> list[str]:
        """In what the log of a job that has ended is not: every event once, in order, every trial
        ended once, no epoch lost or doubled."""
        wrong = []
        if self.sequences != list(range(1, len(self.sequences) + 1)):
            wrong.append(f"{name}: events {_first_gap(self.sequences)}")
        doubled = [key for key, count in self._measured.items() if count > 1]
        if doubled:
            wrong.append(f"{name}: {len(doubled)} (trial, epoch) came twice, as {doubled[0]}")
        for trial in range(trials):
            epochs = sorted(epoch for t, epoch in self._measured if t == trial)
            if epochs != list(range(1, len(epochs) + 1)):
                wrong.append(f"{name}: trial {trial} lacks epochs of {epochs[:3]}...{epochs[-3:]}")
            if len(self._ends[trial]) != 1:
                wrong.append(f"{name}: trial {trial} ended {self._ends[trial]}, not once")
        if len(self._job_ends) != 1:
            wrong.append(f"{name}: the job ended {self._job_ends}, not once")
        return wrong


def sequence_of(token: str) -> int:
    """The place in the job's log that a token stands for."""
    return int(base64.urlsafe_b64decode(token).decode().rpartition(":")[2])


def _first_gap(sequences: list[int]) -> str:
    for position, (found, expected) in enumerate(zip(sequences, range(1, 10**9), strict=False)):
        if found != expected:
            return f"{sequences[max(0, position - 2) : position + 2]} came where {expected} was due"
    return "are in order"
