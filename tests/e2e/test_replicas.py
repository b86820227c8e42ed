"""Two real servers on one PostgreSQL: one dies, and nothing of its job is lost or doubled."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import SPEC
from tests.postgresql import Postgres

from packtrain.client import Client, JobHandle, JobState, MetricsReceived, PacktrainError

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

TAKEOVER_SECONDS = 20.0


def test_a_killed_replica_is_taken_over_by_the_other(
    make_server: Callable[..., Any], postgres: Postgres, undisturbed: JobHandle
) -> None:
    options = ("data", "--store", postgres.make_database())
    first, second = make_server(*options), make_server(*options)
    seen = np.zeros((12, 201), int)
    token, killed, taken = "", 0.0, 0.0

    def follow(client: Client, name: str, until_killed: bool) -> None:
        nonlocal token, killed, taken
        for event in client.watch_job(name, resume_token=token):
            token = event.resume_token
            if not isinstance(event, MetricsReceived):
                continue
            last = event.first_epoch + event.values.shape[1]
            seen[np.ix_(event.trials, range(event.first_epoch, last))] += 1
            if until_killed:
                first.kill()
                killed = time.monotonic()
                return
            taken = taken or time.monotonic()

    with Client(second.address) as client:
        with Client(first.address) as owner:
            name = owner.train(SPEC, job_id="survivor").name
            with contextlib.suppress(PacktrainError):
                follow(owner, name, until_killed=True)
        follow(client, name, until_killed=False)
        assert client.get_job(name).state is JobState.SUCCEEDED
        assert taken - killed < TAKEOVER_SECONDS
        # The events that came to pass before the death, and those after it.
        assert (seen[:, 1:] == 1).all()
        found = client.job(name).results().values
        np.testing.assert_array_equal(found, undisturbed.results().values)
