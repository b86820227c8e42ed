"""The command line: `packtrain`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from packtrain.client.commands import (
    changes,
    datasets,
    export,
    importance,
    jobs,
    plots,
    rates,
    results,
    service,
    submit,
    trials,
)
from packtrain.client.commands.exit_codes import HELP
from packtrain.client.commands.failures import Command, CommandGroup

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("packtrain"))
        raise typer.Exit


@app.callback()
def packtrain(
    ctx: typer.Context,
    server: Annotated[
        str, typer.Option(envvar="PACKTRAIN_SERVER", help="The server's address.")
    ] = "localhost:50051",
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Train thousands of small neural networks as one big array.

    Example: packtrain serve & packtrain run examples/digits-sweep.yaml
    """
    ctx.obj = server


app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)(service.serve)
for _command in (
    submit.plan,
    submit.run,
    submit.submit,
    submit.watch,
    rates.find_rate,
    jobs.jobs,
    jobs.show,
    trials.trials,
    importance.importance,
    results.metrics,
    export.export,
    results.model,
    plots.plot,
    changes.update,
    changes.pause,
    changes.resume,
    changes.retry,
    changes.cancel,
    jobs.delete,
    service.info,
    service.demo,
):
    app.command(cls=Command)(_command)
app.add_typer(datasets.app, name="datasets")


def main() -> None:
    """Run the command line."""
    app(prog_name="packtrain")
