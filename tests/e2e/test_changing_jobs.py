"""Jobs that are paused, extended and retried keep their numbers through kill -9 of the service."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from packtrain.client import (
    SGD,
    Client,
    DatasetSelection,
    JobSpec,
    JobState,
    MetricsReceived,
    Network,
    RandomSearch,
    RowRange,
    log_uniform,
)

# Ray is started again and again, which takes its time on a busy machine.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def make_spec(trials: int, epochs: int) -> JobSpec:
    return JobSpec(
        dataset=DatasetSelection(
            name="digits", training_rows=1000, validation=RowRange(first=1500)
        ),
        network=Network(hidden=[30]),
        optimizer=SGD(learning_rate=log_uniform(0.01, 20), momentum=0.5),
        epochs=epochs,
        seed=11,
        search=RandomSearch(trials=trials),
    )


def test_a_paused_and_extended_job_outlives_kills(
    make_server: Callable[..., object], client: Client
) -> None:
    whole = client.run(make_spec(12, 150))
    server = make_server("changing")
    seen = np.zeros((12, 151), int)
    with Client(server.address) as watcher:
        job = watcher.train(make_spec(8, 100), job_id="changing", labels={"kept": "yes"})
        token = ""
        for event in job.watch():
            token = event.resume_token
            if isinstance(event, MetricsReceived):
                count(seen, event)
                break
        job.pause()
        server.kill()
        server.start()
        paused = job.refresh()
        assert (paused.state, paused.labels) == (JobState.PAUSED, {"kept": "yes"})
        # Killed as soon as changes are acknowledged: they are kept, and carried out.
        job.update(epochs=120)
        assert job.resume().state is JobState.RUNNING
        server.kill()
        server.start()
        for event in job.watch(resume_token=token):
            token = event.resume_token
            if isinstance(event, MetricsReceived):
                count(seen, event)
        assert job.refresh().state is JobState.SUCCEEDED
        assert job.update(trials=12, epochs=150).state is JobState.RUNNING
        server.kill()
        server.start()
        kills = 0
        for event in job.watch(resume_token=token):
            if isinstance(event, MetricsReceived):
                count(seen, event)
                if not kills:
                    kills += 1
                    server.kill()
                    server.start()
        assert kills == 1
        assert (seen[:, 1:] == 1).all()
        done = job.wait().latest
        assert done.state is JobState.SUCCEEDED
        assert (done.spec, done.progress) == (whole.latest.spec, whole.latest.progress)
        np.testing.assert_array_equal(job.results().values, whole.results().values)
        for trial in (3, 11):
            for got, expected in zip(
                job.model(trial).weights, whole.model(trial).weights, strict=True
            ):
                np.testing.assert_array_equal(got, expected)


def count(seen: np.ndarray, event: MetricsReceived) -> None:
    last = event.first_epoch + event.values.shape[1]
    seen[np.ix_(event.trials, range(event.first_epoch, last))] += 1
