"""`plot`: a job as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from packtrain.client.client import Client
from packtrain.client.commands.connection import connect, parse_indices
from packtrain.client.commands.exit_codes import EXIT_FAILED
from packtrain.client.commands.output import JsonOption, print_json
from packtrain.client.handles import LARGEST_PAGE
from packtrain.client.resources import Job
from packtrain.client.results import leading_objective, objectives_of
from packtrain.client.trial_columns import TrialColumns


class Kind(StrEnum):
    """What is drawn."""

    CURVES = "curves"
    PARALLEL = "parallel"
    SCATTER = "scatter"
    IMPORTANCE = "importance"
    PARETO = "pareto"


def plot(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="The job's name.")],
    kind: Annotated[
        Kind,
        typer.Option(
            help="curves: metrics over the epochs; parallel: a line a trial through its values; "
            "scatter: a metric against each parameter; importance: how much each matters; "
            "pareto: two metrics and their front."
        ),
    ] = Kind.CURVES,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A PNG, SVG or PDF. Default: JOB.png, JOB-KIND.png."),
    ] = None,
    trials: Annotated[
        str | None, typer.Option(help="Of curves, these trials only: 0,3,5-9.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="This metric only; of curves it may be repeated, of pareto there are two. Default: "
            "all curves, else the one that tells most."
        ),
    ] = None,
    wanted: Annotated[
        str,
        typer.Option(
            "--filter", metavar="EXPRESSION", help="Of parallel, scatter and pareto: see `trials`."
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Draw a job: its learning curves, or how its trials compare.

    Example: packtrain plot my-sweep --kind scatter --metric validation_cost -o scatter.png
    """
    from packtrain.client.plotting.style import check_picture

    indices = parse_indices(trials)
    job_id = job.removeprefix("jobs/")
    path = output or Path(f"{job_id}.png" if kind is Kind.CURVES else f"{job_id}-{kind}.png")
    try:
        check_picture(path)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--output") from None
    with connect(ctx) as client:
        if kind is Kind.CURVES:
            form = _draw_curves(client, job, path, indices, metric or ())
        else:
            form = _draw_comparison(client, client.get_job(job), kind, path, metric or [], wanted)
    if as_json:
        print_json({"path": str(path), **form})
    else:
        typer.echo(str(path))


def _draw_curves(
    client: Client, job: str, path: Path, trials: Sequence[int], metrics: Sequence[str]
) -> dict[str, object]:
    from packtrain.client.plotting.curves import draw_results, named_trials

    results = client.read_metrics(job, trials=trials, metrics=metrics)
    if not results.values.size:
        _stop(f"{job} has no metrics yet")
    values = {index: client.get_trial(job, index).parameters for index in named_trials(results)}
    draw_results(results, path, title=job.removeprefix("jobs/"), parameters=values)
    return {"trials": results.trials, "metrics": results.metrics}


def _draw_comparison(
    client: Client, job: Job, kind: Kind, path: Path, metrics: list[str], wanted: str
) -> dict[str, object]:
    from packtrain.client import plotting

    chosen = _chosen_metrics(job, kind, metrics)
    if kind is Kind.IMPORTANCE:
        plotting.draw_importance(client.importance(job.name, chosen[0]), path, title=job.id)
        return {"metrics": chosen}
    found = TrialColumns(client.list_trials(job.name, filter=wanted, page_size=LARGEST_PAGE))
    log = plotting.log_paths(job.spec)
    try:
        if kind is Kind.PARETO:
            front = client.list_trials(job.name, filter=wanted, pareto=chosen)
            indices = [trial.index for trial in front]
            pair = (chosen[0], chosen[1])
            plotting.draw_front(found, pair, indices, path, title=job.id)
            return {"trials": indices, "metrics": chosen}
        draw = plotting.draw_parallel if kind is Kind.PARALLEL else plotting.draw_scatter
        draw(found, chosen[0], path, title=job.id, log=log)
    except ValueError as error:
        _stop(f"{job.id}: {error}")
    return {"trials": found.index.tolist(), "metrics": chosen}


def _chosen_metrics(job: Job, kind: Kind, metrics: list[str]) -> list[str]:
    """The metrics that a picture has, which must be of the job and as many as it shows."""
    known = ", ".join(job.metrics)
    unknown = [name for name in metrics if name not in job.metrics]
    if unknown:
        sentence = f"there is no {unknown[0]!r}; there are {known}"
        raise typer.BadParameter(sentence, param_hint="--metric")
    if kind is Kind.PARETO:
        metrics = metrics or [metric for metric, _ in objectives_of(job)[:2]]
        if len(set(metrics)) != 2:
            raise typer.BadParameter(
                f"a Pareto front needs two different metrics, as in --metric training_cost "
                f"--metric validation_cost; there are {known}",
                param_hint="--metric",
            )
        return metrics
    if len(metrics) > 1:
        raise typer.BadParameter(f"{kind} shows one metric", param_hint="--metric")
    return metrics or [leading_objective(job)[0] or ""]


def _stop(sentence: str) -> NoReturn:
    typer.echo(f"packtrain: {sentence}", err=True)
    raise typer.Exit(EXIT_FAILED)
