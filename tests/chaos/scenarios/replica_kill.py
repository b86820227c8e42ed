"""The owner of a job is killed, or stopped for longer than the others' patience."""

from __future__ import annotations

import signal
import time
from typing import Any

from tests.chaos.database import ChaosDatabase, chaos_database
from tests.chaos.harness import Chaos
from tests.chaos.jobs import RETRY, Reference, read_outcome
from tests.chaos.processes import send, wait_until
from tests.chaos.replicas import Watched, long_spec, start_replicas, wait_workers
from tests.chaos.server import ServerProcess
from tests.chaos.writers import (
    count_writers,
    find_double_writes,
    lives_of,
    store_url,
    write_down,
)

from packtrain.client import Client

FAULT = "replica killed or stopped, {points} times"
MUST_HOLD = (
    "another takes its jobs over within 20 s; no pack is trained under two owners' names; the same "
    "results, each epoch once; it comes back"
)
_TAKEOVER_SECONDS = 20.0
_END_SECONDS = 300.0
_EPOCHS = 2000


def run(chaos: Chaos) -> dict[str, Any]:
    """Round after round: the owner of a new job is taken away in the middle of it."""
    replicas_count, kills, stops = (2, 1, 1) if chaos.is_short else (3, 8, 2)
    ways = ["kill"] * kills + ["stop"] * stops
    chaos.rng.shuffle(ways)
    database = chaos.owns(chaos_database())
    replicas = start_replicas(
        chaos, replicas_count, lambda name: store_url(database, name), ["--checkpoint-every", "0.5"]
    )
    write_down(database)
    with Client(replicas[0].address, retry=RETRY) as client:
        expected = read_outcome(client.run(long_spec(_EPOCHS), "undisturbed"))
    taken: list[float] = []
    refused = 0
    for number, how in enumerate(ways):
        which = f"{number + 1}/{len(ways)} {how}"
        took, late = _take_away(chaos, database, replicas, expected, how, which)
        taken.append(took)
        refused += late
    for fault in find_double_writes(database, replicas):
        chaos.check(False, fault)
    return {
        "points": len(ways),
        "replicas": len(replicas),
        "taken over after, median s": round(sorted(taken)[len(taken) // 2], 1),
        "longest": round(max(taken), 1),
        "late writers refused": refused,
    }


def _take_away(
    chaos: Chaos,
    database: ChaosDatabase,
    replicas: list[ServerProcess],
    expected: Reference,
    how: str,
    which: str,
) -> tuple[float, int]:
    """The seconds until another replica's metrics came, and how many late writes were refused."""
    creator, watched_at = chaos.rng.sample(replicas, 2)
    name = f"job-{which.split('/')[0]}"
    with Client(creator.address, retry=RETRY) as client:
        job = Watched(client, name, long_spec(_EPOCHS), watched_at)
    job.wait_progress()
    time.sleep(chaos.rng.uniform(0, 2))
    owner = database.owners()[name]
    address = database.replicas().get(str(owner))
    chaos.check(address == creator.address, f"{name} belongs to {address}, not {creator.address}")
    refused_before = _count_refused(creator)
    if how == "kill":
        creator.kill()
    else:
        creator.signal(signal.SIGSTOP)
    gone = time.monotonic()
    # What came to pass before may be told a moment after: the new owner is what is waited for.
    wait_until(lambda: database.owners()[name] not in (owner, None), 60, 0.1)
    claimed = time.monotonic()
    job.wait_progress(since=claimed)
    took = time.monotonic() - gone
    chaos.say(f"{which}: claimed after {claimed - gone:.1f} s, metrics after {took:.1f} s")
    chaos.check(took < _TAKEOVER_SECONDS, f"{which}: {name} went on only after {took:.1f} s")
    if how == "kill":
        creator.start()
        creator.wait_serving()
    else:
        send(creator.pid, signal.SIGCONT)
    came = wait_until(lambda: lives_of(creator)[-1] in database.replicas(), 60, 0.1)
    chaos.check(came < 60, f"{which}: {creator.name} has not come back")
    chaos.check(lives_of(creator)[-1] != owner, f"{which}: {creator.name} is {owner} again")
    with Client(watched_at.address, retry=RETRY) as client:
        job.check(chaos, client, expected, _END_SECONDS)
    writers = count_writers(database, name)
    chaos.check(writers == 2, f"{which}: {writers} owners recorded {name}, not 2")
    wait_workers(creator)
    return took, _count_refused(creator) - refused_before


def _count_refused(replica: ServerProcess) -> int:
    """How often it came too late with what it had trained."""
    return sum(left["reason"] == "NOT_OWNER" for left in replica.told("job_left"))
