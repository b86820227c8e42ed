"""`cancel`, `pause`, `resume`, `retry` and `update`: what becomes of a job that there is."""

from __future__ import annotations

from typing import Annotated

import typer

from packtrain.client.commands.connection import connect
from packtrain.client.commands.labels import LabelOption, parse_labels
from packtrain.client.commands.output import JsonOption, print_json
from packtrain.client.resources import Job

JobArgument = Annotated[str, typer.Argument(help="The job's name.")]


def cancel(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Stop a job after the segments that are under way; what was recorded stays.

    Example: packtrain cancel my-sweep
    """
    with connect(ctx) as client:
        _tell(client.cancel_job(job), as_json)


def pause(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Hold a job after the segments that are under way, until it is resumed.

    Example: packtrain pause my-sweep
    """
    with connect(ctx) as client:
        _tell(client.pause_job(job), as_json)


def resume(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Let a paused job go on.

    Example: packtrain resume my-sweep
    """
    with connect(ctx) as client:
        _tell(client.resume_job(job), as_json)


def retry(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Train the trials of a job anew that have failed.

    Example: packtrain retry my-sweep
    """
    with connect(ctx) as client:
        _tell(client.retry_job(job), as_json)


def update(
    ctx: typer.Context,
    job: JobArgument,
    priority: Annotated[
        int | None,
        typer.Option(help="From -100 to 100: a job of a higher one gets the workers first."),
    ] = None,
    label: LabelOption = None,
    remove_label: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Take a label off; may be repeated.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="So many trials in all: random, Sobol, or that learn.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="So many epochs in all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change a job's priority or labels, or give it more trials or epochs than it has.

    A job that has ended goes on then. Its numbers are those of a job that had so many from the
    beginning; what can't be made so is refused.

    Example: packtrain update my-sweep --priority 5 --label team=vision --trials 200 --epochs 60
    """
    labels = {**parse_labels(label), **dict.fromkeys(remove_label or ())}
    if not labels and priority is None and trials is None and epochs is None:
        raise typer.BadParameter(
            "nothing to change: give --trials, --epochs, --priority, --label or --remove-label",
            param_hint="update",
        )
    with connect(ctx) as client:
        changed = client.update_job(
            job, labels=labels, priority=priority, trials=trials, epochs=epochs
        )
    _tell(changed, as_json)


def _tell(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        typer.echo(f"{job.id} {job.state}")
