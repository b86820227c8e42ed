"""`find-rate`: which learning rate to start from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from packtrain.client.client import Client
from packtrain.client.commands.connection import connect
from packtrain.client.commands.follow import follow, tell_interruption
from packtrain.client.commands.output import JsonOption, print_json, print_table
from packtrain.client.commands.submit import JobIdOption, SpecArgument, read_spec_file
from packtrain.client.converters import range_document
from packtrain.client.learning_rates import LearningRateRange
from packtrain.client.resources import Job, Trial, TrialState

COST = "training_cost"
# Rows of the table: a range has more rates than a screen has lines.
_ROWS = 12


def find_rate(
    ctx: typer.Context,
    spec: SpecArgument,
    low: Annotated[float | None, typer.Option(help="The smallest rate. Default: 1e-5.")] = None,
    high: Annotated[float | None, typer.Option(help="The largest rate. Default: 100.")] = None,
    points: Annotated[
        int | None,
        typer.Option(help="How many rates, evenly spaced in their logarithm. Default: 50."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=2, help="How long each is tried. Default: 3.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the cost against the rate: a PNG, PDF or SVG.")
    ] = None,
    job_id: JobIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try learning rates from small to large on a network, and tell which one to start from.

    SPEC is any specification without a search of its own; the learning rate, the epochs and the
    rules for stopping that it gives are left out. The exit codes are those of `run`.

    Example: packtrain find-rate digits.yaml --plot rates.png
    """
    if plot is not None:
        _check_plot(plot)
    wanted = LearningRateRange(low=low, high=high, points=points)
    document = range_document(read_spec_file(spec), wanted, epochs)
    with connect(ctx) as client:
        created = client.create_job(document, job_id)
        events = client.watch_job(
            created.job.name, heartbeats=True, on_interruption=tell_interruption
        )
        # The events would be lines of JSON too many: a program that wants them runs `run`.
        code = follow(client, created.job, events, as_json=False, told_trials=False)
        job = client.get_job(created.job.name)
        if code == 0 and job.learning_rate_finding is not None:
            _tell(client, job, plot, as_json)
    raise typer.Exit(code)


def _check_plot(plot: Path) -> None:
    """Before anything is trained: nobody wants to wait for a refusal."""
    if plot.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise typer.BadParameter(f"{plot} must end in .png, .pdf or .svg", param_hint="--plot")
    if not plot.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {plot.parent}", param_hint="--plot")


def _tell(client: Client, job: Job, plot: Path | None, as_json: bool) -> None:
    finding = job.learning_rate_finding
    assert finding is not None
    trials = list(client.list_trials(job.name))
    if plot is not None:
        from packtrain.client.rate_plotting import draw_rates

        draw_rates(rate_points(trials), finding, plot, title=job.id)
    if as_json:
        rows = [
            {
                "learning_rate": rate,
                COST: cost if math.isfinite(cost) else None,
                "state": trial.state,
            }
            for (rate, cost), trial in zip(rate_points(trials), trials, strict=True)
        ]
        form: dict[str, Any] = {"job": job.name, "learning_rate_finding": finding, "rates": rows}
        print_json(form | ({"plot": str(plot)} if plot else {}))
        return
    typer.echo(f"{finding}\n")
    print_table(["learning rate", COST.replace("_", " "), "state"], _rows(trials))
    typer.echo(f"\nThe whole range: packtrain trials {job.id}")


def rate_points(trials: list[Trial]) -> list[tuple[float, float]]:
    """Each trial's learning rate and its cost at the end; infinite where it did not succeed."""
    return [
        (
            float(next(iter(trial.parameters.values()))),
            trial.final_metrics[COST] if trial.state is TrialState.SUCCEEDED else float("inf"),
        )
        for trial in trials
    ]


def _rows(trials: list[Trial]) -> list[list[Any]]:
    """Some of the trials, evenly spaced, the first and the last among them."""
    last = len(trials) - 1
    count = min(_ROWS, len(trials))
    chosen = [trials[round(i * last / (count - 1))] for i in range(count)]
    points = rate_points(chosen)
    return [
        [f"{rate:.3g}", f"{cost:.4g}" if trial.state is TrialState.SUCCEEDED else None, trial.state]
        for (rate, cost), trial in zip(points, chosen, strict=True)
    ]
