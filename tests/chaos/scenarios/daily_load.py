"""A day's load in small: thousands of jobs created, watched, cancelled and deleted."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY
from tests.chaos.processes import count_handles, memory_bytes

from packtrain.client import Client, DatasetSelection, FailedPrecondition, Grid, Network

FAULT = "24 hours of load in small: {points} jobs"
MUST_HOLD = "memory, file handles, table sizes and folders return to where they were"
_CALLERS = 8
_WARM_UP = 200
_MOST_GROWTH_BYTES = 48 << 20
_DAY_MICROSECONDS = 24 * 3600 * 1_000_000
# The service itself; the calls of the one job after the day.
_LASTING = {"rows of identity": 1, "rows of replicas": 1, "rows of requests": 3}


def run(chaos: Chaos) -> dict[str, Any]:
    """Warm up, measure, load, measure."""
    jobs = 300 if chaos.is_short else 3000
    server = chaos.server()
    server.start()
    server.wait_serving()
    with ThreadPoolExecutor(_CALLERS) as pool:
        clients = [Client(server.address, retry=RETRY) for _ in range(_CALLERS)]
        _load(pool, clients, 0, _WARM_UP)
        before = _measure(server.pid, server.data_dir)
        began = time.monotonic()
        _load(pool, clients, _WARM_UP, jobs)
        seconds = time.monotonic() - began
        remembered = _count_requests(server.data_dir)
        _let_a_day_pass(server.data_dir)
        _load(pool, clients, _WARM_UP + jobs, 1)
        time.sleep(2)
        after = _measure(server.pid, server.data_dir)
        for client in clients:
            client.close()
    chaos.say(f"before {before}, after {after}")
    grown = after["memory"] - before["memory"]
    chaos.check(grown < _MOST_GROWTH_BYTES, f"the service grew by {grown >> 20} MiB")
    chaos.check(after["handles"] <= before["handles"] + 10, f"file handles: {before} to {after}")
    for table, rows in after.items():
        if table.startswith("rows of"):
            most = _LASTING.get(table, 0)
            chaos.check(rows <= most, f"{rows} {table} are left, not {most}")
    chaos.check(after["folders of models"] == 0, f"{after['folders of models']} folders are left")
    return {
        "points": jobs,
        "jobs/s": round(jobs / seconds, 1),
        "service grown by, MiB": round(grown / 2**20, 1),
        "file handles": f"{before['handles']} to {after['handles']}",
        "requests remembered for a day": remembered,
    }


def _load(pool: ThreadPoolExecutor, clients: list[Client], first: int, count: int) -> None:
    numbers = range(first, first + count)
    list(pool.map(lambda i: _live(clients[i % _CALLERS], i), numbers))


def _live(client: Client, number: int) -> None:
    """One job's life: watched to its end, or cancelled; then deleted."""
    spec = replace(
        KINDS["grid"],
        dataset=DatasetSelection(name="digits", training_rows=50),
        network=Network(hidden=[2]),
        search=Grid(points=2),
        epochs=5,
        seed=number,
    )
    job = client.train(spec, labels={"number": str(number)})
    if number % 3 == 0:
        with contextlib.suppress(FailedPrecondition):  # it has ended already
            job.cancel()
    for _ in job.watch():
        pass
    job.delete()


def _count_requests(data_dir: Path) -> int:
    with contextlib.closing(sqlite3.connect(data_dir / "packtrain.db")) as db:
        (count,) = db.execute("select count(*) from requests").fetchone()
    return int(count)


def _let_a_day_pass(data_dir: Path) -> None:
    """Request ids are remembered for a day: make them older than that."""
    with contextlib.closing(sqlite3.connect(data_dir / "packtrain.db")) as db, db:
        db.execute("update requests set time = time - ?", (_DAY_MICROSECONDS,))


def _measure(process_id: int, data_dir: Path) -> dict[str, int]:
    found = {"memory": memory_bytes(process_id), "handles": count_handles(process_id)}
    with contextlib.closing(
        sqlite3.connect(f"file:{data_dir}/packtrain.db?mode=ro", uri=True)
    ) as db:
        tables = [row[0] for row in db.execute("select name from sqlite_master where type='table'")]
        for table in tables:
            if table not in ("alembic_version", "sqlite_sequence"):
                (found[f"rows of {table}"],) = db.execute(
                    f'select count(*) from "{table}"'
                ).fetchone()
    models = data_dir / "models"
    found["folders of models"] = len(list(models.iterdir()))
    return found
