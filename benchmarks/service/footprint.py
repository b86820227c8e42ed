"""Memory and processor time of the service, and memory of a client, for many trials."""

from __future__ import annotations

from benchmarks.service.bench import Bench, run_script
from benchmarks.service.processes import MEBIBYTE, forget_peak, peak_bytes
from benchmarks.service.table import Line

TRIALS, EPOCHS = 100_000, 100
ASKED_SERVICE_BYTES, ASKED_CLIENT_BYTES = 2_000_000_000, 500_000_000
ASKED_SECONDS = 0.0001


def measure_footprint(bench: Bench) -> list[Line]:
    """100,000 neurons x 100 epochs. What the service takes counts its engine too, and no worker."""
    row, job = "footprint", f"{TRIALS:,} neurons x {EPOCHS} epochs"
    bench.report(job)
    process_ids = [bench.server.process_id, *bench.server.engine_ids]
    for each in process_ids:
        forget_peak(each)
    before = bench.server.cpu_seconds()
    told = run_script("watcher", bench.server.address, TRIALS, EPOCHS)
    each_seconds = (bench.server.cpu_seconds() - before) / TRIALS
    service, engine = (peak_bytes(each) for each in process_ids)
    client = told["peak_bytes"]
    complete = told["values"] == TRIALS * EPOCHS * 2
    return [
        Line(
            row,
            job,
            f"{told['seconds']:.1f} s, {told['values']:,} values delivered, acknowledged after "
            f"{1000 * told['acknowledged_seconds']:.0f} ms",
            "completes",
            complete,
            told,
        ),
        Line(
            row,
            job,
            f"service {service / MEBIBYTE:,.0f} MiB at most, its engine {engine / MEBIBYTE:,.0f}",
            "service under 2 GB",
            service < ASKED_SERVICE_BYTES,
            {"service_bytes": service, "engine_bytes": engine},
        ),
        Line(
            row,
            job,
            f"watcher {client / MEBIBYTE:,.0f} MiB at most, all values kept",
            "under 500 MB",
            client < ASKED_CLIENT_BYTES,
            {"client_bytes": client},
        ),
        Line(
            row,
            job,
            f"{1000 * each_seconds:.3f} ms of processor time a trial, service and engine",
            "under 0.1 ms",
            each_seconds < ASKED_SECONDS,
            {"cpu_seconds_per_trial": each_seconds},
        ),
    ]
