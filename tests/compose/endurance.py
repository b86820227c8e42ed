"""One container after another is taken away in the middle of a job."""

from __future__ import annotations

import time

from tests.compose.composition import PROJECT, Composition
from tests.compose.follower import Follower, Outcome, make_spec
from tests.compose.report import say

from packtrain.client import Client, RetrySettings
from packtrain.client.errors import Unavailable

# `kill`: as `docker kill`, and brought back by hand after a while; `crash`: its processes are
# killed from within, and the restart policy brings it back; `stop`: SIGTERM, and brought back.
ROUNDS = ("kill", "crash", "stop")
HEALTHY_SECONDS = 300.0
STOP_SECONDS = 30.0
# Into the job, so that there is something to lose.
PROGRESS = 0.15


class Endurance:
    """Disturbs jobs, and remembers in ``faults`` what did not hold."""

    def __init__(
        self, services: Composition, client: Client, epochs: int, outage_seconds: float
    ) -> None:
        self._services = services
        self._client = client
        self._epochs = epochs
        self._outage_seconds = outage_seconds
        self._acknowledged: list[str] = []
        self.faults: list[str] = []

    def check_ports(self) -> None:
        """The proxy's port is the only one that is published."""
        published = self._services.published_ports()
        if [self._services.service_of(name) for name in published] != ["proxy"]:
            self._fail("ports", f"published are {published}, not the proxy's alone")

    def run_undisturbed(self) -> None:
        """The job that all others are to equal; a small one first, so that workers are there."""
        self._client.run(make_spec(1), "warm-up")
        begun = time.monotonic()
        job = self._client.run(make_spec(self._epochs), "undisturbed")
        self._undisturbed = Outcome(job.results(), job.model(3))
        self._acknowledged += ["warm-up", "undisturbed"]
        say(f"the undisturbed job took {time.monotonic() - begun:.1f} s")

    def applies(self, kind: str, container: str) -> bool:
        """Only the replicas have something to do between SIGTERM and their end."""
        return kind != "stop" or self._services.service_of(container) == "packtrain"

    def disturb(self, kind: str, container: str) -> None:
        """Take a container away in the middle of a job, and see what comes of the job."""
        job_id = self._job_id(kind, container)
        follower = Follower(self._client, job_id, self._epochs)
        follower.begin()
        self._acknowledged.append(job_id)
        if not follower.wait_progress(PROGRESS):
            self._fail(job_id, "it ended before it was disturbed: give more --epochs")
            return
        gone = time.monotonic()
        say(f"{kind} {container}")
        meanwhile = self._take_away(kind, container)
        back = time.monotonic()
        follower.wait_end()
        say(f"    back after {back - gone:.1f} s; {follower.told(gone, back)}")
        for fault in follower.faults(self._undisturbed):
            self._fail(job_id, fault)
        if meanwhile:
            # The answer to the first submission may have been lost: it is one job all the same.
            self._submit(meanwhile)
            self._client.job(meanwhile).wait(HEALTHY_SECONDS)
            self._acknowledged.append(meanwhile)
        self._services.wait_healthy(HEALTHY_SECONDS)
        say(f"    all healthy at the latest {time.monotonic() - back:.1f} s after")

    def check_jobs(self) -> None:
        """There are the jobs that were acknowledged, and no others."""
        names = sorted(job.id for job in self._client.list_jobs())
        if names != sorted(self._acknowledged):
            self._fail("jobs", f"there are {names}, not {sorted(self._acknowledged)}")

    def _take_away(self, kind: str, container: str) -> str:
        """Until it is started again; the id of a job that was submitted meanwhile, if any was."""
        if kind == "crash":
            self._services.crash(container)
            return ""
        if kind == "stop":
            self._stop(container)
            return ""
        self._services.kill(container)
        until = time.monotonic() + self._outage_seconds
        job_id = self._job_id("meanwhile", container)
        say(f"    without it, a submission is answered {self._try_submission(job_id)}")
        time.sleep(max(0.0, until - time.monotonic()))
        self._services.start(container)
        return job_id

    def _stop(self, container: str) -> None:
        begun = time.monotonic()
        status = self._services.stop(container)
        seconds = time.monotonic() - begun
        say(f"    ended with status {status} after {seconds:.1f} s")
        # 143 is what a shell makes of SIGTERM: nobody heard it.
        if status or seconds > STOP_SECONDS:
            self._fail(container, f"SIGTERM ended it with status {status} after {seconds:.1f} s")
        self._services.start(container)

    def _try_submission(self, job_id: str) -> str:
        begun = time.monotonic()
        # Sent once: what the service says, and not how long a client would have tried again.
        with Client(self._services.address, retry=RetrySettings(budget_seconds=0)) as client:
            try:
                client.create_job(make_spec(1), job_id, request_id=job_id)
            except Unavailable as error:
                return f"{error.code} after {time.monotonic() - begun:.1f} s: {error}"
        return f"within {time.monotonic() - begun:.2f} s"

    def _submit(self, job_id: str) -> None:
        self._client.create_job(make_spec(1), job_id, request_id=job_id)

    def _job_id(self, kind: str, container: str) -> str:
        return f"{kind}{container.removeprefix(PROJECT)}".replace("_", "-")

    def _fail(self, what: str, fault: str) -> None:
        say(f"FAULT: {what}: {fault}")
        self.faults.append(f"{what}: {fault}")
