"""Two servers on one PostgreSQL and one data directory: whatever one does, the other shows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.postgresql import Postgres
from tests.service.changes import Gate, assert_equal_values, pause, resume, state_of
from tests.service.conftest import Api, Hook

from packtrain.service import replica
from packtrain.service.server import running_server
from packtrain.service.settings import Settings
from packtrain.v1 import training_service_pb2
from packtrain.workers import LocalEngine

pb = training_service_pb2

pytestmark = pytest.mark.usefixtures("short_segments")

StartReplica = Callable[..., contextlib.AbstractAsyncContextManager[Api]]


@pytest.fixture
def start_replica(postgres: Postgres, tmp_path: Path) -> StartReplica:
    """Starts a server on the database and the data directory of the test."""
    url = postgres.make_database()

    @contextlib.asynccontextmanager
    async def start(before_segment: Hook | None = None) -> AsyncIterator[Api]:
        settings = Settings(port=0, data_dir=tmp_path / "data", store=url, workers=2)
        engine = LocalEngine(workers=2, before_segment=before_segment)
        async with (
            running_server(settings, lambda *_: engine) as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            yield Api(server, engine, channel)

    return start


async def test_a_job_of_one_is_changed_watched_and_read_through_the_other(
    start_replica: StartReplica, moons: Any, by_trial_and_epoch: Any
) -> None:
    gate = Gate(4)
    async with start_replica(gate) as first, start_replica() as second:
        job = await first.create(moons())
        await gate.reached.wait()
        watching = asyncio.create_task(second.watch(job.name))
        assert state_of(await pause(second, job.name)) == "PAUSED"
        gate.opened.set()
        await asyncio.sleep(0.3)  # what is under way is recorded, and nothing after that
        stopped = (await second.get(job.name)).progress.trial_epochs
        await asyncio.sleep(0.3)
        assert (await second.get(job.name)).progress.trial_epochs == stopped
        await resume(second, job.name)
        events = await watching
        assert state_of(await second.get(job.name)) == "SUCCEEDED"
        by_trial_and_epoch([e.metrics for e in events if e.HasField("metrics")])
        assert len(await second.trials(job.name)) == 4
        model = second.training.DownloadModel(pb.DownloadModelRequest(name=f"{job.name}/trials/0"))
        assert [part async for part in model]


async def test_a_cancelled_job_of_the_other_ends(start_replica: StartReplica, moons: Any) -> None:
    gate = Gate(4)
    async with start_replica(gate) as first, start_replica() as second:
        job = await first.create(moons())
        await gate.reached.wait()
        await second.training.CancelJob(pb.CancelJobRequest(name=job.name))
        gate.opened.set()
        await second.watch(job.name)
        assert state_of(await first.get(job.name)) == "CANCELLED"


async def test_jobs_of_one_that_stops_are_taken_at_once(
    start_replica: StartReplica, moons: Any, by_trial_and_epoch: Any
) -> None:
    gate = Gate(4)
    async with start_replica() as second:
        undisturbed = await second.train(moons())
        async with start_replica(gate) as first:
            job = await first.create(moons())
            await gate.reached.wait()
        async with asyncio.timeout(5):
            await second.watch(job.name)
        found = by_trial_and_epoch(await second.metrics(job.name))
        assert_equal_values(found, by_trial_and_epoch(await second.metrics(undisturbed.name)))


async def test_a_replica_that_hangs_is_replaced_and_records_no_more(
    start_replica: StartReplica,
    moons: Any,
    by_trial_and_epoch: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replica, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(replica, "EXPIRY_SECONDS", 0.5)
    gate = Gate(4)
    async with start_replica() as second, start_replica(gate) as first:
        undisturbed = await second.train(moons())
        job = await first.create(moons())
        await gate.reached.wait()
        # It goes on, but beats no more: as one whose messages are late.
        hung = next(task for task in first.server._tasks if task.get_name() == "replica")
        hanging = asyncio.create_task(asyncio.Event().wait())
        monkeypatch.setattr(first.server, "_tasks", [*first.server._tasks, hanging])
        hung.cancel()
        async with asyncio.timeout(10):
            await second.watch(job.name)
        gate.opened.set()
        await asyncio.sleep(0.3)
        found = by_trial_and_epoch(await second.metrics(job.name))
        assert_equal_values(found, by_trial_and_epoch(await second.metrics(undisturbed.name)))
