"""`importance`: what made the difference."""

from __future__ import annotations

from typing import Annotated

import typer

from packtrain.client.client import Client
from packtrain.client.commands.connection import connect
from packtrain.client.commands.output import JsonOption, print_fields, print_json
from packtrain.client.handles import chosen_metric


def importance(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="The job's name.")],
    metric: Annotated[
        str | None, typer.Option(help="Default: the one that tells most of those measured.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how much each searched parameter matters for a metric.

    By PED-ANOVA: in which parameters the best tenth of the trials differs from all of them. The
    shares add up to 1, and compare noise where no parameter matters.

    Example: packtrain importance my-sweep --metric validation_accuracy
    """
    with connect(ctx) as client:
        name = metric_or_leading(client, job, metric)
        found = client.importance(job, name)
    if as_json:
        print_json(found)
        return
    best = "highest" if found.higher_is_better else "lowest"
    typer.echo(f"{found.metric} ({best} is best), {found.trials} trials, {found.evaluator}:")
    print_fields(
        {
            path: f"{share:5.1%}  {'█' * round(30 * share)}{_some(found.present[path], found.trials)}"
            for path, share in found.shares.items()
        }
    )


def _some(present: int, trials: int) -> str:
    return "" if present == trials else f"  (of the {present} trials that have it)"


def metric_or_leading(client: Client, job: str, metric: str | None) -> str:
    """The metric, or the one that tells most of those that the job measures."""
    return metric or chosen_metric(client.get_job(job), None, None)[0]
