"""The service is killed at random moments and failpoints, with jobs of all kinds under way."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.harness import Chaos
from tests.chaos.owner import Owner
from tests.chaos.processes import wait_until
from tests.chaos.server import ServerProcess
from tests.chaos.submitter import END_SECONDS, Submitter, check_jobs

from packtrain.client import ApiError, Client
from packtrain.workers.failpoints import NAMES

FAULT = "service kill -9 at {points} random points"
MUST_HOLD = (
    "no acknowledged job lost, none final twice, no epoch lost or doubled, results bit-identical to "
    "the undisturbed run"
)

# A server's life where no failpoint ends it.
_LONGEST_LIFE_SECONDS = 10.0
_ENGINE_SECONDS = 60.0
# Of the process itself; engine and workers are killed in scenarios of their own.
_OWN = ("store.", "call.", "file.", "dataset.", "job.", "service.")
# Nothing here fails a pack, proposes no trial that can't train, asks what matters, or shares the
# store with others.
_NEVER = (
    "_replica",
    "claim_jobs",
    "fail_pack",
    "retry_job",
    "RetryJob",
    "GetImportance",
    "GetTrial",
    "DownloadModel",
    "ListJobs",
)
_POINTS = sorted(n for n in NAMES if n.startswith(_OWN) and not any(w in n for w in _NEVER))


def run(chaos: Chaos, points: int | None = None) -> dict[str, Any]:
    """Kill, start, and so on; then wait for the end of all, and compare."""
    points = points or (6 if chaos.is_short else 200)
    chaos.reference("grid")
    server = chaos.server()
    server.start()
    submitter, owner = Submitter(server.address), Owner(server.address)
    killed_by: Counter[str] = Counter()
    starts: list[float] = []
    for point in range(points):
        submitter.refill()
        how = _draw(chaos)
        if not server.is_alive:
            server.start(failpoints=how if "=" in how else "")
        killed_by[_live_once(chaos, server, how, starts, f"{point + 1}/{points}")] += 1
    server.start()
    starts.append(server.wait_serving())
    owner.stop()
    chaos.say("waiting for all jobs to end")
    submitter.finish()
    owner.join(END_SECONDS)
    chaos.check(owner.error is None and not owner.is_alive(), f"the owner's calls: {owner.error!r}")
    interruptions = check_jobs(chaos, server.address, submitter.jobs)
    _check_folders(chaos, server.data_dir, owner.rounds)
    return {
        "points": points,
        "kills by time": killed_by["time"],
        "kills at failpoints": killed_by["failpoint"],
        "jobs": len(submitter.jobs),
        "calls of an owner": owner.calls,
        "watches cut": interruptions,
        "to serving, median s": round(statistics.median(starts), 2),
        "to serving, longest s": round(max(starts), 2),
    }


def _draw(chaos: Chaos) -> str:
    """Seconds of life, "+" those after the engine is up, or an order for a failpoint."""
    kind = chaos.rng.random()
    if kind < 0.15:
        return f"{chaos.rng.uniform(0, _LONGEST_LIFE_SECONDS):.2f}"
    if kind < 0.45:
        return f"+{chaos.rng.uniform(0, _LONGEST_LIFE_SECONDS / 2):.2f}"
    return f"{chaos.rng.choice(_POINTS)}=kill@{chaos.rng.choice((1, 1, 1, 2, 5))}"


def _live_once(
    chaos: Chaos, server: ServerProcess, how: str, starts: list[float], which: str
) -> str:
    """One life of the server, to its end by whatever comes first."""
    try:
        starts.append(server.wait_serving())
    except RuntimeError:
        if "=" not in how:
            raise
    seconds = _LONGEST_LIFE_SECONDS
    if "=" in how or how.startswith("+"):
        # From then on that segments run: a busy machine takes its time to get there.
        wait_until(lambda: not server.is_alive or _has_workers(server), _ENGINE_SECONDS)
    if "=" not in how:
        seconds = float(how)
    status = server.wait_exit(seconds)
    if status is None:
        server.kill()
        chaos.say(f"{which} killed after {seconds:.2f} s" + (f" ({how} not passed)" * ("=" in how)))
        return "time"
    chaos.check(status == -9, f"the server ended by itself with {status}: {server.log[-1000:]}")
    chaos.say(f"{which} {how}")
    return "failpoint"


def _has_workers(server: ServerProcess) -> bool:
    with Client(server.address) as client:
        try:
            return client.server_info().workers > 0
        except ApiError:
            return False


def _check_folders(chaos: Chaos, data_dir: Path, rounds: int) -> None:
    """Nothing unfinished lies about after the last start, nor any dataset's name of the owner."""
    left = [p for p in data_dir.rglob("*") if p.name.endswith((".unfinished", ".new"))]
    left += list((data_dir / "datasets" / "incoming").iterdir())
    left += list((data_dir / "datasets" / "names").glob("owned-*"))
    chaos.check(not left, f"after {rounds} rounds of an owner there is left: {left[:5]}")
