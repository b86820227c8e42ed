"""Following a job: its events as JSON lines, as a progress bar, or as plain lines."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from packtrain.client.calls import directed
from packtrain.client.client import Client
from packtrain.client.commands.failures import EXIT_INTERRUPTED, OUTCOMES
from packtrain.client.commands.output import event_form, print_json, print_table
from packtrain.client.commands.trials import trial_table
from packtrain.client.errors import ApiError
from packtrain.client.events import Event, JobChanged, MetricsReceived, TrialsChanged
from packtrain.client.resources import UNRANKED_STATES, Job, JobState
from packtrain.client.results import default_goal, leading_metric, leading_objective

# Lines of progress in a pipe are this far apart.
_LINE_SECONDS = 5.0
# Columns of a terminal with room for the time that remains, and for the time that has gone.
_WIDE, _MEDIUM = 140, 95
# Trials in the table at the end.
_TOP = 10


class Tally:
    """How many epochs of all trials are done, and the best of the trials' latest values.

    The latest, not the best ever, is what the table at the end and Results.best compare; none of
    these counts a trial that DIVERGED or FAILED.
    """

    def __init__(self, job: Job) -> None:
        self.total = job.progress.trial_epochs_total
        self.done = 0
        self._metric, self._goal = leading_objective(job)
        self._latest: NDArray[np.float32] = np.full(job.progress.trials, np.nan, np.float32)

    def add(self, event: Event) -> None:
        """Count an event in."""
        if isinstance(event, MetricsReceived):
            # After a trial's end its part of a block holds NaN, and counts as done all the same.
            self.done += event.values.shape[0] * event.values.shape[1]
            self._note_latest(event)
        elif isinstance(event, TrialsChanged) and event.state in UNRANKED_STATES:
            trials = np.array(event.trials, np.intp)
            self._latest[trials[trials < len(self._latest)]] = np.nan

    @property
    def best(self) -> str:
        """The leading metric and its best latest value, in words; "" before there is one."""
        if self._metric is None or not np.isfinite(self._latest).any():
            return ""
        is_high = self._goal == "max"
        losses = np.where(np.isfinite(self._latest), self._latest * (-1 if is_high else 1), np.inf)
        trial = int(losses.argmin())
        who = f" (trial {trial})" if len(self._latest) > 1 else ""
        return f"best {self._metric} {self._latest[trial]:.4g}{who}"

    def _note_latest(self, event: MetricsReceived) -> None:
        if self._metric not in event.metrics:  # the watch leaves it out
            self._metric = leading_metric(event.metrics)
            self._goal = default_goal(self._metric or "")
        measured = np.asarray(np.any(~np.isnan(event.values), axis=2))
        rows = np.flatnonzero(np.any(measured, axis=1))
        if self._metric is None or not rows.size:
            return
        trials = np.array(event.trials)[rows]
        missing = trials.max() + 1 - len(self._latest)
        if missing > 0:
            self._latest = np.pad(self._latest, (0, missing), constant_values=np.nan)
        last = measured.shape[1] - 1 - measured[rows, ::-1].argmax(axis=1)
        self._latest[trials] = event.values[rows, last, event.metrics.index(self._metric)]

    def __str__(self) -> str:
        best = f", {self.best}" if self.best else ""
        return f"{min(self.done, self.total)} of {self.total} trial-epochs{best}"


class Display(Protocol):
    """Shows events as they come."""

    def show(self, event: Event) -> None: ...


class JsonLines:
    """One JSON object an event."""

    def show(self, event: Event) -> None:
        print_json(event_form(event))


class PlainLines:
    """Changes of state at once, progress now and then."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._tally = Tally(job)
        self._last_line = time.monotonic()

    def show(self, event: Event) -> None:
        self._tally.add(event)
        now = time.monotonic()
        if isinstance(event, JobChanged):
            typer.echo(f"{self._job.name} {sentence(event)}", err=True)
        elif isinstance(event, MetricsReceived) and now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            typer.echo(f"{self._job.name}: {self._tally}", err=True)
        elif isinstance(event, TrialsChanged) and event.failure is not None:
            count = len(event.trials)
            failed = f"{count} {'trial' if count == 1 else 'trials'} failed"
            typer.echo(f"{failed}: {event.failure.message}", err=True)


class ProgressBar:
    """A bar of trial-epochs, for a terminal."""

    def __init__(self, job: Job, progress: Progress) -> None:
        self._tally = Tally(job)
        self._progress = progress
        self._task = progress.add_task(job.name, total=self._tally.total, best="")

    def show(self, event: Event) -> None:
        self._tally.add(event)
        done = min(self._tally.done, self._tally.total)
        self._progress.update(self._task, completed=done, best=self._tally.best)
        if isinstance(event, JobChanged):
            self._progress.console.print(sentence(event), highlight=False)


def sentence(event: JobChanged) -> str:
    """A change of a job's state in words."""
    why = f": {event.failure.message}" if event.failure else ""
    return f"{event.state}{why}"


def follow(
    client: Client, job: Job, events: Iterable[Event], *, as_json: bool, told_trials: bool = True
) -> int:
    """Show a job's events to their end; the exit code says how it ended."""
    state: JobState | None = None
    scope, display = _choose_display(job, as_json)
    try:
        with scope:
            for event in events:
                display.show(event)
                state = event.state if isinstance(event, JobChanged) else state
    except KeyboardInterrupt:
        typer.echo(
            f"{job.name} goes on. Follow it again with 'packtrain watch {job.id}', "
            f"stop it with 'packtrain cancel {job.id}'.",
            err=True,
        )
        return EXIT_INTERRUPTED
    if told_trials and not as_json and state is JobState.SUCCEEDED:
        _tell_trials(client, job)
    return OUTCOMES.get(state, 0) if state else 0


def _tell_trials(client: Client, job: Job) -> None:
    """All trials where they are few, else those that the leading metric finds best."""
    count = job.progress.trials
    metric, goal = leading_objective(job) if count > _TOP else (None, None)
    order = directed(metric, goal) if metric else ""
    listed = client.list_trials(job.name, order_by=order, page_size=_TOP)
    print_table(*trial_table(list(itertools.islice(listed, _TOP)), first=metric))
    if count > _TOP:
        all_of_them = f"packtrain trials {job.id} --order-by {order!r}"
        typer.echo(f"The best {_TOP} of {count}: {all_of_them}", err=True)


def tell_interruption(error: ApiError) -> None:
    """Say that a connection was lost; the watch goes on by itself."""
    # The server's own sentence speaks of tokens, to those who write programs.
    why = "the server stops" if error.reason == "SERVER_STOPPING" else error
    typer.echo(f"packtrain: {why}; connecting again", err=True)


def _choose_display(job: Job, as_json: bool) -> tuple[AbstractContextManager[object], Display]:
    if as_json:
        return nullcontext(), JsonLines()
    if not sys.stderr.isatty():
        return nullcontext(), PlainLines(job)
    console = Console(stderr=True)
    progress = Progress(*_columns(console.width), console=console)
    return progress, ProgressBar(job, progress)


def _columns(width: int) -> list[ProgressColumn]:
    """What a terminal of this width has room for: the times go first, the job and bar stay."""
    is_wide = width >= _WIDE
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=30 if is_wide else 14),
        TextColumn(
            "{task.completed:.0f} of {task.total:.0f} trial-epochs"
            if is_wide
            else "{task.completed:.0f}/{task.total:.0f}",
            table_column=Column(no_wrap=True),
        ),
    ]
    if width >= _MEDIUM:
        columns += [TextColumn("elapsed"), TimeElapsedColumn()]
    if is_wide:
        columns += [TextColumn("remaining"), TimeRemainingColumn()]
    cut = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    return [*columns, TextColumn("{task.fields[best]}", table_column=cut)]
