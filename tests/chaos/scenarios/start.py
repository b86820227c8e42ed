"""The service is killed with thousands of jobs in its store, and started again."""

from __future__ import annotations

import time
from typing import Any

from tests.chaos.database import chaos_database
from tests.chaos.filling import copy_job, count_metrics, count_states
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY
from tests.chaos.processes import wait_until
from tests.chaos.replicas import wait_workers

from packtrain.client import Client
from packtrain.service.store import Database

FAULT = "kill -9 with {points} jobs in the store"
MUST_HOLD = "ready in 5 s, training resumed in 30 s, on SQLite and on PostgreSQL"
_READY_SECONDS = 5.0
_RESUMED_SECONDS = 30.0


def run(chaos: Chaos) -> dict[str, Any]:
    """Fill a store, let it train, kill, start; as often on each of both."""
    ended, waiting, kills = 5000, 2000, 1 if chaos.is_short else 5
    postgres = chaos.owns(chaos_database())
    figures: dict[str, Any] = {"points": ended + waiting}
    for kind, url in (("SQLite", ""), ("PostgreSQL", postgres.url)):
        found = _start_often(chaos, kind, url, ended, waiting, kills)
        figures |= {f"{kind}: {name}": value for name, value in found.items()}
    return figures


def _start_often(
    chaos: Chaos, kind: str, url: str, ended: int, waiting: int, kills: int
) -> dict[str, Any]:
    data = chaos.folder / kind
    options = ("--store", url) if url else ()
    server = chaos.server(*options, data_dir=data)
    server.start()
    empty = server.wait_serving()
    wait_workers(server)
    empty_trains = time.monotonic() - server.started_at
    with Client(server.address, retry=RETRY) as client:
        client.run(KINDS["grid"], "first")
    server.terminate()
    url = url or f"sqlite:///{data}/packtrain.db"
    copy_job(url, "first", ended, data / "models", ended=True)
    copy_job(url, "first", waiting, data / "models", ended=False)
    database = Database(url)
    try:
        chaos.say(
            f"{kind}: {count_states(database)}; without them {empty:.1f} s to serve, "
            f"{empty_trains:.1f} s to workers"
        )
        server.start()
        server.wait_serving()
        wait_workers(server)
        ready, resumed = [], []
        for _ in range(kills):
            recorded = count_metrics(database)
            wait_until(lambda n=recorded: count_metrics(database) > n + 10, 120, 0.2)
            time.sleep(chaos.rng.uniform(0, 2))
            server.kill()
            recorded = count_metrics(database)
            server.start()
            ready.append(server.wait_serving())
            wait_until(lambda n=recorded: count_metrics(database) > n, 120, 0.1)
            resumed.append(time.monotonic() - server.started_at)
            chaos.say(f"{kind}: serves after {ready[-1]:.1f} s, trains after {resumed[-1]:.1f} s")
        states = count_states(database)
        chaos.say(f"{kind}: {states}")
    finally:
        database.close()
    chaos.check(max(ready) < _READY_SECONDS, f"{kind}: served only after {max(ready):.1f} s")
    chaos.check(
        max(resumed) < _RESUMED_SECONDS, f"{kind}: training resumed after {max(resumed):.1f} s"
    )
    jobs = sum(states.values())
    chaos.check(jobs == ended + waiting + 1, f"{kind}: {jobs} jobs are there")
    chaos.check("failed" not in states, f"{kind}: jobs FAILED: {states}")
    server.kill()
    return {
        "to serving without jobs, s": round(empty, 1),
        "to serving, longest s": round(max(ready), 1),
        "to workers without jobs, s": round(empty_trains, 1),
        "to training, longest s": round(max(resumed), 1),
    }
