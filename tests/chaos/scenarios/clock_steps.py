"""The clock of a replica steps by an hour, then that of PostgreSQL, as both train."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from tests.chaos.clock import SteppingClock, stepping_clock
from tests.chaos.database import ChaosDatabase, chaos_database
from tests.chaos.harness import Chaos
from tests.chaos.jobs import RETRY, Reference, read_outcome
from tests.chaos.replicas import Watched, long_spec, start_replicas, wait_all
from tests.chaos.server import ServerProcess
from tests.chaos.writers import lives_of

from packtrain.client import Client, JobHandle
from packtrain.service.replica import EXPIRY_SECONDS

FAULT = "clock ±1 h, {points} steps: a replica's, then the database's"
MUST_HOLD = "no lease expires falsely, no job changes its owner; the same results, each epoch once"
_HOUR = 3600
# A dead replica is removed within this.
_PATIENCE_SECONDS = EXPIRY_SECONDS + 5
_END_SECONDS = 300.0
_EPOCHS = 2000


def run(chaos: Chaos) -> dict[str, Any]:
    """Step by step: two jobs begin, the clock steps, and nobody is taken for dead."""
    offsets = (_HOUR, 0) if chaos.is_short else (_HOUR, 0, -_HOUR, 0)
    clocks = {which: chaos.owns(stepping_clock()) for which in ("replica", "database")}
    database = chaos.owns(chaos_database())
    database.kill()
    database.start(**clocks["database"].environment)
    replicas = start_replicas(
        chaos, 2, lambda _: database.url, environments=[clocks["replica"].environment, {}]
    )
    with Client(replicas[1].address, retry=RETRY) as client:
        expected = read_outcome(client.run(long_spec(_EPOCHS), "undisturbed"))
    steps = 0
    silences: list[float] = []
    for which, clock in clocks.items():
        for offset in offsets:
            steps += 1
            told = f"step {steps}: the {which}'s clock to {offset:+d} s"
            silences.append(_step(chaos, database, replicas, expected, clock, offset, told))
            seen = {"replica": _clock_of(replicas[0]), "database": _clock_of_database(database)}
            for name, ahead in seen.items():
                wanted = offset if name == which else 0
                # Otherwise nothing was tried.
                chaos.check(
                    abs(ahead - wanted) < 60, f"{told}: the {name}'s is {ahead:+.0f} s ahead"
                )
    return {
        "points": steps,
        "longest without metrics after a step, s": round(max(silences), 1),
        "replicas removed": sum(r.log.count('"event": "replica_removed"') for r in replicas),
    }


def _step(
    chaos: Chaos,
    database: ChaosDatabase,
    replicas: list[ServerProcess],
    expected: Reference,
    clock: SteppingClock,
    offset: int,
    told: str,
) -> float:
    """The seconds until both jobs had metrics after the step."""
    jobs = []
    for number, (mine, other) in enumerate(zip(replicas, reversed(replicas), strict=True)):
        with Client(mine.address, retry=RETRY) as client:
            name = f"{told.partition(':')[0].replace(' ', '-')}-{number}"
            jobs.append(Watched(client, name, long_spec(_EPOCHS), other))
    for job in jobs:
        job.wait_progress()
    members, owners = database.replicas(), database.owners()
    clock.step_to(offset)
    stepped = time.monotonic()
    silence = wait_all(jobs, stepped, 60)
    chaos.say(f"{told}; metrics after {silence:.1f} s")
    time.sleep(max(0.0, stepped + _PATIENCE_SECONDS - time.monotonic()))
    with Client(replicas[1].address, retry=RETRY) as client:
        for job in jobs:
            job.check(chaos, client, expected, _END_SECONDS)
    now = database.replicas()
    chaos.check(now == members, f"{told}: the replicas {members} became {now}")
    now_owned = database.owners()
    chaos.check(now_owned == owners, f"{told}: the owners {owners} became {now_owned}")
    for replica in replicas:
        lives = lives_of(replica)
        chaos.check(len(lives) == 1, f"{told}: {replica.name} joined {len(lives)} times")
    return silence


def _clock_of(replica: ServerProcess) -> float:
    """How far a replica's clock is ahead of ours."""
    with Client(replica.address, retry=RETRY) as client:
        job: JobHandle = client.train(long_spec(1))
        created = job.latest.create_time
        job.wait()
    assert created is not None
    return (created - datetime.now(UTC)).total_seconds()


def _clock_of_database(database: ChaosDatabase) -> float:
    ((now,),) = database.read("SELECT clock_timestamp()")
    return float((now - datetime.now(UTC)).total_seconds())
