"""How soon a job is acknowledged, and its first metrics come."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.service.bench import Bench
from benchmarks.service.jobs import follow, neurons
from benchmarks.service.table import Line

FEW, MANY = 10, 10_000
ASKED_TIMES, ASKED_MANY_SECONDS, ASKED_FIRST_SECONDS = 5, 0.3, 0.3
# As much as the row of a small job.
_ROW_BYTES = 1_000


def measure_acknowledgement(bench: Bench) -> list[Line]:
    """CreateJob, beside an empty call and a durable commit that take turns with it. Each job has
    ended before the next is created."""
    row = "acknowledgement"
    few, empty, commits, many = [], [], [], []
    database = _Database(bench.scratch / "commits.db")
    for number in range(bench.rounds(10, 60)):
        bench.report(f"{row}: {FEW} trials, round {number + 1}")
        empty.append(_seconds_of(bench.client.server_info))
        commits.append(_seconds_of(database.commit))
        few.append(follow(bench.client, neurons(FEW, 10)).acknowledged_seconds)
    for number in range(bench.rounds(3, 15)):
        bench.report(f"{row}: {MANY:,} trials, round {number + 1}")
        many.append(follow(bench.client, neurons(MANY, 10)).acknowledged_seconds)
    database.close()
    return [_few_line(row, few, empty, commits), _many_line(row, many)]


def _few_line(row: str, few: list[float], empty: list[float], commits: list[float]) -> Line:
    p50, call, commit = (statistics.median(each) for each in (few, empty, commits))
    ratio = p50 / (call + commit)
    return Line(
        row,
        f"acknowledgement, {FEW} trials",
        f"p50 {1000 * p50:.1f} ms, {ratio:.1f} times an empty call ({1000 * call:.1f} ms) and a "
        f"commit ({1000 * commit:.1f} ms)",
        f"within {ASKED_TIMES} times",
        ratio <= ASKED_TIMES,
        {"seconds": few, "empty_call_seconds": empty, "commit_seconds": commits},
    )


def _many_line(row: str, many: list[float]) -> Line:
    p50 = statistics.median(many)
    return Line(
        row,
        f"acknowledgement, {MANY:,} trials",
        f"p50 {1000 * p50:.0f} ms (least {1000 * min(many):.0f})",
        f"{1000 * ASKED_MANY_SECONDS:.0f} ms",
        p50 <= ASKED_MANY_SECONDS,
        {"seconds": many},
    )


def measure_first_metrics(bench: Bench) -> list[Line]:
    """From the call of CreateJob to the first metrics at the client."""
    row = "first-metrics"
    seconds = []
    for number in range(bench.rounds(10, 60)):
        bench.report(f"{row}: round {number + 1}")
        seconds.append(follow(bench.client, neurons(FEW, 100)).first_metrics_seconds)
    p50 = statistics.median(seconds)
    return [
        Line(
            row,
            f"first metrics, {FEW} neurons",
            f"p50 {1000 * p50:.0f} ms (most {1000 * max(seconds):.0f})",
            f"{1000 * ASKED_FIRST_SECONDS:.0f} ms",
            p50 <= ASKED_FIRST_SECONDS,
            {"seconds": seconds},
        )
    ]


class _Database:
    """SQLite, as durable as the service's store is."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE rows (content BLOB)",
        ):
            self._connection.execute(statement)

    def commit(self) -> None:
        """One row in a transaction of its own."""
        self._connection.execute("INSERT INTO rows VALUES (?)", (bytes(_ROW_BYTES),))

    def close(self) -> None:
        self._connection.close()


def _seconds_of(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
