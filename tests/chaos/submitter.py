"""Jobs of all kinds under way, each followed from its first event, and what must hold of them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tests.chaos.follower import EventLog, Follower
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY, compare

from packtrain.client import Client, JobHandle

END_SECONDS = 300.0
# Jobs that are under way at a time.
_JOBS = 3


@dataclass
class Followed:
    """A job that was acknowledged."""

    kind: str
    name: str
    follower: Follower


class Submitter:
    """Keeps jobs of all kinds under way, each sent until it is acknowledged."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._kinds = itertools.cycle(KINDS)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_JOBS)
        self._sent: list[Future[Followed]] = []
        self.jobs: list[Followed] = []

    @property
    def going(self) -> list[Followed]:
        """Those that have not ended."""
        return [job for job in self.jobs if job.follower.is_alive()]

    @property
    def last_metrics_at(self) -> float:
        """When any of them told of some, by the monotonic clock."""
        return max((job.follower.log.last_metrics_at for job in self.jobs), default=0.0)

    def refill(self) -> None:
        """Send as many as there is room for."""
        going = len(self.going)
        waiting = sum(not sent.done() for sent in self._sent)
        for _ in range(_JOBS - going - waiting):
            self._sent.append(self._pool.submit(self.submit))

    def submit(self) -> Followed:
        """Send one; return when it is acknowledged."""
        with self._lock:
            kind, number = next(self._kinds), next(self._numbers)
        name = f"{kind}-{number}"
        with Client(self._address, retry=RETRY) as client:
            client.create_job(KINDS[kind], name)
        followed = Followed(kind, name, Follower(self._address, name))
        with self._lock:
            self.jobs.append(followed)
        return followed

    def finish(self) -> None:
        """Wait for the end of all; an error of any is raised."""
        for sent in self._sent:
            sent.result(END_SECONDS)
        self._pool.shutdown()
        for job in self.jobs:
            job.follower.join(END_SECONDS)


def check_jobs(
    chaos: Chaos, address: str, jobs: list[Followed], others: Collection[str] = ()
) -> int:
    """That all have ended as undisturbed ones do, and that there are none but ``others``; how often
    their watches were cut."""
    with Client(address) as client:
        there = [job.id for job in client.list_jobs()]
        chaos.check(len(there) == len(set(there)), f"jobs are listed twice: {sorted(there)}")
        expected = sorted([*others, *(job.name for job in jobs)])
        chaos.check(sorted(there) == expected, f"jobs there are {sorted(there)}, not {expected}")
        for job in jobs:
            _check_job(chaos, client, job)
    return sum(job.follower.interruptions for job in jobs)


def _check_job(chaos: Chaos, client: Client, job: Followed) -> None:
    follower = job.follower
    chaos.check(not follower.is_alive(), f"{job.name} has not ended after {END_SECONDS:.0f} s")
    chaos.check(follower.error is None, f"the watch of {job.name}: {follower.error!r}")
    if follower.is_alive() or follower.error:
        return
    handle = JobHandle(client, client.get_job(job.name))
    replayed = EventLog()
    for event in handle.watch(replay_only=True):
        replayed.take(event)
    trials = handle.latest.progress.trials
    for log, what in ((follower.log, "the watch"), (replayed, "the log")):
        for fault in log.find_faults(f"{what} of {job.name}", trials):
            chaos.check(False, fault)
    for difference in compare(handle, chaos.reference(job.kind)):
        chaos.check(False, difference)
