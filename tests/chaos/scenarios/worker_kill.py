"""Ray workers are killed again and again in one job."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import replace
from typing import Any

from tests.chaos.follower import Follower
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY, compare, read_outcome
from tests.chaos.processes import descendant_ids, send, title_of, wait_until

from packtrain.client import Client, Grid, JobHandle

FAULT = "Ray worker killed, {points} times in a job"
MUST_HOLD = "only its pack repeats its segment; detected in 2 s; the same results"
_DETECTED_SECONDS = 2.0
# A segment is given up that kills four workers: this many in a row of one are not its fault.
_PAUSE_SECONDS = (0.5, 2.0)


def run(chaos: Chaos) -> dict[str, Any]:
    """Train the job undisturbed, then with its workers dying."""
    kills = 5 if chaos.is_short else 50
    # Some ten seconds of training and more, so that it outlives its workers.
    spec = replace(KINDS["grid"], epochs=400 if chaos.is_short else 3000, search=Grid(points=8))
    server = chaos.server()
    server.start()
    server.wait_serving()
    detected: list[float] = []
    with Client(server.address, retry=RETRY) as client:
        expected = read_outcome(client.run(spec, "undisturbed"))
        jobs: list[JobHandle] = []
        while len(detected) < kills:
            job = client.train(spec, f"disturbed-{len(jobs)}")
            jobs.append(job)
            follower = Follower(server.address, job.id)
            wait_until(lambda f=follower: f.log.last_metrics_at > 0, 60)
            while follower.is_alive() and len(detected) < kills:
                detected.append(_kill_one(chaos, client, server))
                follower.join(chaos.rng.uniform(*_PAUSE_SECONDS))
            follower.join(300)
            for fault in follower.log.find_faults(job.id, job.latest.progress.trials):
                chaos.check(False, fault)
            for difference in compare(job.wait(), expected):
                chaos.check(False, difference)
    engine_log = (server.data_dir / "logs" / "engine.log").read_text(errors="replace")
    again = len(re.findall(r"event='segment.worker_lost'", engine_log))
    lost = server.log.count("state_lost")
    chaos.check(again <= kills, f"{again} segments ran again after {kills} kills")
    chaos.check(lost == 0, f"{lost} packs began again from their beginning")
    return {
        "points": kills,
        "jobs": len(jobs),
        "segments repeated": again,
        "packs begun again": lost,
        "longest until detected, s": round(max(detected), 2),
    }


def _kill_one(chaos: Chaos, client: Client, server: Any) -> float:
    """Kill a worker; the seconds until the engine knows, which the number of workers tells."""
    workers: list[int] = []

    def find() -> bool:
        workers[:] = [p for p in descendant_ids(server.pid) if "SegmentActor" in title_of(p)]
        return len(workers) >= 2 and client.server_info().workers == 2

    wait_until(find, 60)
    before = _count_lost(server)
    worker = chaos.rng.choice(workers)
    send(worker, signal.SIGKILL)
    killed_at = time.monotonic()
    wait_until(lambda: _count_lost(server) > before, 30, every_seconds=0.01)
    took = time.monotonic() - killed_at
    chaos.say(f"worker {worker} killed, detected after {took:.2f} s")
    chaos.check(took <= _DETECTED_SECONDS, f"the death of a worker was found after {took:.2f} s")
    return took


def _count_lost(server: Any) -> int:
    log = server.data_dir / "logs" / "engine.log"
    return log.read_bytes().count(b"worker.lost") if log.exists() else 0
