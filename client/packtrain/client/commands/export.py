"""`export`: everything of a sweep as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packtrain.client.commands.connection import connect
from packtrain.client.commands.output import JsonOption, print_json, shown_bytes
from packtrain.client.export import check_ending
from packtrain.client.handles import JobHandle


def export(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="The job's name.")],
    output: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Ends in .parquet or .csv, which says what it is."),
    ],
    history: Annotated[
        bool,
        typer.Option("--history", help="A row for each trial and epoch, not for each trial."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a job's trials into one file: parameters, state, epochs, final metrics.

    Parameters are the columns "parameters.PATH"; choices that are no numbers or texts are JSON.
    What was not measured is empty. The rows of a history come as they were recorded. Parquet needs
    pip install 'packtrain[export]'.

    Example: packtrain export my-sweep sweep.parquet --history
    """
    try:
        check_ending(output)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    if not output.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {output.parent}", param_hint="FILE")
    with connect(ctx) as client:
        found = JobHandle(client, client.get_job(job))
        path = found.export(output, history=history)
    size = path.stat().st_size
    if as_json:
        print_json({"path": str(path), "size_bytes": size, "history": history})
    else:
        typer.echo(f"{path}  {shown_bytes(size)}")
