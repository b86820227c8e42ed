"""`serve`, `info` and `demo`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from packtrain.client.commands.connection import connect
from packtrain.client.commands.output import JsonOption, print_fields, print_json, shown_bytes
from packtrain.client.extras import require_extra


def serve(ctx: typer.Context) -> None:
    """Run the training service; `packtrain serve --help` lists its options.

    Example: packtrain serve --listen 127.0.0.1:50051 --data-dir ./packtrain-data
    """
    require_extra("server", "packtrain serve")
    sys.stdout.flush()
    # The service's own parser knows the long name alone.
    args = ["--help" if arg == "-h" else arg for arg in ctx.args]
    os.execv(sys.executable, [sys.executable, "-m", "packtrain.service", *args])  # noqa: S606  (no shell is wanted)


def info(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Tell what the server is, what it offers and what it refuses to exceed.

    Example: packtrain --server training.example:50051 info
    """
    with connect(ctx) as client:
        found = client.server_info()
    if as_json:
        print_json(found)
        return
    limits = found.limits
    print_fields(
        {
            "server": ctx.obj,
            "version": found.version,
            "engine": f"{found.engine_state}, {found.workers} workers",
            "activations": found.activations,
            "costs": found.costs,
            "initializations": found.initializations,
            "optimizers": found.optimizers,
            "search": found.search_algorithms,
            "domains": found.domains,
            "synthetic datasets": found.synthetic_datasets,
            "most trials": limits.max_trials,
            "most memory of a job": shown_bytes(limits.max_job_memory_bytes),
            "largest upload": shown_bytes(limits.max_upload_bytes),
        }
    )
    typer.echo("metrics:")
    print_fields(
        {f"  {m.name}{'/LAYER' if m.per_layer else ''}": m.description for m in found.metrics}
    )


def demo(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The folder for plots and summary.json."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the demonstration: a server of its own, four experiments, plots.

    Example: packtrain demo -o ./demo
    """
    from packtrain.client.demo import run_demo

    raise typer.Exit(run_demo(output, as_json))
