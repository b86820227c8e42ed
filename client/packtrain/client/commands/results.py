"""`metrics` and `model`: what a job leaves behind."""

from __future__ import annotations

import csv
import io
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from packtrain.client.commands.connection import connect, parse_indices
from packtrain.client.commands.output import JsonOption, plain, print_json, write_output
from packtrain.client.resources import Job
from packtrain.client.results import Results

JobArgument = Annotated[str, typer.Argument(help="The job's name.")]
TrialsOption = Annotated[str | None, typer.Option(help="These trials only: 0,3,5-9.")]
MetricOption = Annotated[list[str] | None, typer.Option(help="This metric only; may be repeated.")]


class Format(StrEnum):
    """How metrics are written."""

    JSON = "json"
    CSV = "csv"


def metrics(
    ctx: typer.Context,
    job: JobArgument,
    form: Annotated[
        Format, typer.Option("--format", help="csv: a row for each trial and epoch measured.")
    ] = Format.CSV,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    trials: TrialsOption = None,
    metric: MetricOption = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file instead of stdout.")
    ] = None,
) -> None:
    """Print the metrics recorded so far.

    In JSON, `values` has the axes trials, epochs, metrics; null where nothing was measured.

    Example: packtrain metrics my-sweep --metric validation_accuracy --format csv
    """
    with connect(ctx) as client:
        results = client.read_metrics(job, trials=parse_indices(trials), metrics=metric or ())
    is_json = as_json or form is Format.JSON
    write_output(output, _write_json(results) if is_json else _write_csv(results))


def _write_json(results: Results) -> str:
    form = {
        "trials": results.trials,
        "epochs": results.epochs,
        "metrics": results.metrics,
        "values": results.values,
    }
    return json.dumps(plain(form)) + "\n"


def _write_csv(results: Results) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "epoch", *results.metrics])
    for row, trial in enumerate(results.trials):
        for column, epoch in enumerate(results.epochs.tolist()):
            values = results.values[row, column]
            if not np.isnan(values).all():
                # str of a float32 is the shortest text that reads back as the same number.
                writer.writerow([trial, epoch, *("" if np.isnan(v) else str(v) for v in values)])
    return text.getvalue()


def model(
    ctx: typer.Context,
    job: JobArgument,
    trial: Annotated[
        int | None,
        typer.Argument(min=0, help="The trial's index; needed where the job has several."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: JOB-TRIAL.safetensors.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download the weights and biases of a trial that succeeded, as a safetensors file.

    Example: packtrain model my-sweep 17 -o best.safetensors
    """
    if output is not None and output.suffix != ".safetensors":
        raise typer.BadParameter(f"{output} must end in .safetensors", param_hint="--output")
    with connect(ctx) as client:
        if trial is None:
            trial = _only_trial(client.get_job(job))
        found = client.download_model(job, trial)
    path = output or Path(f"{job.removeprefix('jobs/')}-{trial}.safetensors")
    found.save(path)
    if as_json:
        print_json({"path": str(path), "trial": trial, "size_bytes": len(found.bytes)})
    else:
        typer.echo(str(path))


def _only_trial(job: Job) -> int:
    count = job.progress.trials
    if count > 1:
        raise typer.BadParameter(
            f"{job.id} has {count} trials: say which one, as in 'packtrain model {job.id} 0' "
            f"('packtrain trials {job.id}' lists them)",
            param_hint="TRIAL",
        )
    return 0
