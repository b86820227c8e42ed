"""What a job costs end to end over gRPC, beside the trainer called as a library on as many cores.

    python benchmarks/service.py [--datasets DIR] [--json FILE] [--rounds N]

With a directory that holds MNIST's four IDX files the same is measured on MNIST. Both sides train
the same packs to the same numbers; the service's time runs from the call of CreateJob to the last
metric at the client. They take turns, and the ratio of each turn counts.
"""

# ruff: noqa: E402  (threads are set before NumPy is imported)
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from packtrain.client import (
    SGD,
    Client,
    DatasetSelection,
    JobSpec,
    MetricsReceived,
    Network,
    RandomSearch,
    RowRange,
    inline,
    log_uniform,
)
from packtrain.client.converters.specs import spec_message
from packtrain.service.contract.expansion import expand
from packtrain.service.datasets import Catalog
from packtrain.service.planner import pack_of, plan_packs
from packtrain.training import Speed, train
from packtrain.v1 import spec_pb2
from packtrain.workers.segment_runner import load_data

TRIALS = 64
EPOCHS = 30
WORKERS = 2
ROWS = 1_000

Figures = dict[str, float]


def sweep(dataset: str, validation: RowRange) -> JobSpec:
    """64 networks with a hidden layer of 30, mini-batches of 10, 1,000 rows."""
    return JobSpec(
        dataset=DatasetSelection(name=dataset, training_rows=ROWS, validation=validation),
        network=Network(hidden=[30]),
        optimizer=SGD(learning_rate=log_uniform(0.1, 1.0)),
        epochs=EPOCHS,
        batch_size=10,
        seed=1,
        metrics=["training_cost", "validation_accuracy"],
        search=RandomSearch(trials=TRIALS),
    )


def train_pack(pack, source):
    """In a process of its own, which keeps the data it has read."""
    global _loaded
    if _loaded is None or _loaded[0] != source:
        _loaded = (source, load_data(source))
    return train(pack, _loaded[1])[1].values


_loaded = None


class Library:
    """The trainer alone: each of the job's packs in a process of its own."""

    def __init__(self, resolved: spec_pb2.JobSpec, catalog: Catalog, pool) -> None:
        packs = plan_packs(expand(resolved, catalog, 1_000_000).parts, WORKERS, Speed())
        self._work = [(pack_of(p.part.group, p.trials), p.part.group.data) for p in packs]
        self._pool = pool

    def run(self) -> tuple[float, np.ndarray]:
        """Seconds, and the metrics (trials, epochs, metrics)."""
        begun = time.perf_counter()
        parts = [f.result() for f in [self._pool.submit(train_pack, *w) for w in self._work]]
        return time.perf_counter() - begun, np.concatenate(parts)


def run_job(client: Client, spec: JobSpec) -> tuple[Figures, np.ndarray]:
    """Seconds to the acknowledgement, the first metrics and the end; the metrics."""
    begun = time.perf_counter()
    job = client.train(spec)
    figures = {"acknowledged": time.perf_counter() - begun}
    for event in job.watch():
        if isinstance(event, MetricsReceived) and "first_metrics" not in figures:
            figures["first_metrics"] = time.perf_counter() - begun
    figures["end"] = time.perf_counter() - begun
    values = job.results().values
    job.delete()
    return figures, values


def measure_overhead(client: Client, spec: JobSpec, catalog: Catalog, rounds: int) -> Figures:
    """The service beside the library, in turn."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        library = Library(spec_message(spec), catalog, pool)
        library.run()
        run_job(client, spec)
        pairs = []
        for _ in range(rounds):
            seconds, expected = library.run()
            figures, values = run_job(client, spec)
            np.testing.assert_array_equal(values, expected)
            pairs.append((seconds, figures))
    return {
        "library_seconds": statistics.median(s for s, _ in pairs),
        "service_seconds": statistics.median(f["end"] for _, f in pairs),
        "ratio": statistics.median(f["end"] / s for s, f in pairs),
        "least_ratio": min(f["end"] / s for s, f in pairs),
        "first_metrics_seconds": statistics.median(f["first_metrics"] for _, f in pairs),
    }


def measure_neurons(client: Client, rounds: int) -> Figures:
    """10,000 neurons x 300 epochs, their output and cost in every epoch."""
    spec = JobSpec(
        dataset=inline([[1.0]], [[0.0]]),
        network=Network(output_activation="sigmoid"),
        optimizer=SGD(learning_rate=log_uniform(0.01, 1.0)),
        epochs=300,
        seed=1,
        metrics=["output", "training_cost"],
        search=RandomSearch(trials=10_000),
    )
    made = [run_job(client, spec)[0] for _ in range(rounds)]
    seconds = statistics.median(f["end"] for f in made)
    acknowledged = statistics.median(f["acknowledged"] for f in made)
    return {
        "seconds": seconds,
        "trials_per_second": 10_000 / seconds,
        "acknowledged_seconds": acknowledged,
    }


def start_server(data_dir: Path, datasets: Path | None) -> tuple[subprocess.Popen[str], str]:
    """The server's process and address."""
    command = [sys.executable, "-m", "packtrain.service", "--listen", "127.0.0.1:0"]
    command += ["--data-dir", str(data_dir), "--workers", str(WORKERS)]
    command += ["--datasets", str(datasets)] if datasets else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    words = process.stdout.readline().split()
    if "on" not in words:
        raise SystemExit("the server did not start: see above")
    return process, words[words.index("on") + 1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=Path, help="a directory that holds MNIST")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    sweeps = {"digits": sweep("digits", RowRange(first=ROWS))}
    if options.datasets:
        sweeps["mnist"] = sweep("mnist", RowRange("test", count=ROWS))
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        process, address = start_server(Path(folder) / "server", options.datasets)
        try:
            directories = [options.datasets] if options.datasets else []
            catalog = Catalog(Path(folder) / "library", directories)
            with Client(address) as client:
                for name, spec in sweeps.items():
                    figures[name] = measure_overhead(client, spec, catalog, options.rounds)
                    print(
                        f"{TRIALS} networks x {EPOCHS} epochs on {name}: service "
                        f"{figures[name]['service_seconds']:.2f} s, library on {WORKERS} "
                        f"processes {figures[name]['library_seconds']:.2f} s, ratio "
                        f"{figures[name]['ratio']:.3f} (least {figures[name]['least_ratio']:.3f});"
                        f" first metrics after {figures[name]['first_metrics_seconds']:.2f} s"
                    )
                figures["neurons"] = measure_neurons(client, options.rounds)
                print(
                    f"10,000 neurons x 300 epochs: {figures['neurons']['seconds']:.2f} s, "
                    f"{figures['neurons']['trials_per_second']:,.0f} trials/s, acknowledged after "
                    f"{1000 * figures['neurons']['acknowledged_seconds']:.0f} ms"
                )
        finally:
            process.terminate()
            process.wait(60)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
