"""From the end of a segment to the client, while many others watch.

The contract tells when metrics were recorded, not when their segment ended. Of a job's last
segment that is known all the same: the engine writes the trained network as soon as it has the
worker's result, and before it hands the metrics on. So two delays are measured, all on one clock:

- from the writing of the network (its file's time) to the arrival of the metrics, of small jobs;
- from the recording (the event's time, taken within its transaction) to the arrival of the
  metrics, at each of the watchers of a job that trains all the while.

Not in the first is the way from the worker to the engine, both processes of one machine; in it is
the time that the network takes to be on the disk.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from benchmarks.service.bench import Bench, start_script
from benchmarks.service.jobs import digits_networks, neurons
from benchmarks.service.table import Line

from packtrain.client import JobState, MetricsReceived

WATCHERS = 100
ASKED_SECONDS = 0.1
# More than it gets to in the time that is measured: it is cancelled.
_ENDLESS_EPOCHS = 500_000


def measure_delivery(bench: Bench) -> list[Line]:
    """Small jobs, one after the other, beside a job that 100 others watch."""
    row, job = "delivery", f"segment's end to the client, {WATCHERS} others watch"
    ended: list[float] = []
    recorded: list[float] = []
    with _watched_job(bench, recorded):
        for number in range(bench.rounds(20, 200)):
            bench.report(f"{row}: small job {number + 1}")
            ended.append(_delay_of_small_job(bench))
    return [
        _line(row, job, "from the network's writing by the engine", ended),
        _line(row, job, "from the recording, at each of the others", recorded),
    ]


@contextmanager
def _watched_job(bench: Bench, delays: list[float]) -> Iterator[None]:
    """A job of eight networks that trains on one worker, with its watchers."""
    job = bench.client.train(digits_networks(8, _ENDLESS_EPOCHS))
    watchers = start_script("watchers", bench.server.address, job.name, WATCHERS)
    assert watchers.stdout is not None
    try:
        watchers.stdout.readline()
        yield
    finally:
        told, _ = watchers.communicate()
        job.cancel()
        job.wait()
        job.delete()
    delays += json.loads(told)


def _delay_of_small_job(bench: Bench) -> float:
    job = bench.client.train(neurons(1, 10))
    arrived = 0.0
    for event in job.watch():
        if isinstance(event, MetricsReceived):
            arrived = time.time()
    (model,) = _models(bench)
    if job.refresh().state is not JobState.SUCCEEDED:
        raise SystemExit(f"{job.name} is {job.latest.state}")
    job.delete()
    return arrived - model


def _models(bench: Bench) -> list[float]:
    """When the packs' networks were written. Folders bear no job's name: it is the newest."""
    folders = (bench.server.data_dir / "models").iterdir()
    newest = max(folders, key=lambda folder: folder.stat().st_mtime)
    return [path.stat().st_mtime for path in newest.glob("*.safetensors")]


def _line(row: str, job: str, what: str, seconds: list[float]) -> Line:
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return Line(
        row,
        job,
        f"{what}: p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms ({len(seconds):,} of them)",
        f"p99 {1000 * ASKED_SECONDS:.0f} ms",
        bool(p99 <= ASKED_SECONDS),
        {"p50_seconds": p50, "p99_seconds": p99, "count": len(seconds)},
    )
