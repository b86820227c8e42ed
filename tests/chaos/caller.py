"""A user who asks for this and that, and waits for no answer longer than people do."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from packtrain.client import Client, RetrySettings, WatchSettings

_EVERY_SECONDS = 0.5
_HEARTBEAT_SECONDS = 1.0
_ROUNDS_A_JOB = 12


class Caller:
    """Within its block, each half second: reads of ``job``, which has ended, a new watch of it from
    its first event, and, now and then, a new job by ``submit``; beside them a watch of ``going``,
    which must not fall silent. ``faults`` tell what did not come, or took longer than
    ``patience_seconds``."""

    def __init__(
        self,
        address: str,
        job: str,
        going: str,
        submit: Callable[[], object],
        patience_seconds: float = 2.0,
    ) -> None:
        self.calls = 0
        self.longest_seconds = 0.0
        self.longest_silence_seconds = 0.0
        self.faults: list[str] = []
        self._address = address
        self._job = job
        self._going = going
        self._submit = submit
        self._patience_seconds = patience_seconds
        self._stops = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(part,), daemon=True)
            for part in (self._call, self._watch)
        ]

    def __enter__(self) -> Caller:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stops.set()
        for thread in self._threads:
            thread.join(60)
            if thread.is_alive():
                self.faults.append("an answer did not come within 60 s")

    def _run(self, part: Callable[[], None]) -> None:
        try:
            part()
        except Exception as error:  # told by whoever leaves the block
            self.faults.append(f"{error!r}")

    def _call(self) -> None:
        with Client(self._address, retry=RetrySettings(budget_seconds=0)) as client:
            events = sum(1 for _ in client.watch_job(self._job, replay_only=True))
            calls: dict[str, Callable[[], object]] = {
                "GetJob": lambda: client.get_job(self._job),
                "ListJobs": lambda: list(client.list_jobs()),
                "ReadMetrics": lambda: client.read_metrics(self._job),
                "GetServerInfo": client.server_info,
                "WatchJob": lambda: self._replay(client, events),
            }
            for number in itertools.count():
                for name, call in calls.items():
                    self._time(name, call)
                if number % _ROUNDS_A_JOB == 0:
                    self._time("CreateJob", self._submit)
                if self._stops.wait(_EVERY_SECONDS):
                    return

    def _replay(self, client: Client, events: int) -> None:
        found = sum(1 for _ in client.watch_job(self._job))
        if found != events:
            raise ValueError(f"{found} events, of {events}")

    def _time(self, name: str, call: Callable[[], object]) -> None:
        began = time.monotonic()
        try:
            call()
        except Exception as error:  # whatever it is: a caller expects an answer
            self.faults.append(f"{name}: {error!r}")
        took = time.monotonic() - began
        self.calls += 1
        self.longest_seconds = max(self.longest_seconds, took)
        if took > self._patience_seconds:
            self.faults.append(f"{name} took {took:.1f} s")

    def _watch(self) -> None:
        settings = WatchSettings(heartbeat_seconds=_HEARTBEAT_SECONDS)
        last = time.monotonic()
        with Client(self._address) as client:
            for _ in client.watch_job(
                self._going,
                settings=settings,
                heartbeats=True,
                on_interruption=lambda error: self.faults.append(f"the watch was cut: {error!r}"),
            ):
                silence, last = time.monotonic() - last, time.monotonic()
                self.longest_silence_seconds = max(self.longest_silence_seconds, silence)
                if self._stops.is_set():
                    break
        limit = _HEARTBEAT_SECONDS + self._patience_seconds
        if self.longest_silence_seconds > limit:
            self.faults.append(f"a watch was silent for {self.longest_silence_seconds:.1f} s")
