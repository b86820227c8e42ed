"""`plan`, `submit`, `run` and `watch`: jobs on their way."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from packtrain.client.calls import CreatedJob
from packtrain.client.commands.connection import connect, parse_indices
from packtrain.client.commands.exit_codes import EXIT_REFUSED
from packtrain.client.commands.follow import follow, tell_interruption
from packtrain.client.commands.labels import LabelOption, PriorityOption, parse_labels
from packtrain.client.commands.output import (
    JsonOption,
    print_fields,
    print_json,
    shown_bytes,
    shown_seconds,
)
from packtrain.client.names import job_id
from packtrain.client.spec_files import read_spec

SpecArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="A JobSpec of the contract in its JSON form, as YAML or JSON; - is the standard input.",
    ),
]
JobIdOption = Annotated[
    str | None,
    typer.Option(
        "--job-id", help="Its name: 1 to 63 of a-z, 0-9 and -. Default: the server's choice."
    ),
]


def submit(
    ctx: typer.Context,
    spec: SpecArgument,
    job_id: JobIdOption = None,
    label: LabelOption = None,
    priority: PriorityOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Create a job and print its name, without waiting for it.

    Example: packtrain submit digits.yaml --job-id my-sweep
    """
    labels = parse_labels(label)
    document = read_spec_file(spec)
    with connect(ctx) as client:
        created = client.create_job(document, job_id, labels=labels, priority=priority)
    if as_json:
        print_json({"job": created.job, "plan": created.plan})
    else:
        typer.echo(created.job.id)


def plan(ctx: typer.Context, spec: SpecArgument, as_json: JsonOption = False) -> None:
    """Tell what a job would take: trials, packs, memory and seconds. Nothing is created.

    Every wrong field of the specification is told. The seconds go by the speed that the server's
    workers measured as they started.

    Example: packtrain plan examples/digits-sweep.yaml
    """
    document = read_spec_file(spec)
    with connect(ctx) as client:
        created = client.create_job(document, validate_only=True)
    if as_json:
        print_json({"job": created.job, "plan": created.plan})
    else:
        _print_plan(created)


def run(
    ctx: typer.Context,
    spec: SpecArgument,
    job_id: JobIdOption = None,
    label: LabelOption = None,
    priority: PriorityOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Create a job and follow it to its end. Ctrl-C leaves it running.

    A specification's `search` names how its space is walked (grid, random, sobol, tpe, ...), and
    what stops trials early: successive_halving, which is ASHA with rungs that all have reached,
    hyperband or median. docs/specification.md tells of all.

    The exit code says how it ended: see `packtrain --help`.

    Example: packtrain run digits.yaml
    """
    labels = parse_labels(label)
    document = read_spec_file(spec)
    with connect(ctx) as client:
        created = client.create_job(document, job_id, labels=labels, priority=priority)
        if as_json:
            print_json({"event": "created", "job": created.job, "plan": created.plan})
        events = client.watch_job(
            created.job.name, heartbeats=True, on_interruption=tell_interruption
        )
        raise typer.Exit(follow(client, created.job, events, as_json=as_json))


def watch(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="The job's name.")],
    resume_token: Annotated[
        str, typer.Option(help="Go on after the event that bore this token.")
    ] = "",
    trials: Annotated[
        str | None, typer.Option(help="Metrics of these trials only: 0,3,5-9.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="This metric only; may be repeated.")
    ] = None,
    replay_only: Annotated[
        bool, typer.Option("--replay-only", help="Tell what has happened, and do not wait.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Follow a job from its beginning, or from an event, to its end.

    The exit codes are those of `run`.

    Example: packtrain watch my-sweep --json --metric validation_accuracy
    """
    with connect(ctx) as client:
        events = client.watch_job(
            job,
            resume_token=resume_token,
            trials=parse_indices(trials),
            metrics=metric or (),
            heartbeats=True,
            replay_only=replay_only,
            on_interruption=tell_interruption,
        )
        raise typer.Exit(follow(client, client.get_job(job), events, as_json=as_json))


def read_spec_file(path: str) -> dict[str, Any]:
    """The specification in a file, in JSON form; where the name is a job's, a hint and an exit."""
    try:
        return read_spec(path)
    except FileNotFoundError as error:
        name = job_id(path)
        if not re.fullmatch(r"[a-z0-9-]{1,63}", name):
            raise
        hint = f"to follow the job of that name: packtrain watch {name}"
        typer.echo(f"packtrain: {path}: {error.strerror}; {hint}", err=True)
        raise typer.Exit(EXIT_REFUSED) from None


def _print_plan(created: CreatedJob) -> None:
    plan = created.plan
    print_fields(
        {
            "trials": plan.trials,
            "packs": plan.packs,
            "memory": shown_bytes(plan.memory_bytes),
            "operations": plan.operations,
            "seconds": f"about {shown_seconds(plan.seconds)}, on one worker "
            f"{shown_seconds(plan.worker_seconds)}",
            "layers": created.job.layer_sizes,
            "metrics": created.job.metrics,
        }
    )
