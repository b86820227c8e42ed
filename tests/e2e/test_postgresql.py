"""A service whose jobs are in PostgreSQL, over real Ray and a real socket."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.postgresql import Postgres

from packtrain.client import (
    SGD,
    Client,
    DatasetSelection,
    JobSpec,
    JobState,
    MetricsReceived,
    RandomSearch,
    log_uniform,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]

SPEC = JobSpec(
    dataset=DatasetSelection(name="digits", training_rows=500),
    network=[20],
    optimizer=SGD(learning_rate=log_uniform(0.01, 10)),
    epochs=100,
    seed=5,
    search=RandomSearch(trials=8),
)


def test_a_killed_service_goes_on_from_postgresql(
    make_server: Callable[..., object], client: Client, postgres: Postgres
) -> None:
    reference = client.run(SPEC).results()
    server = make_server("postgresql", "--store", postgres.empty_database())
    assert not (server.data_dir / "packtrain.db").exists()
    seen = np.zeros((8, 101), int)
    is_killed = False
    with Client(server.address) as watcher:
        job = watcher.train(SPEC, labels={"team": "vision"})
        for event in job.watch():
            if not isinstance(event, MetricsReceived):
                continue
            last = event.first_epoch + event.values.shape[1]
            seen[np.ix_(event.trials, range(event.first_epoch, last))] += 1
            if not is_killed:
                is_killed = True
                server.kill()
                server.start()
        assert (seen[:, 1:] == 1).all()
        assert job.wait().latest.state is JobState.SUCCEEDED
        np.testing.assert_array_equal(job.results().values, reference.values)
        assert [j.name for j in watcher.list_jobs(labels={"team": "vision"})] == [job.name]
        job.delete()
