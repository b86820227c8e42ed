"""`jobs`, `show` and `delete`."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

import typer
import yaml

from packtrain.client.client import Client
from packtrain.client.commands.changes import JobArgument
from packtrain.client.commands.connection import connect
from packtrain.client.commands.labels import parse_labels
from packtrain.client.commands.output import (
    JsonOption,
    plain,
    print_deleted,
    print_fields,
    print_json,
    print_table,
    shown,
)
from packtrain.client.errors import NoBestTrial
from packtrain.client.names import job_name
from packtrain.client.paths import short_path
from packtrain.client.resources import BestTrial, Job, JobState
from packtrain.client.results import Goal, leading_objective


def jobs(
    ctx: typer.Context,
    state: Annotated[
        list[JobState] | None, typer.Option(help="Only jobs in this state; may be repeated.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only jobs with this label; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the jobs, newest first.

    Example: packtrain jobs --state running --label team=vision
    """
    labels = parse_labels(label)
    with connect(ctx) as client:
        every = client.list_jobs(states=state or (), labels=labels)
        found = list(itertools.islice(every, limit))
    if as_json:
        for job in found:
            print_json(job)
        return
    rows = [
        [job.id, job.state, job.progress.trials, _epochs(job), job.priority, job.create_time]
        for job in found
    ]
    print_table(["job", "state", "trials", "trial-epochs", "priority", "created"], rows)


def show(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Show a job: state, progress, specification with every default filled in.

    Example: packtrain show my-sweep
    """
    with connect(ctx) as client:
        found = client.get_job(job)
        metric, goal = leading_objective(found)
        best = _find_best(client, job, metric, goal) if metric else None
    if as_json:
        print_json(plain(found) | _best_form(best))
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
            "best": _told(best) if best else None,
            "finding": found.learning_rate_finding,
            "priority": found.priority,
            "labels": ", ".join(f"{key}={value}" for key, value in found.labels.items()),
        }
    )
    typer.echo("specification:")
    text = yaml.safe_dump(dict(found.spec), sort_keys=False, allow_unicode=True)
    typer.echo("".join(f"  {line}\n" for line in text.splitlines()), nl=False)


def delete(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Delete a job that has ended, with its metrics and models.

    Example: packtrain delete my-sweep
    """
    with connect(ctx) as client:
        client.delete_job(job)
    print_deleted(job_name(job), as_json)


def _find_best(client: Client, job: str, metric: str, goal: Goal) -> BestTrial | NoBestTrial:
    try:
        return client.best_trial(job, metric, goal)
    except NoBestTrial as none:
        return none


def _best_form(best: BestTrial | NoBestTrial | None) -> dict[str, Any]:
    if isinstance(best, NoBestTrial):
        return {"best": None, "no_best": {"reason": best.reason, "message": str(best)}}
    return {"best": best}


def _told(best: BestTrial | NoBestTrial) -> str:
    if isinstance(best, NoBestTrial):
        return f"none: {str(best).partition(': ')[2]}"
    parameters = best.trial.parameters
    names = [f"{short_path(p, parameters)} {shown(v)}" for p, v in parameters.items()]
    who = f"trial {best.trial.index}" + (f": {', '.join(names)}" if names else "")
    return f"{best.metric} {shown(best.value)} ({who})"


def _epochs(job: Job) -> str:
    return f"{job.progress.trial_epochs}/{job.progress.trial_epochs_total}"
