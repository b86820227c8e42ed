"""`jobs`, `show`, `cancel` and `delete`."""

from __future__ import annotations

import itertools
from typing import Annotated

import typer
import yaml

from packtrain.client.commands.connection import connect
from packtrain.client.commands.output import (
    JsonOption,
    print_deleted,
    print_fields,
    print_json,
    print_table,
)
from packtrain.client.names import job_name
from packtrain.client.resources import Job, JobState

JobArgument = Annotated[str, typer.Argument(help="The job's name.")]


def jobs(
    ctx: typer.Context,
    state: Annotated[
        list[JobState] | None, typer.Option(help="Only jobs in this state; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the jobs, newest first.

    Example: packtrain jobs --state running
    """
    with connect(ctx) as client:
        found = list(itertools.islice(client.list_jobs(states=state or ()), limit))
    if as_json:
        for job in found:
            print_json(job)
        return
    rows = [
        [job.id, job.state, job.progress.trials, _epochs(job), job.create_time] for job in found
    ]
    print_table(["job", "state", "trials", "trial-epochs", "created"], rows)


def show(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Show a job: state, progress, specification with every default filled in.

    Example: packtrain show my-sweep
    """
    with connect(ctx) as client:
        found = client.get_job(job)
    if as_json:
        print_json(found)
        return
    progress = found.progress
    print_fields(
        {
            "job": found.id,
            "state": found.state,
            "failure": found.failure.message if found.failure else None,
            "created": found.create_time,
            "started": found.start_time,
            "ended": found.end_time,
            "trials": f"{progress.trials} ({progress.succeeded} succeeded, "
            f"{progress.diverged} diverged, {progress.failed} failed, "
            f"{progress.stopped} stopped, {progress.cancelled} cancelled)",
            "trial-epochs": _epochs(found),
            "layers": found.layer_sizes,
            "metrics": found.metrics,
            "finding": found.learning_rate_finding,
        }
    )
    typer.echo("specification:")
    text = yaml.safe_dump(dict(found.spec), sort_keys=False, allow_unicode=True)
    typer.echo("".join(f"  {line}\n" for line in text.splitlines()), nl=False)


def cancel(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Stop a job after the segments that are under way; what was recorded stays.

    Example: packtrain cancel my-sweep
    """
    with connect(ctx) as client:
        found = client.cancel_job(job)
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{found.id} {found.state}")


def delete(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Delete a job that has ended, with its metrics and models.

    Example: packtrain delete my-sweep
    """
    with connect(ctx) as client:
        client.delete_job(job)
    print_deleted(job_name(job), as_json)


def _epochs(job: Job) -> str:
    return f"{job.progress.trial_epochs}/{job.progress.trial_epochs_total}"
