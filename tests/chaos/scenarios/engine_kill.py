"""The engine, Ray's driver, is killed under a job; it is started again by its supervisor."""

from __future__ import annotations

import itertools
import signal
import time
from typing import Any

from tests.chaos.follower import Follower
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY, compare
from tests.chaos.processes import send, wait_until

from packtrain.client import Client

FAULT = "engine killed, {points} times in a row"
MUST_HOLD = "back in 15 s; the API reads and accepts meanwhile; the same results"
_BACK_SECONDS = 15.0


def run(chaos: Chaos) -> dict[str, Any]:
    """Kill it in a job of each kind, and again: none may come back later than the one before."""
    rounds = 1 if chaos.is_short else 2
    for kind in KINDS:
        chaos.reference(kind)
    server = chaos.server()
    server.start()
    server.wait_serving()
    took: list[float] = []
    with Client(server.address, retry=RETRY) as client:
        wait_until(lambda: client.server_info().workers > 0, 60)
        for kind, number in itertools.product(KINDS, range(rounds)):
            job = client.train(KINDS[kind], f"{kind}-{number}")
            follower = Follower(server.address, job.id)
            wait_until(lambda f=follower: f.log.last_metrics_at > 0, 60)
            time.sleep(chaos.rng.uniform(0, 1))
            engine = server.engine()
            send(engine, signal.SIGKILL)
            client.get_job(job.id)  # answers
            wait_until(lambda: client.server_info().workers == 0, 5)
            took.append(wait_until(lambda: client.server_info().workers > 0, 60))
            chaos.say(f"engine killed in {kind}: workers again after {took[-1]:.1f} s")
            chaos.check(took[-1] <= _BACK_SECONDS, f"no workers for {took[-1]:.1f} s")
            follower.join(120)
            for fault in follower.log.find_faults(job.id, job.latest.progress.trials):
                chaos.check(False, fault)
            for difference in compare(job, chaos.reference(kind)):
                chaos.check(False, difference)
    return {"points": len(took), "longest until workers are back, s": round(max(took), 1)}
