"""Nodes of a Ray cluster are killed, or hang and go on, with jobs of all kinds under way."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import replace
from typing import Any

from tests.chaos.follower import Follower
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY, compare, read_outcome
from tests.chaos.kept_cluster import ENVIRONMENT, KeptCluster, kept_cluster
from tests.chaos.processes import wait_until
from tests.chaos.server import ServerProcess
from tests.chaos.submitter import END_SECONDS, Submitter, check_jobs

from packtrain.client import Client, Grid, JobHandle, Network

FAULT = "Ray node killed / hung (SIGSTOP, then SIGCONT): {points}"
MUST_HOLD = (
    "found in 5 s / 20 s; only its packs repeat; the late writer is refused: every event once, the "
    "same results"
)
_NODES = 2
_FOUND_SECONDS = {"killed": 5.0, "hung": 20.0}
_JOIN_SECONDS = 120.0
# It goes on at once after it was found, or when others have long taken its packs.
_LONGER_SECONDS = 10.0


def run(chaos: Chaos) -> dict[str, Any]:
    """One node after the other, each when all are there and at work."""
    chaos.reference("grid")
    rounds = ["killed"] * (2 if chaos.is_short else 8) + ["hung"] * (1 if chaos.is_short else 4)
    chaos.rng.shuffle(rounds)
    cluster = chaos.owns(kept_cluster(_NODES))
    assert isinstance(cluster, KeptCluster)
    server = chaos.server("--ray-address", cluster.address, workers=None)
    server.start(**ENVIRONMENT)
    server.wait_serving()
    submitter, long_jobs = Submitter(server.address), _LongJobs(chaos, server.address)
    found: dict[str, list[float]] = {how: [] for how in _FOUND_SECONDS}
    with Client(server.address) as client:
        for number, how in enumerate(rounds):
            long_jobs.refill()
            _wait_at_work(client, submitter)
            time.sleep(chaos.rng.uniform(0, 2))
            node = chaos.rng.choice(cluster.nodes)
            began = time.monotonic()
            if how == "killed":
                node.kill()
            else:
                node.signal(signal.SIGSTOP)
            wait_until(lambda: _count_workers(client, submitter) < _NODES, 60)
            took = time.monotonic() - began
            found[how].append(took)
            chaos.say(f"{number + 1}/{len(rounds)} node {how}, found after {took:.1f} s")
            limit = _FOUND_SECONDS[how]
            chaos.check(took <= limit, f"a node that was {how} was found after {took:.1f} s")
            if how == "hung":
                time.sleep(chaos.rng.choice((0.0, chaos.rng.uniform(0, _LONGER_SECONDS))))
                node.signal(signal.SIGCONT)
    chaos.say("waiting for all jobs to end")
    submitter.finish()
    long_jobs.finish()
    check_jobs(chaos, server.address, submitter.jobs, long_jobs.names)
    return {
        "points": f"{len(found['killed'])} / {len(found['hung'])} times",
        "jobs": len(submitter.jobs) + len(long_jobs.names),
        "longest until found, s": " / ".join(f"{max(took):.1f}" for took in found.values()),
        **_check_repeated(chaos, server, len(rounds)),
    }


class _LongJobs:
    """One job after the other, of many segments, and of networks whose states Ray leaves on the nodes
    where they came to be: those below 100 KB it keeps with the driver."""

    def __init__(self, chaos: Chaos, address: str) -> None:
        self._chaos = chaos
        self._address = address
        epochs = 1000 if chaos.is_short else 2000
        self._spec = replace(
            KINDS["grid"], epochs=epochs, network=Network(hidden=[100]), search=Grid(points=8)
        )
        self._followers: list[Follower] = []
        self.names = ["undisturbed"]
        with Client(address, retry=RETRY) as client:
            self._expected = read_outcome(client.run(self._spec, "undisturbed"))

    def refill(self) -> None:
        """Return when there is one under way."""
        if self._followers and self._followers[-1].is_alive():
            return
        self.names.append(f"long-{len(self._followers)}")
        with Client(self._address, retry=RETRY) as client:
            client.create_job(self._spec, self.names[-1])
        follower = Follower(self._address, self.names[-1])
        self._followers.append(follower)
        wait_until(lambda: follower.log.last_metrics_at > 0, _JOIN_SECONDS)

    def finish(self) -> None:
        """Each has ended as the undisturbed one, and told every event once."""
        with Client(self._address, retry=RETRY) as client:
            for follower in self._followers:
                follower.join(END_SECONDS)
                self._chaos.check(not follower.is_alive(), f"{follower.job} has not ended")
                self._chaos.check(follower.error is None, f"{follower.job}: {follower.error!r}")
                if follower.is_alive() or follower.error:
                    continue
                job = JobHandle(client, client.get_job(follower.job))
                for fault in follower.log.find_faults(job.id, job.latest.progress.trials):
                    self._chaos.check(False, fault)
                for difference in compare(job, self._expected):
                    self._chaos.check(False, difference)


def _wait_at_work(client: Client, submitter: Submitter) -> None:
    def is_at_work() -> bool:
        is_busy = time.monotonic() - submitter.last_metrics_at < 2
        return _count_workers(client, submitter) == _NODES and is_busy

    if wait_until(is_at_work, _JOIN_SECONDS, every_seconds=0.1) == float("inf"):
        raise RuntimeError(f"the cluster is not at work after {_JOIN_SECONDS:.0f} s")


def _count_workers(client: Client, submitter: Submitter) -> int:
    submitter.refill()
    return client.server_info().workers


def _check_repeated(chaos: Chaos, server: ServerProcess, losses: int) -> dict[str, int]:
    """What the engine's log tells of each segment that ran again: it was in the hands of a lost
    worker, of which each node has one, or began from what a lost node held."""
    log = (server.data_dir / "logs" / "engine.log").read_text(errors="replace")
    nodes = set(re.findall(r"event='worker\.lost'.* node='(\w+)'", log))
    chaos.check(len(nodes) <= losses, f"{len(nodes)} nodes were taken for lost, of {losses}")
    segments = log.count("event='segment.worker_lost'")
    chaos.check(segments <= losses, f"{segments} segments ran again after {losses} losses")
    held = re.findall(r"event='segment\.object_lost'.* nodes=\[([^]]*)\]", log)
    for names in held:
        where = set(re.findall(r"\w+", names))
        chaos.check(where <= nodes, f"a state was lost on {sorted(where - nodes)}, which lives")
    chaos.check(bool(held), "no lost node held a state: this run shows nothing of them")
    return {"segments run again": segments, "packs taken back": len(held)}
