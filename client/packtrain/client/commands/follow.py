"""Following a job: its events as JSON lines, as a progress bar, or as plain lines."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import typer
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
from packtrain.client.commands.exit_codes import EXIT_INTERRUPTED, OUTCOMES
from packtrain.client.commands.output import event_form, print_json
from packtrain.client.commands.trials import print_trials
from packtrain.client.errors import ApiError, PacktrainError
from packtrain.client.events import Event, Heartbeat, JobChanged, MetricsReceived, TrialsChanged
from packtrain.client.resources import Job, JobState
from packtrain.client.results import default_goal, leading_metric, leading_objective

# Lines of progress in a pipe are this far apart.
_LINE_SECONDS = 5.0
# Columns of a terminal with room for the time that remains, and for the time that has gone.
_WIDE, _MEDIUM = 140, 95
# Trials in the table at the end.
_TOP = 10


class Tally:
    """How many epochs of all trials are done, and the best value so far of what the search is for.

    The best of all trials and all epochs, so that it never gets worse; what trials are compared by,
    in the table at the end and elsewhere, is their last epoch.
    """

    def __init__(self, job: Job) -> None:
        self.total = job.progress.trial_epochs_total
        self.done = 0
        self._has_many = job.progress.trials > 1
        self._metric, self._goal = leading_objective(job)
        self._best: tuple[float, int, int] | None = None

    def add(self, event: Event) -> None:
        """Count an event in."""
        if isinstance(event, MetricsReceived):
            # After a trial's end its part of a block holds NaN, and counts as done all the same.
            self.done += event.values.shape[0] * event.values.shape[1]
            self._note_best(event)

    @property
    def best(self) -> str:
        """The leading metric and its best value so far, in words; "" before there is one."""
        if self._best is None:
            return ""
        value, trial, epoch = self._best
        who = f"trial {trial}, epoch {epoch}" if self._has_many else f"epoch {epoch}"
        return f"best {self._metric} {value:.4g} ({who})"

    def _note_best(self, event: MetricsReceived) -> None:
        if self._metric not in event.metrics:  # the watch leaves it out
            self._metric = leading_metric(event.metrics)
            self._goal = default_goal(self._metric or "")
        if self._metric is None or not event.values.size:
            return
        values = event.values[:, :, event.metrics.index(self._metric)]
        sign = -1 if self._goal == "max" else 1
        # Where a cost is no longer finite, the trial has diverged, whatever else was measured.
        costs = [i for i, name in enumerate(event.metrics) if name.endswith("_cost")]
        counts = np.isfinite(values) & np.isfinite(event.values[:, :, costs]).all(axis=2)
        losses = np.where(counts, sign * values, np.inf)
        row, column = np.unravel_index(losses.argmin(), losses.shape)
        best_loss = np.inf if self._best is None else sign * self._best[0]
        if losses[row, column] < best_loss:
            epoch = event.first_epoch + int(column)
            self._best = float(values[row, column]), event.trials[row], epoch

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
    """Show a job's events to their end; the exit code says how it ended. Where heartbeats are among
    them, people are told why the job waits."""
    state: JobState | None = None
    scope, display = _choose_display(job, as_json)
    try:
        with scope:
            for event in _tell_waiting(client, events):
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


def _tell_waiting(client: Client, events: Iterable[Event]) -> Iterator[Event]:
    """The events but for heartbeats: nothing has happened for a while, and the server may know
    why. A reason is told once."""
    told = ""
    for event in events:
        if not isinstance(event, Heartbeat):
            yield event
        elif (why := _find_problem(client)) != told:
            told = why
            if why:
                typer.echo(f"packtrain: still waiting: {why}", err=True)


def _find_problem(client: Client) -> str:
    try:
        return client.server_info().engine_problem
    except PacktrainError:  # whatever is wrong there is no reason to stop following
        return ""


def _tell_trials(client: Client, job: Job) -> None:
    """All trials where they are few, else those that the leading metric finds best."""
    count = job.progress.trials
    metric, goal = leading_objective(job) if count > _TOP else (None, None)
    order = directed(metric, goal) if metric else ""
    listed = client.list_trials(job.name, order_by=order, page_size=_TOP)
    print_trials(list(itertools.islice(listed, _TOP)), job.id, first=metric)
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
