"""Requests: from plain values to the contract's messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from datetime import timedelta
from numbers import Integral
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from numpy.typing import NDArray

from packtrain.client.converters.documents import enum_words
from packtrain.client.converters.specs import spec_message
from packtrain.client.errors import SpecError
from packtrain.client.resources import JobState, TrialState
from packtrain.client.spec import JobSpec
from packtrain.client.uploads import Split, cut_pieces
from packtrain.v1 import dataset_service_pb2 as datasets
from packtrain.v1 import job_pb2
from packtrain.v1 import server_service_pb2 as server
from packtrain.v1 import training_service_pb2 as training

_ELEMENT_TYPES = {
    "float32": datasets.ELEMENT_TYPE_FLOAT32,
    "float64": datasets.ELEMENT_TYPE_FLOAT64,
    "uint8": datasets.ELEMENT_TYPE_UINT8,
    "int32": datasets.ELEMENT_TYPE_INT32,
    "int64": datasets.ELEMENT_TYPE_INT64,
}


def request(method: str, **fields: Any) -> Message:
    """The request of a method."""
    home = next(m for m in (training, datasets, server) if hasattr(m, f"{method}Request"))
    message: Message = getattr(home, f"{method}Request")(**fields)
    return message


def create_job_request(
    spec: JobSpec | Mapping[str, Any],
    job_id: str,
    request_id: str,
    validate_only: bool,
    labels: Mapping[str, str],
    priority: int,
) -> training.CreateJobRequest:
    """The request that creates a job. Raises SpecError."""
    made = training.CreateJobRequest(
        job_id=job_id,
        spec=spec_message(spec),
        request_id=request_id,
        validate_only=validate_only,
    )
    _put_labels(made.labels, labels)
    _put_number(made, "priority", priority, "priority")
    return made


def update_job_request(
    name: str,
    labels: Mapping[str, str | None],
    priority: int | None,
    trials: tuple[str, int] | None,
    epochs: int | None,
    etag: str,
    request_id: str,
) -> training.UpdateJobRequest:
    """The request that changes what is given, and of the labels those that are named: None
    removes one. ``trials`` are of a kind of search. Raises SpecError."""
    made = training.UpdateJobRequest(request_id=request_id)
    made.job.name, made.job.etag = name, etag
    paths = made.update_mask.paths
    _put_labels(made.job.labels, {k: v for k, v in labels.items() if v is not None})
    paths.extend(f"labels.{key}" for key in labels)
    if priority is not None:
        _put_number(made.job, "priority", priority, "priority")
        paths.append("priority")
    if trials is not None:
        kind, count = trials
        _put_number(getattr(made.job.spec.search, kind), "trials", count, "trials")
        paths.append(f"spec.search.{kind}.trials")
    if epochs is not None:
        _put_number(made.job.spec, "epochs", epochs, "epochs")
        paths.append("spec.epochs")
    if not paths:
        raise SpecError("update", "needs something to change: labels, priority, trials or epochs")
    return made


def list_jobs_request(
    states: Sequence[JobState], labels: Mapping[str, str], page_size: int, page_token: str
) -> training.ListJobsRequest:
    """The request for a page of jobs. Raises SpecError."""
    made = training.ListJobsRequest(page_size=page_size, page_token=page_token)
    made.states.extend(job_states(states))
    _put_labels(made.labels, labels)
    return made


def _put_labels(target: MutableMapping[str, str], labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise SpecError("labels", f"expected texts by texts, not {key!r}: {value!r}")
        target[key] = value


def _put_number(target: Message, field: str, value: int, path: str) -> None:
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not -(2**31) <= int(value) < 2**31:
        raise SpecError(path, f"expected a whole number of 32 bits, not {value!r}")
    setattr(target, field, int(value))


def watch_request(
    name: str,
    resume_token: str,
    trials: Sequence[int],
    metrics: Sequence[str],
    heartbeat_seconds: float,
    replay_only: bool,
) -> training.WatchJobRequest:
    """The request that begins a watch, or goes on with one."""
    interval = Duration()
    interval.FromTimedelta(timedelta(seconds=heartbeat_seconds))
    return training.WatchJobRequest(
        name=name,
        resume_token=resume_token,
        trials=trials,
        metrics=metrics,
        heartbeat_interval=interval,
        replay_only=replay_only,
    )


def job_states(states: Sequence[JobState]) -> list[job_pb2.JobState]:
    """The numbers of these states."""
    words = enum_words(job_pb2.JobState.DESCRIPTOR)
    return [cast(job_pb2.JobState, words[JobState(state)]) for state in states]


def trial_states(states: Sequence[TrialState]) -> list[int]:
    """The numbers of these states."""
    words = enum_words(job_pb2.TrialState.DESCRIPTOR)
    return [words[TrialState(state)] for state in states]


def upload_requests(
    dataset_id: str, splits: Sequence[Split], description: str
) -> Iterator[datasets.UploadDatasetRequest]:
    """The messages of an upload: the header, then the pieces."""
    headers = [
        datasets.SplitHeader(
            name=split.name,
            inputs=_array_header(split.inputs),
            targets=_array_header(split.targets),
        )
        for split in splits
    ]
    yield datasets.UploadDatasetRequest(
        header=datasets.UploadDatasetHeader(
            dataset_id=dataset_id, splits=headers, description=description
        )
    )
    for piece in cut_pieces(tuple(splits)):
        yield datasets.UploadDatasetRequest(chunk=piece)


def _array_header(array: NDArray[Any]) -> datasets.ArrayHeader:
    return datasets.ArrayHeader(element_type=_ELEMENT_TYPES[array.dtype.name], shape=array.shape)
