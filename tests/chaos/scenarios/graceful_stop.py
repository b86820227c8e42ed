"""SIGTERM under load, with the engine running, hung, and a second SIGTERM."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

from tests.chaos.follower import Follower
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY, compare
from tests.chaos.processes import send, wait_until

from packtrain.client import Client, Unavailable

FAULT = "SIGTERM under load; with a hung engine; twice"
MUST_HOLD = (
    "exit 0 within 30 s, at once the second time; the watch goes on by itself; the same results"
)
_STOP_SECONDS = 30.0


def run(chaos: Chaos) -> dict[str, Any]:
    """Each way of stopping, on one data directory, with one watcher through all of them."""
    chaos.reference("grid")
    server = chaos.server()
    server.start()
    server.wait_serving()
    figures: dict[str, Any] = {}
    with Client(server.address, retry=RETRY) as client:
        job = client.train(KINDS["grid"], "stopped")
        follower = Follower(server.address, job.id)
        wait_until(lambda: follower.log.last_metrics_at > 0, 60)
        threading.Thread(target=_call_on, args=(chaos, server.address), daemon=True).start()
        status, seconds = server.terminate(_STOP_SECONDS)
        figures["stop, s"] = round(seconds, 1)
        chaos.check(status == 0, f"SIGTERM: status {status} after {seconds:.1f} s")

        server.start()
        server.wait_serving()
        engine = server.engine()
        wait_until(lambda: client.server_info().workers > 0, 60)
        send(engine, signal.SIGSTOP)
        status, seconds = server.terminate(_STOP_SECONDS)
        figures["stop with a hung engine, s"] = round(seconds, 1)
        chaos.check(status == 0, f"with a hung engine: status {status} after {seconds:.1f} s")
        chaos.check(not send(engine, 0), "the hung engine was left behind")

        server.start()
        server.wait_serving()
        engine = server.engine()
        wait_until(lambda: client.server_info().workers > 0, 60)
        send(engine, signal.SIGSTOP)
        server.signal(signal.SIGTERM)
        time.sleep(0.5)
        status, seconds = server.terminate(_STOP_SECONDS)
        figures["second SIGTERM, s"] = round(seconds, 2)
        chaos.check(status == 1 and seconds < 2, f"twice: status {status} after {seconds:.1f} s")

        server.start()
        server.wait_serving()
        begun = time.monotonic()
        follower.join(120)
        figures["last start to the job's end, s"] = round(time.monotonic() - begun, 1)
        chaos.check(follower.error is None, f"the watch: {follower.error!r}")
        for fault in follower.log.find_faults(job.id, job.latest.progress.trials):
            chaos.check(False, fault)
        for difference in compare(job, chaos.reference("grid")):
            chaos.check(False, difference)
    return figures


def _call_on(chaos: Chaos, address: str) -> None:
    """Calls while the server stops: each is answered, or UNAVAILABLE."""
    with Client(address) as client:
        while True:
            try:
                client.list_jobs()
                client.server_info()
            except Unavailable:
                return
            except Exception as error:
                chaos.check(False, f"a call while the server stopped: {error!r}")
                return
