"""A job at hand: what can be done with it, without naming it again."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Self

from packtrain.client.errors import JobFailed, WaitTimeout
from packtrain.client.events import Event
from packtrain.client.models import Model
from packtrain.client.resources import Job, JobState, Trial
from packtrain.client.results import Results
from packtrain.client.settings import WatchSettings

if TYPE_CHECKING:
    from packtrain.client.client import Client

# Enough of a watch to see the job's states: the metrics of one trial.
STATES_ONLY = {"trials": (0,), "heartbeats": True}


class JobHandle:
    """A job of a server. ``latest`` is the job as it was last read."""

    def __init__(self, client: Client, job: Job) -> None:
        self._client = client
        self.latest = job

    def __repr__(self) -> str:
        return f"JobHandle({self.name!r}, {self.latest.state})"

    @property
    def name(self) -> str:
        """ "jobs/{job}" """
        return self.latest.name

    @property
    def id(self) -> str:
        """The name without "jobs/"."""
        return self.latest.id

    def refresh(self) -> Job:
        """Read the job as it is now."""
        self.latest = self._client.get_job(self.name)
        return self.latest

    def watch(self, **options: Any) -> Generator[Event, None, None]:
        """Its events; see :meth:`Client.watch_job` for the options."""
        return self._client.watch_job(self.name, **options)

    def wait(self, timeout_seconds: float | None = None) -> Self:
        """Wait until it has ended, SUCCEEDED or CANCELLED as ``latest.state`` tells, and go on
        from there: ``job.wait().results()``.

        Raises JobFailed where it FAILED, WaitTimeout where it did not end in time.
        """
        deadline = wait_deadline(timeout_seconds)
        settings = wait_settings(timeout_seconds)
        for _ in self.watch(settings=settings, **STATES_ONLY):
            check_deadline(deadline, self.name)
        check_outcome(self.refresh())
        return self

    def cancel(self) -> Job:
        """Stop it after the segments that are under way."""
        self.latest = self._client.cancel_job(self.name)
        return self.latest

    def delete(self) -> None:
        """Delete it, with its metrics and models, once it has ended."""
        self._client.delete_job(self.name)

    def trials(self) -> list[Trial]:
        """Its trials, by index."""
        return list(self._client.list_trials(self.name))

    def results(self, *, trials: Sequence[int] = (), metrics: Sequence[str] = ()) -> Results:
        """The metrics recorded so far."""
        return self._client.read_metrics(self.name, trials=trials, metrics=metrics)

    def model(self, trial: int = 0) -> Model:
        """The weights and biases of a trial that SUCCEEDED."""
        return self._client.download_model(self.name, trial)


def wait_settings(timeout_seconds: float | None) -> WatchSettings:
    """Heartbeats that come often enough to notice the end of the wait."""
    if timeout_seconds is None:
        return WatchSettings()
    return WatchSettings(heartbeat_seconds=min(10.0, max(0.1, timeout_seconds / 10)))


def wait_deadline(timeout_seconds: float | None) -> float:
    """When a wait that begins now is over, on the monotonic clock."""
    return float("inf") if timeout_seconds is None else time.monotonic() + timeout_seconds


def check_deadline(deadline: float, name: str) -> None:
    """Raise WaitTimeout when it is past."""
    if time.monotonic() > deadline:
        raise WaitTimeout(f"{name} did not end in the time given; it goes on")


def check_outcome(job: Job) -> None:
    """Raise JobFailed where it FAILED."""
    if job.state is JobState.FAILED:
        raise JobFailed(job)
