"""The command line of the service's benchmark."""

# ruff: noqa: E402  (threads are set before NumPy is imported)
from __future__ import annotations

import os

# One thread of BLAS in each process, as the workers have: the library's are two processes too.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.processor import describe_processor
from benchmarks.service.bench import Bench
from benchmarks.service.delivery import measure_delivery
from benchmarks.service.early_stopping import measure_early_stopping
from benchmarks.service.footprint import measure_footprint
from benchmarks.service.jobs import follow, neurons
from benchmarks.service.latency import measure_acknowledgement, measure_first_metrics
from benchmarks.service.scaling import measure_scaling, plot
from benchmarks.service.server import running_server
from benchmarks.service.table import Line, as_json, as_text
from benchmarks.service.throughput import WORKERS, measure_networks, measure_neurons

from packtrain.client import Client

ROWS: dict[str, Callable[[Bench], list[Line]]] = {
    "neurons": measure_neurons,
    "networks": measure_networks,
    "footprint": measure_footprint,
    "acknowledgement": measure_acknowledgement,
    "first-metrics": measure_first_metrics,
    "delivery": measure_delivery,
    "early-stopping": measure_early_stopping,
    "scaling": measure_scaling,
}


def main() -> None:
    """Measure, print the table, write the figures: what is measured by then, after each row."""
    options = _parse()
    processor = describe_processor()
    about = {"processor": processor, "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="packtrain-bench-", dir=options.scratch) as folder:
        for measured in _measure(options, Path(folder)):
            lines += measured
            if options.json:
                options.json.write_text(json.dumps(about | as_json(lines), indent=2) + "\n")
    print(f"{len(os.sched_getaffinity(0))} cores of {processor}, {WORKERS} workers, warm service\n")
    print(as_text(lines))
    scaling = [line for line in lines if line.row == "scaling"]
    if options.plot and scaling:
        plot(scaling, options.plot)


def _measure(options: argparse.Namespace, scratch: Path) -> Iterator[list[Line]]:
    directories = [options.datasets] if options.datasets else []
    _report("starting a server")
    with (
        running_server(scratch / "server", WORKERS, directories) as server,
        Client(server.address) as client,
    ):
        bench = Bench(server, client, options.datasets, scratch, options.quick, _report)
        for trials in (10, 10_000):
            follow(client, neurons(trials, 10))
        for name in options.only or ROWS:
            lines = ROWS[name](bench)
            _report(as_text(lines))
            yield lines


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.service", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(ROWS), help="measure this row (repeatable)"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--datasets", type=Path, help="a directory that holds MNIST, as DIR/mnist")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--plot", type=Path, help="draw the row scaling into this file")
    parser.add_argument("--scratch", type=Path, help="where the server keeps its data meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    main()
