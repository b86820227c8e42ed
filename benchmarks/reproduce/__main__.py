"""Run the published experiments through a server of one's own, and put the figures side by side."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.processor import describe_processor
from benchmarks.reproduce.experiments import MNIST, Experiment, experiments
from benchmarks.reproduce.report import Outcome, as_json, as_markdown, table
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from packtrain.client import Client, JobState, MetricsReceived, NotFound, PacktrainError
from packtrain.client.demo.local_server import local_server

WITHOUT_MNIST = (
    "experiment {numbers} needs MNIST, which is not there: `packtrain datasets download mnist "
    "--directory DIR` fetches it, and --datasets DIR names the directory that holds it"
)


def main() -> int:
    """The exit status: 0, or 1 where an experiment could not be run."""
    options = _parse()
    console = Console(stderr=True)
    chosen = [
        e
        for e in experiments(options.seeds, options.long_seeds)
        if not options.only or e.number in options.only
    ]
    try:
        outcomes, left_out = _run(chosen, options.datasets, console)
    except (PacktrainError, OSError) as error:
        console.print(f"reproduce: {error}", soft_wrap=True, highlight=False)
        return 1
    _write(outcomes, left_out, options)
    if left_out:
        numbers = " and ".join(str(e.number) for e in left_out)
        told = WITHOUT_MNIST.format(numbers=numbers)
        console.print(f"reproduce: {told}.", soft_wrap=True, highlight=False)
    # Without a directory the others were asked for; with one that lacks MNIST all were.
    return 1 if left_out and (options.datasets or options.only) else 0


def _run(
    chosen: list[Experiment], datasets: Path | None, console: Console
) -> tuple[list[Outcome], list[Experiment]]:
    """What came out, and the experiments that lack their data."""
    outcomes, left_out = [], []
    with tempfile.TemporaryDirectory(prefix="packtrain-") as data_dir:
        directories = [datasets] if datasets else []
        with (
            local_server(Path(data_dir), directories) as address,
            Client(address) as client,
            _progress(console) as progress,
        ):
            has_mnist = _holds_mnist(client)
            for experiment in chosen:
                if experiment.needs_mnist and not has_mnist:
                    left_out.append(experiment)
                    continue
                outcomes.append(_train(client, experiment, progress))
                print(
                    f"{experiment.number}. {experiment.title}\n{table(outcomes[-1])}\n", flush=True
                )
    return outcomes, left_out


def _holds_mnist(client: Client) -> bool:
    try:
        client.get_dataset(MNIST)
    except NotFound:
        return False
    return True


def _train(client: Client, experiment: Experiment, progress: Progress) -> Outcome:
    begun = time.monotonic()
    job = client.train(experiment.spec, job_id=f"experiment-{experiment.number}")
    total = job.refresh().progress.trial_epochs_total
    task = progress.add_task(f"experiment {experiment.number}", total=total, found="")
    for event in job.watch():
        if isinstance(event, MetricsReceived):
            trials, epochs, _ = event.values.shape
            latest = float(event.values[:, -1, 0].mean())
            progress.update(task, advance=trials * epochs, found=f"{event.metrics[0]} {latest:.4f}")
    ended = job.wait().latest
    if ended.state is not JobState.SUCCEEDED:
        raise PacktrainError(f"{job.name} did not succeed: it ended as {ended.state}")
    results = job.results()
    seconds = time.monotonic() - begun
    return Outcome(experiment, len(results.trials), seconds, experiment.read(results))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(),
        TextColumn("{task.completed:>6.0f} / {task.total:.0f} trial-epochs  {task.fields[found]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _write(
    outcomes: list[Outcome], left_out: list[Experiment], options: argparse.Namespace
) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{cores} cores of {describe_processor()}"
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    if options.json:
        options.json.write_text(json.dumps(as_json(outcomes, machine, date), indent=2) + "\n")
    # A page that is there is worth more than one that lacks experiments for want of data.
    if options.markdown and not left_out:
        options.markdown.write_text(as_markdown(outcomes, machine, date))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.reproduce", description=__doc__)
    parser.add_argument(
        "--datasets", type=Path, help="the directory that holds MNIST, as DIR/mnist"
    )
    parser.add_argument(
        "--only", type=int, action="append", choices=(1, 2, 3, 4), help="run this (repeatable)"
    )
    parser.add_argument("--seeds", type=_repeats, default=8, help="repeats of experiment 3")
    parser.add_argument("--long-seeds", type=_repeats, default=4, help="repeats of experiment 4")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the page to this file")
    return parser.parse_args()


def _repeats(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
