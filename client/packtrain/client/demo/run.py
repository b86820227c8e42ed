"""Runs the demo from the start of a server to the last plot."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from packtrain.client.client import Client
from packtrain.client.demo import figures
from packtrain.client.demo.experiments import SEEDS, Experiment, experiments
from packtrain.client.demo.local_server import local_server
from packtrain.client.errors import PacktrainError
from packtrain.client.events import MetricsReceived
from packtrain.client.extras import require_extra
from packtrain.client.results import Results


def run_demo(output: Path | None, as_json: bool) -> int:
    """Run the experiments; plots and ``summary.json`` go to ``output``. 0, or 1 for a failure.

    ``output`` None: a new folder named by the time, below the current one.
    """
    console = Console(stderr=as_json)
    folder = output or Path(f"packtrain-demo-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    try:
        require_extra("server", "packtrain demo")
        require_extra("plot", "packtrain demo")
        folder.mkdir(parents=True, exist_ok=True)
        summary = _run(folder, console)
    except (PacktrainError, OSError) as error:
        Console(stderr=True).print(f"packtrain demo: {error}", soft_wrap=True, highlight=False)
        return 1
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        for table in _tables(summary):
            console.print(table)
        console.print(f"± is the standard deviation over {SEEDS} seeds.", highlight=False)
        console.print(f"Plots and summary.json are in {folder}", soft_wrap=True, highlight=False)
    return 0


def _run(folder: Path, console: Console) -> dict[str, Any]:
    begun = time.monotonic()
    results: dict[str, Results] = {}
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="packtrain-") as data_dir:
        console.print("Starting a server with a local Ray cluster ...")
        with local_server(Path(data_dir)) as address, Client(address) as client:
            ready = time.monotonic() - begun
            console.print(f"It listens on {address} after {ready:.1f} s.", highlight=False)
            with _progress(console) as progress:
                for experiment in experiments():
                    made, seconds = _train(client, experiment, progress)
                    results[experiment.job_id] = made
                    told[experiment.job_id] = {
                        "title": experiment.title,
                        "trials": len(made.trials),
                        "epochs": int(made.values.shape[1]),
                        "seconds": round(seconds, 3),
                        "results": experiment.summarize(made),
                    }
                    if not console.is_terminal:
                        console.print(
                            f"{experiment.title}: {len(made.trials)} trials x "
                            f"{made.values.shape[1]} epochs in {seconds:.1f} s",
                            highlight=False,
                        )
    figures.draw_slowdown(
        results["neuron-quadratic"], results["neuron-cross-entropy"], folder / "1-slowdown.png"
    )
    figures.draw_initialization(results["initialization"], folder / "2-initialization.png")
    figures.draw_regularization(results["regularization"], folder / "3-regularization.png")
    return {"seconds": round(time.monotonic() - begun, 1), "experiments": told}


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.completed:>7.0f} / {task.total:.0f} trial-epochs"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _train(client: Client, experiment: Experiment, progress: Progress) -> tuple[Results, float]:
    begun = time.monotonic()
    job = client.train(experiment.spec, job_id=experiment.job_id)
    total = job.refresh().progress.trial_epochs_total
    task = progress.add_task(experiment.title, total=total)
    for event in job.watch():
        if isinstance(event, MetricsReceived):
            trials, epochs, _ = event.values.shape
            progress.advance(task, trials * epochs)
    return job.wait().results(), time.monotonic() - begun


def _tables(summary: dict[str, Any]) -> list[Table]:
    tables = []
    for told in summary["experiments"].values():
        rows = told["results"]
        table = Table(title=f"{told['title']} ({told['seconds']:.1f} s)", title_justify="left")
        for name in rows[0]:
            table.add_column(name.replace("_", " "), justify="right")
        for row in rows:
            table.add_row(*(_cell(value) for value in row.values()))
        tables.append(table)
    return tables


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['mean']:.3f} ± {value['deviation']:.3f}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
