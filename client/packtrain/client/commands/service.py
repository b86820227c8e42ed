"""`serve`, `info` and `demo`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from packtrain.client.commands.connection import connect
from packtrain.client.commands.output import JsonOption, print_fields, print_json, shown_bytes
from packtrain.client.extras import require_extra
from packtrain.client.resources import NumberInfo, ServerInfo


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
            "engine": _engine(found),
            "activations": found.hidden_activations,
            "of outputs only": _beside(found.activations, found.hidden_activations),
            "costs": found.costs,
            "initializations": found.initializations,
            "optimizers": found.optimizers,
            "schedules": found.schedules,
            "search": found.search_algorithms,
            "early stopping": found.early_stopping,
            "domains": found.domains,
            "synthetic datasets": found.synthetic_datasets,
            "most trials": limits.max_trials,
            "most memory of a job": (
                shown_bytes(limits.max_job_memory_bytes)
                if limits.max_job_memory_bytes is not None
                else "not known until a worker was seen"
            ),
            "largest upload": shown_bytes(limits.max_upload_bytes),
        }
    )
    typer.echo("metrics:")
    print_fields(
        {f"  {m.name}{'/LAYER' if m.per_layer else ''}": m.description for m in found.metrics}
    )
    typer.echo("numbers:")
    print_fields({f"  {number.path}": _range(number) for number in found.numbers})


def _beside(all_of_them: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in all_of_them if name not in others)


def _range(number: NumberInfo) -> str:
    """The range and the default of a number in words."""
    bounds = {
        "at least": number.at_least,
        "above": number.above,
        "at most": number.at_most,
        "below": number.below,
    }
    words = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
    default = "" if number.default is None else f"; unset: {number.default:g}"
    return (", ".join(words) or "any") + default


def _engine(found: ServerInfo) -> str:
    told = f"{found.engine_state}, {found.workers} workers"
    return f"{told}: {found.engine_problem}" if found.engine_problem else told


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
