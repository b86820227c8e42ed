"""`trials`: what came of each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from packtrain.client.commands.connection import connect
from packtrain.client.commands.output import (
    JsonOption,
    plain,
    print_json,
    print_table,
)
from packtrain.client.commands.repeats import print_repeats, sort_repeats
from packtrain.client.handles import LARGEST_PAGE
from packtrain.client.paths import short_path
from packtrain.client.repeats import group_repeats
from packtrain.client.resources import Trial, TrialState
from packtrain.client.results import default_goal

Table = tuple[list[str], list[list[Any]]]
JobArgument = Annotated[str, typer.Argument(help="The job's name.")]


def trials(
    ctx: typer.Context,
    job: JobArgument,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="Best first: accuracies, F1 and R² from the highest, all else from the lowest; "
            "trials that diverged or failed last.",
        ),
    ] = None,
    order_by: Annotated[
        str,
        typer.Option(
            metavar="FIELDS",
            help="Order by any fields, as in 'epochs desc, parameters.optimizer.sgd.momentum'.",
        ),
    ] = "",
    wanted: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="EXPRESSION",
            help="Only trials of which this is true, as in 'validation_cost < 0.2 AND epochs = 30'.",
        ),
    ] = "",
    pareto: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help="Only the Pareto front; twice or more, 'METRIC asc' for the lowest to be best.",
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only so many.")] = None,
    state: Annotated[
        list[TrialState] | None, typer.Option(help="Only trials in this state; may be repeated.")
    ] = None,
    repeats: Annotated[
        bool,
        typer.Option(
            "--group-repeats",
            help="Trials that differ in their seed alone as one: mean and standard deviation.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List a job's trials: state, parameters, final metrics.

    Fields are index, state, epochs, metrics by name, and parameters by path after "parameters.".

    Example: packtrain trials my-sweep --sort validation_accuracy --top 10 --filter 'epochs >= 20'
    """
    if sort and order_by:
        raise typer.BadParameter("give --sort or --order-by, not both", param_hint="--sort")
    if sort and len(sort.split()) > 1:
        raise typer.BadParameter(
            f"expected a metric alone, whose best come first, not {sort!r}: use --order-by",
            param_hint="--sort",
        )
    order = best_first(sort) if sort else order_by
    query: dict[str, Any] = {"states": state or (), "filter": wanted, "pareto": pareto or ()}
    if repeats:
        if order_by:
            raise typer.BadParameter(
                "groups of repeats have no single trial's fields: use --sort METRIC",
                param_hint="--order-by",
            )
        with connect(ctx) as client:
            groups = group_repeats(client.list_trials(job, page_size=LARGEST_PAGE, **query))
        print_repeats(sort_repeats(groups, sort)[:top], sort, as_json)
        return
    size = min(top or LARGEST_PAGE, LARGEST_PAGE)
    with connect(ctx) as client:
        listed = client.list_trials(job, order_by=order, page_size=size, **query)
        chosen = itertools.islice(listed, top)
        if as_json:
            for trial in chosen:
                print_json(plain(trial))
        else:
            print_trials(list(chosen), job, first=sort)


def best_first(metric: str) -> str:
    """The contract's order_by that has the best of a metric first."""
    return f"{metric} {'desc' if default_goal(metric) == 'max' else 'asc'}"


def print_trials(found: Sequence[Trial], job: str, *, first: str | None = None) -> None:
    """A table of trials, and below it that a population's did not keep the parameters it shows."""
    print_table(*trial_table(found, first=first))
    if any(trial.adaptations for trial in found):
        rest = f"packtrain trials {job} --json tells their adaptations"
        typer.echo(f"Parameters are those that the trials began with; {rest}.", err=True)


def trial_table(found: Sequence[Trial], *, first: str | None = None) -> Table:
    """Headers and rows of a table of trials, with the metric ``first`` before the others."""
    parameters = sorted({path for trial in found for path in trial.parameters})
    names = {name for trial in found for name in trial.final_metrics}
    metrics = sorted(names, key=lambda name: (name != first, name))
    headers = ["trial", "state", "epochs", *(short_path(path, parameters) for path in parameters)]
    rows = [
        [
            trial.index,
            trial.state,
            trial.epochs,
            *(trial.parameters.get(path) for path in parameters),
            *(trial.final_metrics.get(name) for name in metrics),
        ]
        for trial in found
    ]
    return [*headers, *metrics], rows
