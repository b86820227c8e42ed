"""Jobs that are paused, extended and retried keep their numbers through kill -9 of the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.e2e.conftest import SPEC

from packtrain.client import Client, JobHandle, JobState, MetricsReceived, RandomSearch

# Ray is started again and again, which takes its time on a busy machine.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def test_a_paused_and_extended_job_outlives_kills(
    make_server: Callable[..., object], undisturbed: JobHandle
) -> None:
    server = make_server("changing")
    seen = np.zeros((12, 201), int)
    with Client(server.address) as watcher:
        begun = replace(SPEC, epochs=100, search=RandomSearch(trials=8))
        job = watcher.train(begun, job_id="changing", labels={"kept": "yes"})
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
        assert job.update(trials=12, epochs=200).state is JobState.RUNNING
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
        whole = undisturbed.latest
        assert (done.spec, done.progress) == (whole.spec, whole.progress)
        np.testing.assert_array_equal(job.results().values, undisturbed.results().values)
        for trial in (3, 11):
            for got, expected in zip(
                job.model(trial).weights, undisturbed.model(trial).weights, strict=True
            ):
                np.testing.assert_array_equal(got, expected)


def count(seen: np.ndarray, event: MetricsReceived) -> None:
    last = event.first_epoch + event.values.shape[1]
    seen[np.ix_(event.trials, range(event.first_epoch, last))] += 1
