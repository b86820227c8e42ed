"""A user who makes every call there is, each of which must succeed through any number of crashes."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
from tests.chaos.jobs import KINDS, RETRY

from packtrain.client import SGD, Client, Grid, JobState, NotFound, log_uniform

_ROUNDS_MOST = 10_000


class Owner(threading.Thread):
    """Makes round after round of calls on a job and a dataset of its own, until told to stop.

    A call that was cut off is sent again with its request id, by the client itself: it must come to
    what it would have come to.
    """

    def __init__(self, address: str) -> None:
        super().__init__(name="owner", daemon=True)
        self.rounds = 0
        self.calls = 0
        self.error: Exception | None = None
        self._address = address
        self._stops = threading.Event()
        self.start()

    def stop(self) -> None:
        """After the round that is under way."""
        self._stops.set()

    def run(self) -> None:
        """Rounds."""
        try:
            with Client(self._address, retry=RETRY) as client:
                while not self._stops.is_set() and self.rounds < _ROUNDS_MOST:
                    self._make_round(client, f"owned-{self.rounds}")
                    self.rounds += 1
        except Exception as error:  # told by whoever waits for this thread
            self.error = error

    def _make_round(self, client: Client, name: str) -> None:
        rng = np.random.default_rng(self.rounds)
        x = rng.random((200, 4), dtype=np.float32)
        dataset = client.upload_dataset(name, x, rng.integers(0, 2, 200))
        assert client.get_dataset(name).digest == dataset.digest
        assert name in [d.name.rpartition("/")[2] for d in client.list_datasets()]
        # Long enough to be cancelled.
        spec = replace(
            KINDS["grid"],
            dataset=name,
            epochs=100_000,
            optimizer=SGD(learning_rate=log_uniform(0.01, 1)),
            search=Grid(points=4),
        )
        job = client.train(spec, job_id=name)
        assert client.get_job(name).uid == job.latest.uid
        assert job.update(labels={"round": name}, priority=3).labels == {"round": name}
        assert job.pause().state is JobState.PAUSED
        assert job.resume().state is not JobState.PAUSED
        assert len(job.trials()) == 4
        client.get_job(name)
        job.results()
        client.server_info()
        job.cancel()
        job.wait()
        assert job.latest.state is JobState.CANCELLED
        assert job.latest.labels == {"round": name}
        self._delete_all(client, name)
        self.calls += 15

    def _delete_all(self, client: Client, name: str) -> None:
        client.delete_job(name)
        client.delete_dataset(name)
        for read in (client.get_job, client.get_dataset):
            try:
                read(name)
            except NotFound:
                continue
            raise AssertionError(f"{name} was deleted, and is there")
