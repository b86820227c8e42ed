"""A service whose Ray cluster is away from the start: it serves all the same, and says what it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.ray_nodes import free_port
from tests.service.conftest import ENDED, Api

from packtrain.service.server import running_server
from packtrain.service.settings import Settings
from packtrain.v1 import job_pb2, server_service_pb2, spec_pb2, training_service_pb2
from packtrain.workers import SupervisedEngine

pb = training_service_pb2


async def test_jobs_are_taken_told_of_and_cancelled(
    tmp_path: Path, moons: Callable[..., spec_pb2.JobSpec]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    engine = SupervisedEngine(ray_address=address)
    settings = Settings(port=0, data_dir=tmp_path, ray_address=address)
    async with (
        asyncio.timeout(20),
        running_server(settings, lambda _settings, _on_change: engine) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        api = Api(server, engine, channel)
        while not (info := await get_info(api)).engine.problem:  # noqa: ASYNC110 - over the API
            await asyncio.sleep(0.05)
        found = info.engine
        assert (found.state, found.workers) == (server_service_pb2.ENGINE_STATE_STARTING, 0)
        assert address in found.problem
        assert not info.limits.HasField("max_job_memory_bytes")
        job = await api.create(moons())
        events = aiter(api.training.WatchJob(pb.WatchJobRequest(name=job.name)))
        assert (await anext(events)).HasField("job")
        assert (await api.get(job.name)).state not in ENDED
        # The coordinator is at work: whatever needs no worker is carried out.
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        async for _ in events:
            pass
        assert (await api.get(job.name)).state == job_pb2.JOB_STATE_CANCELLED


async def get_info(api: Api) -> server_service_pb2.GetServerInfoResponse:
    return await api.info.GetServerInfo(server_service_pb2.GetServerInfoRequest())
