"""PostgreSQL is killed under two replicas, and kept away; then it hangs for as long."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.database import ChaosDatabase, chaos_database
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY, Reference, read_outcome
from tests.chaos.processes import memory_bytes, wait_until
from tests.chaos.replicas import Watched, long_spec, start_replicas, wait_all
from tests.chaos.server import ServerProcess

from packtrain.client import ApiError, Client, RetrySettings

FAULT = "database gone for {points} s, then hung for as long"
MUST_HOLD = (
    "UNAVAILABLE with a retry hint, at once; memory bounded; recovers within 5 s; the same results, "
    "each epoch once"
)
_ONCE = RetrySettings(budget_seconds=0)
_CALLERS = 8
_RECOVERED_SECONDS = 5.0
# Nobody listens: whoever connects is told so. One that hangs is found by whoever asks it first (a
# ping of 2 s, then 3 s to connect), later by one caller at a time; a statement that it had taken is
# given up after 17 s, and no call waits longer than 10 s for the connections that these hold.
_REFUSED_SECONDS = {"killed": 2.0, "hung": 20.0}
_MOST_GROWTH_BYTES = 32 << 20
_END_SECONDS = 300.0


@dataclass
class Refusals:
    """What callers were told in an outage."""

    seconds: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    without_hint: int = 0


def run(chaos: Chaos) -> dict[str, Any]:
    """Train undisturbed, then with the database gone, then with one that hangs."""
    seconds = 10.0 if chaos.is_short else 60.0
    database = chaos.owns(chaos_database())
    replicas = start_replicas(chaos, 2, lambda _: database.url)
    figures: dict[str, Any] = {"points": int(seconds)}
    spec = long_spec(2000)
    with Client(replicas[0].address, retry=RETRY) as client:
        expected = read_outcome(client.run(spec, "undisturbed"))
    ways = {"killed": (database.kill, database.start), "hung": (database.hang, database.wake)}
    for how, (take, give_back) in ways.items():
        found = _lose(chaos, database, replicas, expected, how, seconds, take, give_back)
        figures |= {f"{how}: {name}": value for name, value in found.items()}
    return figures


def _lose(
    chaos: Chaos,
    database: ChaosDatabase,
    replicas: list[ServerProcess],
    expected: Reference,
    how: str,
    seconds: float,
    take: Callable[[], None],
    give_back: Callable[[], None],
) -> dict[str, Any]:
    jobs = []
    for number, (mine, other) in enumerate(zip(replicas, reversed(replicas), strict=True)):
        with Client(mine.address, retry=RETRY) as client:
            jobs.append(Watched(client, f"{how}-{number}", long_spec(2000), other))
    for job in jobs:
        job.wait_progress()
    members = database.replicas()
    before = [memory_bytes(replica.pid) for replica in replicas]
    take()
    chaos.say(f"the database is {how}")
    refusals = _call_on(chaos, replicas, seconds)
    grown = [memory_bytes(r.pid) - b for r, b in zip(replicas, before, strict=True)]
    _check_refusals(chaos, how, refusals)
    chaos.check(max(grown) < _MOST_GROWTH_BYTES, f"{how}: a replica grew by {max(grown) >> 20} MiB")
    give_back()
    back = time.monotonic()
    taken = [_wait_taken(replica, f"after-{how}-{i}") for i, replica in enumerate(replicas)]
    chaos.check(
        max(taken) < _RECOVERED_SECONDS, f"{how}: a submission was taken {max(taken):.1f} s after"
    )
    went_on = wait_all(jobs, back, 60)
    went_on = time.monotonic() - back if went_on < 60 else went_on
    chaos.check(went_on < _RECOVERED_SECONDS, f"{how}: training went on {went_on:.1f} s after")
    chaos.say(f"back: submissions taken after {max(taken):.1f} s, metrics after {went_on:.1f} s")
    with Client(replicas[0].address, retry=RETRY) as client:
        for job in jobs:
            job.check(chaos, client, expected, _END_SECONDS)
        for number in range(len(replicas)):
            client.job(f"after-{how}-{number}").wait(_END_SECONDS)
    chaos.check(
        database.replicas() == members, f"{how}: replicas {members} became {database.replicas()}"
    )
    return {
        "calls refused": len(refusals.seconds),
        "slowest refusal, s": round(max(refusals.seconds), 2),
        "median refusal, s": round(sorted(refusals.seconds)[len(refusals.seconds) // 2], 2),
        "most memory grown, MiB": round(max(grown) / 2**20, 1),
        "submission taken after, s": round(max(taken), 1),
        "metrics after, s": round(went_on, 1),
        "watches cut": sum(job.follower.interruptions for job in jobs),
    }


def _call_on(chaos: Chaos, replicas: list[ServerProcess], seconds: float) -> Refusals:
    """Callers at each replica, one call after the other, for so many seconds."""
    refusals = Refusals()
    lock = threading.Lock()
    until = time.monotonic() + seconds

    def call(address: str) -> None:
        with Client(address, retry=_ONCE) as client:
            while time.monotonic() < until:
                begun = time.monotonic()
                try:
                    client.create_job(KINDS["grid"])
                    code, hint = "taken", None
                except ApiError as error:
                    code, hint = error.code, error.retry_after_seconds
                with lock:
                    refusals.seconds.append(time.monotonic() - begun)
                    refusals.codes[code] += 1
                    refusals.without_hint += hint is None
                time.sleep(0.2)

    threads = [
        threading.Thread(target=call, args=(replica.address,), daemon=True)
        for replica in replicas
        for _ in range(_CALLERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
    chaos.check(not any(t.is_alive() for t in threads), "a call was not answered for a minute")
    return refusals


def _check_refusals(chaos: Chaos, how: str, refusals: Refusals) -> None:
    slowest, told = max(refusals.seconds), dict(refusals.codes)
    chaos.say(f"{how}: {told}, the slowest after {slowest:.2f} s")
    chaos.check(set(told) == {"UNAVAILABLE"}, f"{how}: submissions were {told}")
    chaos.check(refusals.without_hint == 0, f"{how}: {refusals.without_hint} without a retry hint")
    chaos.check(slowest < _REFUSED_SECONDS[how], f"{how}: refused only after {slowest:.1f} s")


def _wait_taken(replica: ServerProcess, name: str) -> float:
    """The seconds until a submission is taken."""
    with Client(replica.address, retry=_ONCE) as client:

        def is_taken() -> bool:
            try:
                client.create_job(KINDS["grid"], name, request_id=name)
            except ApiError:
                return False
            return True

        return wait_until(is_taken, 60, every_seconds=0.1)
