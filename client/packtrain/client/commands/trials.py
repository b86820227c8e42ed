"""`trials`: what came of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from packtrain.client.commands.connection import connect
from packtrain.client.commands.output import JsonOption, plain, print_json, print_table
from packtrain.client.resources import Trial, TrialState
from packtrain.client.results import default_goal, leading_metric

Table = tuple[list[str], list[list[Any]]]


def trials(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="The job's name.")],
    sort: Annotated[
        str | None,
        typer.Option(
            help="Best first by this metric: accuracies from the highest, all else from the lowest."
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only so many.")] = None,
    state: Annotated[
        list[TrialState] | None, typer.Option(help="Only trials in this state; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List a job's trials: state, parameters, final metrics.

    Example: packtrain trials my-sweep --sort validation_accuracy --top 10
    """
    with connect(ctx) as client:
        found = list(client.list_trials(job, states=state or ()))
    if sort and not any(sort in trial.final_metrics for trial in found):
        names = sorted({name for trial in found for name in trial.final_metrics})
        raise typer.BadParameter(
            f"expected a metric of an ended trial ({', '.join(names) or 'none has ended'}), not {sort!r}",
            param_hint="--sort",
        )
    if as_json:
        for trial in sort_trials(found, sort)[:top]:
            print_json(plain(trial))
    else:
        print_table(*trial_table(found, sort=sort, top=top))


def sort_trials(found: Sequence[Trial], metric: str | None) -> list[Trial]:
    """Best first; NaN and trials that have no value last; without a metric, as they are."""
    if metric is None:
        return list(found)
    sign = -1 if default_goal(metric) == "max" else 1

    def key(trial: Trial) -> tuple[bool, float, int]:
        value = trial.final_metrics.get(metric, math.nan)
        return (math.isnan(value), 0.0 if math.isnan(value) else sign * value, trial.index)

    return sorted(found, key=key)


def trial_table(found: Sequence[Trial], *, sort: str | None, top: int | None) -> Table:
    """Headers and rows of a table of trials.

    Where only some are shown and no metric is named, those that the leading metric finds best.
    """
    if sort is None and top is not None and len(found) > top:
        sort = leading_metric(sorted({m for trial in found for m in trial.final_metrics}))
    chosen = sort_trials(found, sort)[:top]
    parameters = sorted({path for trial in found for path in trial.parameters})
    metrics = sorted({name for trial in found for name in trial.final_metrics})
    if sort in metrics:
        metrics = [sort, *(name for name in metrics if name != sort)]
    headers = ["trial", "state", "epochs", *(_short(path, parameters) for path in parameters)]
    rows = [
        [
            trial.index,
            trial.state,
            trial.epochs,
            *(trial.parameters.get(path) for path in parameters),
            *(trial.final_metrics.get(name) for name in metrics),
        ]
        for trial in chosen
    ]
    return [*headers, *metrics], rows


def _short(path: str, paths: Sequence[str]) -> str:
    """The last part of a path where it is plain which one is meant."""
    last = path.rsplit(".", 1)[-1]
    return path if sum(p.rsplit(".", 1)[-1] == last for p in paths) > 1 else last
