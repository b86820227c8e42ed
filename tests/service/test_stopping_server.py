"""A server that stops: what trains is recorded, what is asked of it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from packtrain.v1 import dataset_service_pb2, job_pb2, spec_pb2, training_service_pb2
from packtrain.workers import failpoints

pb = training_service_pb2
datasets_pb = dataset_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]


async def test_running_segments_are_recorded_and_calls_are_refused(
    start_api: Any, moons: MakeSpec, short_segments: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.server._SAVE_SECONDS", 60.0)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(segment: Any) -> None:
        if segment.start_epoch == 3:
            begun.set()
            await go_on.wait()

    async with start_api(before_segment=hold) as api:
        job = await api.create(moons())
        watch = api.training.WatchJob(pb.WatchJobRequest(name=job.name))
        await begun.wait()
        stopping = asyncio.create_task(api.server.stop())
        for call in (
            lambda: api.training.GetJob(pb.GetJobRequest(name=job.name)),
            lambda: api.training.WatchJob(pb.WatchJobRequest(name=job.name)).read(),
            lambda: api.datasets.UploadDataset(
                iter([datasets_pb.UploadDatasetRequest(chunk=b"1")])
            ),
        ):
            await _check_refused(call)
        go_on.set()
        await stopping
        seen: list[Any] = []
        with pytest.raises(grpc.aio.AioRpcError):
            await _read_all(watch, seen)
        recorded = [e.metrics for e in seen if e.HasField("metrics")]
        assert max(m.first_epoch + m.epoch_count - 1 for m in recorded) == 4


async def test_a_claim_that_fails_is_made_again(start_api: Any, moons: MakeSpec) -> None:
    async def forever(_: Any) -> None:
        await asyncio.Event().wait()

    async with start_api(before_segment=forever) as api:
        job = await api.create(moons())
    failpoints.arm("store.claim_jobs.before_commit=fail")
    try:
        async with start_api() as api:
            events = await api.watch(job.name)
    finally:
        failpoints.arm("")
    assert events[-1].job.state == job_pb2.JOB_STATE_SUCCEEDED


async def _read_all(watch: Any, seen: list[Any]) -> None:
    async for event in watch:
        seen.append(event)  # noqa: PERF401 - kept when it breaks off


async def _check_refused(call: Callable[[], Any]) -> None:
    while True:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            status = rpc_status.from_call(error)
            break
        await asyncio.sleep(0.01)  # the stop has not come so far yet
    assert status is not None
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == 1000


async def test_a_dataset_deletion_that_was_cut_off_is_carried_out_when_it_is_sent_again(
    start_api: Any,
) -> None:
    request = datasets_pb.DeleteDatasetRequest(name="datasets/mine", request_id="once")
    read = datasets_pb.GetDatasetRequest(name="datasets/mine")
    async with start_api() as api:
        # Cut off between its two steps, and before its reply.
        for point in ("store.remember_alone.after_commit", "call.DeleteDataset.before_reply"):
            await _upload(api)
            request.request_id = point
            failpoints.arm(f"{point}=fail")
            with pytest.raises(grpc.aio.AioRpcError):
                await api.datasets.DeleteDataset(request)
            failpoints.arm("")
            await api.datasets.DeleteDataset(request)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await api.datasets.GetDataset(read)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        # One that came later under its name is not what the request was for.
        await _upload(api)
        await api.datasets.DeleteDataset(request)
        await api.datasets.GetDataset(read)


async def _upload(api: Any) -> None:
    split = datasets_pb.SplitHeader(
        inputs=datasets_pb.ArrayHeader(element_type=datasets_pb.ELEMENT_TYPE_FLOAT32, shape=[2, 1]),
        targets=datasets_pb.ArrayHeader(element_type=datasets_pb.ELEMENT_TYPE_INT32, shape=[2]),
    )
    header = datasets_pb.UploadDatasetHeader(dataset_id="mine", splits=[split])
    content = np.array([1, 2], "<f4").tobytes() + np.array([0, 1], "<i4").tobytes()
    await api.datasets.UploadDataset(
        iter(
            [
                datasets_pb.UploadDatasetRequest(header=header),
                datasets_pb.UploadDatasetRequest(chunk=content),
            ]
        )
    )
