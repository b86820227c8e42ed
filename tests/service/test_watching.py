"""Watching a job: replay, tokens, filters, heartbeats, and cuts anywhere."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from tests.service.test_jobs import (
    EPOCHS,
    ByTrial,
    Gate,
    MakeSpec,
    assert_equal_values,
    blocks_of,
    shape_of,
)

from packtrain.service.watch import write_token
from packtrain.v1 import job_pb2, training_service_pb2

pb = training_service_pb2


class TestWatching:
    @pytest.fixture
    async def job(self, api: Any, moons: MakeSpec, short_segments: None) -> job_pb2.Job:
        return await api.train(moons())

    async def test_resuming_gives_exactly_the_rest(self, api: Any, job: job_pb2.Job) -> None:
        whole = await api.watch(job.name)
        assert len(whole) > EPOCHS
        for i, event in enumerate(whole):
            assert await api.watch(job.name, resume_token=event.resume_token) == whole[i + 1 :]

    async def test_cut_anywhere_it_gives_each_event_once(
        self, api: Any, moons: MakeSpec, short_segments: None
    ) -> None:
        draw = np.random.default_rng(3)
        cuts = 0
        while cuts < 200:
            job = await api.create(moons(seed=int(draw.integers(1 << 30))))
            seen: list[pb.WatchJobResponse] = []
            ended = False
            while not ended:
                token = seen[-1].resume_token if seen else ""
                call = api.training.WatchJob(pb.WatchJobRequest(name=job.name, resume_token=token))
                left = int(draw.integers(0, 3))
                ended = True
                async for event in call:
                    seen.append(event)
                    left -= 1
                    if left < 0:
                        call.cancel()
                        cuts, ended = cuts + 1, False
                        break
            assert seen == await api.watch(job.name)

    async def test_filters_by_trials_and_metrics(
        self, api: Any, job: job_pb2.Job, by_trial_and_epoch: ByTrial
    ) -> None:
        whole = by_trial_and_epoch(await api.metrics(job.name))
        column = list(job.metrics).index("validation_accuracy")
        asked = {"trials": [2, 1], "metrics": ["validation_accuracy"]}
        for blocks in (
            blocks_of(await api.watch(job.name, **asked)),
            await api.metrics(job.name, **asked),
        ):
            assert {tuple(b.metrics) for b in blocks} == {("validation_accuracy",)}
            found = by_trial_and_epoch(blocks)
            expected = {k: v[column : column + 1] for k, v in whole.items() if k[0] in (1, 2)}
            assert_equal_values(found, expected)
        shown = shape_of(await api.watch(job.name, trials=[2]))
        assert shown == ["QUEUED", "RUNNING", "RUNNING [2]", "SUCCEEDED [2]", "SUCCEEDED"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.watch(job.name, trials=[4], metrics=["speed"])
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    async def test_beats_while_nothing_happens(self, start_api: Any, moons: MakeSpec) -> None:
        gate = Gate(0)
        async with start_api(before_segment=gate) as api:
            job = await api.create(moons())
            await gate.reached.wait()
            interval = Duration(nanos=100_000_000)
            request = pb.WatchJobRequest(name=job.name, heartbeat_interval=interval)
            kinds, tokens = [], []
            async for event in api.training.WatchJob(request):
                kinds.append(event.WhichOneof("event"))
                tokens.append(event.resume_token)
                if kinds[-2:] == ["heartbeat", "heartbeat"]:
                    gate.opened.set()
            assert kinds[:5] == ["job", "job", "trials", "heartbeat", "heartbeat"]
            assert tokens[3] == tokens[2]  # a heartbeat's token skips nothing
            assert kinds[-1] == "job"

    async def test_beats_while_what_happens_is_left_out(
        self, start_api: Any, moons: MakeSpec, short_segments: None
    ) -> None:
        spec = moons(rates=())
        spec.ClearField("epochs")
        parameter = spec.search.parameters.add(path="epochs")
        for epochs in (1, 60):
            parameter.choice.values.add(number_value=epochs)
        spec.search.grid.SetInParent()
        async with start_api(before_segment=lambda _: asyncio.sleep(0.02)) as api:
            job = await api.create(spec)
            interval = Duration(nanos=100_000_000)
            request = pb.WatchJobRequest(name=job.name, heartbeat_interval=interval, trials=[0])
            events = [e async for e in api.training.WatchJob(request)]
            beats = [e for e in events if e.HasField("heartbeat")]
            assert len(beats) >= 5
            # A heartbeat's token is past what was left out.
            whole = await api.watch(job.name, resume_token=beats[-1].resume_token)
            assert len(whole) < 60

    async def test_a_token_ahead_of_the_log_is_refused(self, api: Any, job: job_pb2.Job) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.watch(job.name, resume_token=write_token(job.uid, 10_000))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    async def test_replay_ends_where_the_log_ends(self, start_api: Any, moons: MakeSpec) -> None:
        gate = Gate(0)
        async with start_api(before_segment=gate) as api:
            job = await api.create(moons())
            await gate.reached.wait()
            events = await api.watch(job.name, replay_only=True)
            assert shape_of(events) == ["QUEUED", "RUNNING", "RUNNING [0, 1, 2, 3]"]
            gate.opened.set()

    async def test_a_job_that_is_deleted_ends_its_watch(
        self, api: Any, job: job_pb2.Job, moons: MakeSpec
    ) -> None:
        token = (await api.watch(job.name))[-1].resume_token
        await api.training.DeleteJob(pb.DeleteJobRequest(name=job.name, etag=job.etag))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.watch(job.name)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        await api.create(moons(), job.name.removeprefix("jobs/"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.watch(job.name, resume_token=token)  # of the job before
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
