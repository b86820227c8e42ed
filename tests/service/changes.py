"""Calls that change jobs, and what they come to: what the tests of changing jobs share."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2
from packtrain.workers import Segment

pb = training_service_pb2


class Gate:
    """Holds the segment that begins at an epoch until it is opened; counts all segments."""

    def __init__(self, at_epoch: int) -> None:
        self.at_epoch = at_epoch
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.begun: list[int] = []

    async def __call__(self, segment: Segment) -> None:
        self.begun.append(segment.start_epoch)
        if segment.start_epoch == self.at_epoch and not self.opened.is_set():
            self.reached.set()
            await self.opened.wait()


def state_of(job: job_pb2.Job) -> str:
    return job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")


def shape_of(events: list[pb.WatchJobResponse]) -> list[str]:
    """The state changes of a watch, in words."""
    words = []
    for event in events:
        if event.HasField("job"):
            words.append(job_pb2.JobState.Name(event.job.state).removeprefix("JOB_STATE_"))
        elif event.HasField("trials"):
            state = job_pb2.TrialState.Name(event.trials.state).removeprefix("TRIAL_STATE_")
            words.append(f"{state} {list(event.trials.trials)} at {set(event.trials.epochs)}")
    return words


def blocks_of(events: list[pb.WatchJobResponse]) -> list[job_pb2.MetricBlock]:
    return [e.metrics for e in events if e.HasField("metrics")]


def assert_equal_values(found: dict[Any, Any], expected: dict[Any, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=str(key))


def random_search(spec: spec_pb2.JobSpec, trials: int, kind: str = "random") -> spec_pb2.JobSpec:
    parameter = spec.search.parameters.add(path="optimizer.sgd.learning_rate")
    parameter.log_uniform.CopyFrom(spec_pb2.LogUniform(low=0.1, high=10))
    getattr(spec.search, kind).trials = trials
    return spec


async def pause(api: Any, name: str, **fields: Any) -> job_pb2.Job:
    return (await api.training.PauseJob(pb.PauseJobRequest(name=name, **fields))).job


async def resume(api: Any, name: str, **fields: Any) -> job_pb2.Job:
    return (await api.training.ResumeJob(pb.ResumeJobRequest(name=name, **fields))).job


async def retry(api: Any, name: str, **fields: Any) -> job_pb2.Job:
    return (await api.training.RetryJob(pb.RetryJobRequest(name=name, **fields))).job


async def update(
    api: Any,
    name: str,
    *paths: str,
    epochs: int | None = None,
    trials: int | None = None,
    kind: str = "random",
    request_id: str = "",
    **fields: Any,
) -> job_pb2.Job:
    job = job_pb2.Job(name=name, **fields)
    if epochs is not None:
        job.spec.epochs = epochs
    if trials is not None:
        getattr(job.spec.search, kind).trials = trials
    mask = FieldMask(paths=paths) if paths else None
    request = pb.UpdateJobRequest(job=job, update_mask=mask, request_id=request_id)
    return (await api.training.UpdateJob(request)).job


class Refused:
    """What a call was refused with."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.message = error.details() or ""
        self.fields: dict[str, str] = {}
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            for kind in (error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()):
                if detail.Unpack(kind):
                    if isinstance(kind, error_details_pb2.ErrorInfo):
                        self.reason, self.state = kind.reason, kind.metadata.get("state")
                    else:
                        self.fields = {v.field: v.description for v in kind.field_violations}


async def refused(call: Any) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refused(caught.value)
