"""The same request from a hundred callers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY

from packtrain.client import AlreadyExists, Client

FAULT = "100 equal submissions at once"
MUST_HOLD = "one job; all are told the same"
_CALLERS = 100


def run(chaos: Chaos) -> dict[str, Any]:
    """With one request id; then with one name and ids of their own."""
    server = chaos.server()
    server.start()
    server.wait_serving()

    def send(name: str, request_id: str | None) -> str:
        with Client(server.address, retry=RETRY) as client:
            try:
                return client.create_job(KINDS["grid"], name, request_id=request_id).job.uid
            except AlreadyExists:
                return "exists"

    with ThreadPoolExecutor(_CALLERS) as pool, Client(server.address, retry=RETRY) as client:
        uids = set(pool.map(lambda _: send("", "once"), range(_CALLERS)))
        chaos.check(len(uids) == 1, f"equal requests were told of {len(uids)} jobs")
        told = list(pool.map(lambda _: send("named", None), range(_CALLERS)))
        chaos.check(told.count("exists") == _CALLERS - 1, f"a name was given {told} times")
        jobs = list(client.list_jobs())
        chaos.check(len(jobs) == 2, f"there are {len(jobs)} jobs, not 2")
        for job in jobs:
            client.cancel_job(job.name)
    return {"callers": _CALLERS, "jobs": len(uids)}
