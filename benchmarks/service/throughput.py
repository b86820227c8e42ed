"""Trials a second: neurons and networks, beside Ray Tune, the library and one worker."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
from benchmarks.service.bench import Bench, PeerAbsentError, run_ray_tune
from benchmarks.service.jobs import NETWORK_EPOCHS, follow, mnist_networks, neurons
from benchmarks.service.server import running_server
from benchmarks.service.table import Line, absent
from benchmarks.service.without_service import expand_job, warm_library, write_rows

from packtrain.client import Client, JobSpec
from packtrain.service.contract.expansion import Expansion

WORKERS = 2
NEURONS, NEURON_EPOCHS = 10_000, 300
NETWORKS = 64
ASKED_NEURONS, ASKED_LIBRARY, ASKED_WORKER, ASKED_NETWORKS = 5_000, 1.10, 1.85, 30


def measure_neurons(bench: Bench) -> list[Line]:
    """10,000 neurons, beside 32 of Ray Tune's."""
    row, job = "neurons", f"{NEURONS:,} neurons x {NEURON_EPOCHS} epochs"
    spec = neurons(NEURONS, NEURON_EPOCHS)
    seconds = []
    for number in range(bench.rounds(3, 7)):
        bench.report(f"{job}: round {number + 1}")
        seconds.append(follow(bench.client, spec).seconds)
    ours = NEURONS / statistics.median(seconds)
    figures: dict[str, Any] = {"seconds": seconds, "trials_per_second": ours}
    told = f"{statistics.median(seconds):.2f} s (least {min(seconds):.2f}), {ours:,.0f} trials/s"
    lines = [Line(row, job, told, figures=figures)]
    trials = 8 if bench.is_quick else 32
    bench.report(f"{job}: {trials} of Ray Tune's")
    try:
        theirs = run_ray_tune("neuron", trials, NEURON_EPOCHS)
    except PeerAbsentError as reason:
        return [*lines, absent(row, job, f"Ray Tune: {reason}")]
    return [
        *lines,
        _beside_tune(row, job, ours, theirs, trials, ASKED_NEURONS, "NumPy"),
    ]


def _beside_tune(
    row: str, job: str, ours: float, theirs: float, trials: int, asked: float, using: str
) -> Line:
    ratio = ours / theirs
    return Line(
        row,
        job,
        f"{ratio:,.0f} times Ray Tune with {using} ({theirs:.2f} trials/s, {trials} trials)",
        f"{asked:,} times",
        ratio >= asked,
        {"ratio": ratio, "ray_tune_trials_per_second": theirs, "ray_tune_trials": trials},
    )


def measure_networks(bench: Bench) -> list[Line]:
    """64 networks on MNIST, in turns with the library and with a server of one worker."""
    row, job = "networks", f"{NETWORKS} networks [784, 30, 10] x {NETWORK_EPOCHS} epochs, MNIST"
    if bench.datasets is None:
        return [absent(row, job, "it takes --datasets DIR, where DIR/mnist is")]
    spec = mnist_networks(NETWORKS)
    expansion = expand_job(spec, bench.scratch / "library", bench.datasets)
    rounds = bench.rounds(2, 9)
    lines = _beside_library(row, job, _measure_both_workers(bench, job, spec, expansion, rounds))
    single = _measure_one_worker(bench, job, spec, expansion, rounds)
    lines.append(_beside_one_worker(row, job, lines[0].figures, single))
    trials = 4 if bench.is_quick else 16
    bench.report(f"{job}: {trials} of Ray Tune's")
    rows = bench.scratch / "mnist.npz"
    write_rows(expansion, rows)
    try:
        theirs = run_ray_tune("network", trials, NETWORK_EPOCHS, [rows])
    except PeerAbsentError as reason:
        return [*lines, absent(row, job, f"Ray Tune: {reason}")]
    ours_a_second = NETWORKS / float(np.median(lines[0].figures["service_seconds"]))
    tuned = _beside_tune(row, job, ours_a_second, theirs, trials, ASKED_NETWORKS, "PyTorch eager")
    return [*lines, tuned]


def _measure_both_workers(
    bench: Bench, job: str, spec: JobSpec, expansion: Expansion, rounds: int
) -> Any:
    """Seconds of the service and of the library on as many processes, in turns: (rounds, 2)."""
    turns = []
    with warm_library(expansion, WORKERS) as library:
        follow(bench.client, spec)
        for number in range(rounds):
            bench.report(f"{job}: round {number + 1}")
            alone, expected = library.run()
            ours = follow(bench.client, spec)
            np.testing.assert_array_equal(ours.results().values, expected)
            turns.append((ours.seconds, alone))
    return np.array(turns)


def _measure_one_worker(
    bench: Bench, job: str, spec: JobSpec, expansion: Expansion, rounds: int
) -> Any:
    """As :func:`_measure_both_workers`, of a service with one worker and one process.

    Not in turns with the other: an idle Ray takes a twentieth of a core, which would be taken
    from two busy workers, but not from one.
    """
    assert bench.datasets is not None
    turns = []
    with (
        running_server(bench.scratch / "one-worker", 1, [bench.datasets]) as server,
        Client(server.address) as client,
        warm_library(expansion, 1) as library,
    ):
        follow(client, spec)
        for number in range(rounds):
            bench.report(f"{job}: one worker, round {number + 1}")
            alone, _ = library.run()
            turns.append((follow(client, spec).seconds, alone))
    return np.array(turns)


def _beside_library(row: str, job: str, turns: Any) -> list[Line]:
    """``turns`` is (rounds, 2): the seconds of the service and of the library."""
    service, library = np.median(turns, axis=0)
    overhead = float(np.median(turns[:, 0] / turns[:, 1]))
    told = (
        f"{service:.2f} s, {overhead:.3f} times the library on {WORKERS} processes "
        f"({library:.2f} s; least {(turns[:, 0] / turns[:, 1]).min():.3f})"
    )
    figures = {
        "ratio": overhead,
        "service_seconds": turns[:, 0].tolist(),
        "library_seconds": turns[:, 1].tolist(),
    }
    asked = f"within {ASKED_LIBRARY - 1:.0%}"
    return [Line(row, job, told, asked, overhead <= ASKED_LIBRARY, figures)]


def _beside_one_worker(row: str, job: str, both: dict[str, Any], single: Any) -> Line:
    """``single`` is (rounds, 2): the seconds of one worker, and of the library on one process."""
    service, library = np.median(single, axis=0)
    gain = float(service / np.median(both["service_seconds"]))
    possible = float(library / np.median(both["library_seconds"]))
    return Line(
        row,
        job,
        f"{gain:.2f} times one worker ({service:.2f} s; the library on {WORKERS} processes "
        f"{possible:.2f} times on one)",
        f"{ASKED_WORKER} times",
        gain >= ASKED_WORKER,
        {"ratio": gain, "library_ratio": possible, "one_worker_seconds": single[:, 0].tolist()},
    )
