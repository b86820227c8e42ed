"""A watch whose connection is cut at any byte, again and again, with restarts of the server."""

from __future__ import annotations

from typing import Any

from tests.chaos.follower import EventLog, sequence_of
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY
from tests.chaos.proxy import CuttingProxy

from packtrain.client import Client, RetrySettings

FAULT = "{points} random cuts of a watch, with server restarts between"
MUST_HOLD = "each event exactly once, in order"
# A connection begins with some hundred bytes of HTTP/2's own.
_MOST_BYTES = 20_000


def run(chaos: Chaos) -> dict[str, Any]:
    """Watch a job through a proxy, from its first event to its last, until cut often enough."""
    cuts, restarts = (60, 1) if chaos.is_short else (1000, 5)
    server = chaos.server()
    server.start()
    server.wait_serving()
    proxy = CuttingProxy(server.address, chaos.rng, _MOST_BYTES)
    kinds = list(KINDS)
    watches = events = restarted = 0
    with Client(server.address, retry=RETRY) as client:
        jobs = [client.train(KINDS[kind], kind) for kind in kinds]
        while proxy.cuts < cuts:
            job = jobs[watches % len(jobs)]
            log = _watch(proxy.address, job.name)
            watches += 1
            events += len(log.sequences)
            for fault in log.find_faults(job.id, job.latest.progress.trials):
                chaos.check(False, f"watch {watches}: {fault}")
            if proxy.cuts >= (restarted + 1) * cuts / (restarts + 1) and restarted < restarts:
                restarted += 1
                chaos.say(f"{proxy.cuts} cuts, {events} events; server killed and started")
                server.kill()
                server.start()
        last = max(log.sequences)
        whole = [sequence_of(e.resume_token) for e in client.watch_job(job.name, replay_only=True)]
        chaos.check(whole[-1] == last, f"the log has {whole[-1]} events, the watch had {last}")
    proxy.close()
    return {"points": proxy.cuts, "restarts": restarted, "watches": watches, "events": events}


def _watch(address: str, name: str) -> EventLog:
    log = EventLog()
    retry = RetrySettings(initial_backoff_seconds=0.01, max_backoff_seconds=0.2)
    with Client(address, retry=retry) as client:
        for event in client.watch_job(name):
            log.take(event)
    return log
