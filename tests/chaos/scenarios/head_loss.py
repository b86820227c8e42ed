"""The head of a Ray cluster goes away for a while, and comes back without its memory; meanwhile the
service goes on, or is killed and started too."""

from __future__ import annotations

import time
from typing import Any

from tests.chaos.caller import Caller
from tests.chaos.harness import Chaos
from tests.chaos.jobs import RETRY
from tests.chaos.kept_cluster import ENVIRONMENT, KeptCluster, kept_cluster
from tests.chaos.processes import wait_until
from tests.chaos.server import ServerProcess
from tests.chaos.submitter import Submitter, check_jobs

from packtrain.client import Client

FAULT = "Ray head gone {points}"
MUST_HOLD = (
    "the API reads, accepts and streams all the while; a service that is started meanwhile serves in "
    "5 s and says what it lacks; training goes on within 30 s of the head's return; the same results"
)
_NODES = 2
_AWAY_SECONDS = 20.0
_SERVING_SECONDS = 5.0
_GOES_ON_SECONDS = 30.0


def run(chaos: Chaos) -> dict[str, Any]:
    """Take the head away, ask for this and that, bring it back."""
    chaos.reference("grid")
    rounds = (False, True) * (1 if chaos.is_short else 3)
    cluster = chaos.owns(kept_cluster(_NODES))
    assert isinstance(cluster, KeptCluster)
    server = chaos.server("--ray-address", cluster.address, workers=None)
    server.start(**ENVIRONMENT)
    server.wait_serving()
    submitter = Submitter(server.address)
    ended = submitter.submit()
    ended.follower.join(120)
    goes_on: list[float] = []
    serving: list[float] = []
    callers: list[Caller] = []
    for number, is_killed in enumerate(rounds):
        _wait_at_work(submitter)
        time.sleep(chaos.rng.uniform(0, 2))
        cut = _count_cuts(submitter)
        cluster.lose_head()
        back_at = time.monotonic() + _AWAY_SECONDS
        if is_killed:
            time.sleep(chaos.rng.uniform(0, 2))
            serving.append(_start_again(chaos, server, cluster.address))
        going = submitter.submit()
        with Caller(server.address, ended.name, going.name, submitter.submit) as caller:
            time.sleep(max(0.0, back_at - time.monotonic()))
        callers.append(caller)
        for fault in caller.faults:
            chaos.check(False, f"without a head: {fault}")
        cut = _count_cuts(submitter) - cut
        chaos.check(is_killed or not cut, f"{cut} watches were cut as the head was lost")
        cluster.return_head()
        back = time.monotonic()
        wait_until(lambda at=back: submitter.last_metrics_at > at, 120)
        goes_on.append(submitter.last_metrics_at - back)
        what = " and the service killed" * is_killed
        chaos.say(
            f"{number + 1}/{len(rounds)} head gone{what}; training {goes_on[-1]:.1f} s after its return"
        )
        chaos.check(
            0 < goes_on[-1] <= _GOES_ON_SECONDS,
            f"no training {_GOES_ON_SECONDS:.0f} s after the head's return: {goes_on[-1]:.1f} s",
        )
    chaos.say("waiting for all jobs to end")
    submitter.finish()
    check_jobs(chaos, server.address, submitter.jobs)
    return {
        "points": f"for {_AWAY_SECONDS:.0f} s, {len(rounds)} times, the service killed in "
        f"{len(serving)} of them",
        "jobs": len(submitter.jobs),
        "calls without a head": sum(caller.calls for caller in callers),
        "longest call, s": round(max(caller.longest_seconds for caller in callers), 2),
        "longest to serving, s": round(max(serving), 1),
        "longest from the head's return to training, s": round(max(goes_on), 1),
    }


def _wait_at_work(submitter: Submitter) -> None:
    def is_at_work() -> bool:
        submitter.refill()
        return time.monotonic() - submitter.last_metrics_at < 1

    if wait_until(is_at_work, 120) == float("inf"):
        raise RuntimeError("the cluster is not at work after 120 s")


def _start_again(chaos: Chaos, server: ServerProcess, address: str) -> float:
    """Kill the service and start it: it serves, and tells what is amiss. The seconds to serving."""
    server.kill()
    told = len(server.log)
    server.start(**ENVIRONMENT)
    took = server.wait_serving()
    chaos.check(took <= _SERVING_SECONDS, f"it served {took:.1f} s after its start")
    with Client(server.address, retry=RETRY) as client:
        wait_until(lambda: bool(client.server_info().engine_problem), 5)
        info = client.server_info()
    chaos.check(info.workers == 0, f"there are {info.workers} workers without a head")
    chaos.check(address in info.engine_problem, f"it tells of {info.engine_problem!r}")
    chaos.check("engine.start_failed" in server.log[told:], "its log says nothing of the cluster")
    return took


def _count_cuts(submitter: Submitter) -> int:
    return sum(job.follower.interruptions for job in submitter.jobs)
