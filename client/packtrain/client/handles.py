"""A job at hand: what can be done with it, without naming it again."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from packtrain.client.errors import JobFailed, WaitTimeout
from packtrain.client.events import Event
from packtrain.client.export import open_export
from packtrain.client.models import Model
from packtrain.client.repeats import Repeats, group_repeats
from packtrain.client.resources import BestTrial, Importance, Job, JobState, Trial
from packtrain.client.results import Goal, Results, leading_metric, objectives_of
from packtrain.client.settings import WatchSettings
from packtrain.client.trial_columns import TrialColumns

if TYPE_CHECKING:
    from packtrain.client.client import Client

# Enough of a watch to see the job's states: the metrics of one trial.
STATES_ONLY = {"trials": (0,), "heartbeats": True}
# What the server gives at a time where all are wanted.
LARGEST_PAGE = 1000


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

    def pause(self) -> Job:
        """Hold it after the segments that are under way, until it is resumed."""
        self.latest = self._client.pause_job(self.name)
        return self.latest

    def resume(self) -> Job:
        """Let it go on, where it is PAUSED."""
        self.latest = self._client.resume_job(self.name)
        return self.latest

    def retry(self) -> Job:
        """Train its trials anew that have FAILED."""
        self.latest = self._client.retry_job(self.name)
        return self.latest

    def update(self, **changes: Any) -> Job:
        """Change ``labels``, ``priority``, ``trials`` or ``epochs``; see
        :meth:`Client.update_job`."""
        self.latest = self._client.update_job(self.name, **changes)
        return self.latest

    def delete(self) -> None:
        """Delete it, with its metrics and models, once it has ended."""
        self._client.delete_job(self.name)

    def trials(self, **query: Any) -> list[Trial]:
        """Its trials, by index where nothing else is asked for; see :meth:`Client.list_trials`:
        ``job.trials(filter="epochs < 30", order_by="validation_cost")``."""
        return list(self._client.list_trials(self.name, **query))

    def best(self, metric: str | None = None, goal: Goal | None = None) -> BestTrial:
        """The best trial so far, also while it trains, of those that neither DIVERGED nor FAILED.

        ``metric`` None takes the search's first objective, or else the one that tells most of
        those measured; ``goal`` None the highest of accuracies and their like and the lowest of all
        else. Raises NoBestTrial where there is none, such as before the first value.
        """
        return self._client.best_trial(self.name, *chosen_metric(self.latest, metric, goal))

    def pareto(self, *metrics: str) -> list[Trial]:
        """The Pareto front of two or more metrics, the best by the first of them first.

        "asc" or "desc" after a metric says whether its lowest or its highest value is the best:
        ``job.pareto("validation_accuracy", "weight_norm/1 asc")``.
        """
        return self.trials(pareto=metrics)

    def importance(self, metric: str | None = None, goal: Goal | None = None) -> Importance:
        """How much each searched parameter matters; the defaults are those of :meth:`best`."""
        return self._client.importance(self.name, *chosen_metric(self.latest, metric, goal))

    def repeats(self) -> list[Repeats]:
        """Trials that differ in their seed alone, grouped: the mean and the standard deviation of
        each metric."""
        return group_repeats(self.trials(page_size=LARGEST_PAGE))

    def export(self, path: Path | str, *, history: bool = False) -> Path:
        """Write all trials into one file, Parquet or CSV by its ending: a row for each trial, or,
        with ``history``, for each trial and epoch.

        The memory that it takes grows with the trials and not with their epochs. Raises
        ValueError for another ending, MissingExtra where Parquet needs one.
        """
        columns = TrialColumns()
        for trial in self._client.list_trials(self.name, page_size=LARGEST_PAGE):
            columns.add(trial)
        with open_export(Path(path), columns, self.latest.metrics, history=history) as file:
            if history:
                for block in self._client.stream_metrics(self.name):
                    file.add(block)
        return Path(path)

    def results(self, *, trials: Sequence[int] = (), metrics: Sequence[str] = ()) -> Results:
        """The metrics recorded so far."""
        return self._client.read_metrics(self.name, trials=trials, metrics=metrics)

    def model(self, trial: int = 0) -> Model:
        """The weights and biases of a trial that SUCCEEDED."""
        return self._client.download_model(self.name, trial)


def chosen_metric(job: Job, metric: str | None, goal: Goal | None) -> tuple[str, Goal | None]:
    """The metric and the goal, or else the first objective of the job."""
    if metric is not None:
        return metric, goal
    for objective, its_goal in objectives_of(job)[:1]:
        return objective, goal or its_goal
    return leading_metric(job.metrics) or "", goal


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
