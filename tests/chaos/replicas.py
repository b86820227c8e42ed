"""Jobs that several replicas train on one PostgreSQL, watched, and what each must come to."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tests.chaos.follower import Follower
from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, Reference, compare
from tests.chaos.processes import wait_until
from tests.chaos.server import ServerProcess

from packtrain.client import ApiError, Client, Grid, JobHandle, JobSpec, RetrySettings

WORKERS_SECONDS = 90.0


def start_replicas(
    chaos: Chaos,
    count: int,
    store_of: Callable[[str], str],
    options: Sequence[str] = (),
    environments: Sequence[Mapping[str, str]] = ({},),
) -> list[ServerProcess]:
    """So many, which serve and have workers. ``store_of``: the URL for each, by its name;
    ``environments`` are given to one after the other."""
    names = [f"replica-{number}" for number in range(count)]
    replicas = [chaos.server("--store", store_of(name), *options, name=name) for name in names]
    for replica, environment in zip(replicas, itertools.cycle(environments), strict=False):
        replica.start(**environment)
    for replica in replicas:
        replica.wait_serving()
        wait_workers(replica)
    return replicas


def wait_workers(replica: ServerProcess) -> None:
    """Until it can train. Raises RuntimeError."""
    with Client(replica.address, retry=RetrySettings(budget_seconds=0)) as client:

        def is_there() -> bool:
            with contextlib.suppress(ApiError):
                return not replica.is_alive or client.server_info().workers > 0
            return False

        took = wait_until(is_there, WORKERS_SECONDS, 0.1)
    if took > WORKERS_SECONDS or not replica.is_alive:
        raise RuntimeError(f"{replica.name} has no workers: {replica.log[-2000:]}")


def long_spec(epochs: int) -> JobSpec:
    """A job whose trials train alike, some milliseconds an epoch."""
    return replace(KINDS["grid"], epochs=epochs, search=Grid(points=8))


class Watched:
    """A job that was acknowledged, and who watches it from its first event to its last."""

    def __init__(self, client: Client, name: str, spec: JobSpec, watched_at: ServerProcess) -> None:
        self.name = name
        self.spec = spec
        client.create_job(spec, name)
        self.follower = Follower(watched_at.address, name)

    def wait_progress(self, since: float = 0.0, timeout_seconds: float = 60.0) -> float:
        """The seconds until metrics have come that are later than ``since``."""
        return wait_until(lambda: self.follower.log.last_metrics_at > since, timeout_seconds)

    def check(self, chaos: Chaos, client: Client, expected: Reference, seconds: float) -> None:
        """It ends within ``seconds``, each event and epoch came once, and all is as expected."""
        self.follower.join(seconds)
        alive, error = self.follower.is_alive(), self.follower.error
        chaos.check(not alive, f"{self.name} has not ended after {seconds:.0f} s")
        chaos.check(error is None, f"the watch of {self.name}: {error!r}")
        if alive or error:
            return
        job = JobHandle(client, client.get_job(self.name))
        for fault in self.follower.log.find_faults(self.name, job.latest.progress.trials):
            chaos.check(False, fault)
        for difference in compare(job, expected):
            chaos.check(False, difference)


def wait_all(jobs: Sequence[Watched], since: float, timeout_seconds: float) -> float:
    """The seconds until every job has metrics that are later than ``since``, or has ended."""
    return wait_until(
        lambda: all(
            job.follower.log.last_metrics_at > since or not job.follower.is_alive() for job in jobs
        ),
        timeout_seconds,
    )
