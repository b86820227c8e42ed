"""The calls of the contract: how each request is built and each response read.

The sync and the async client share all of this; they differ in how they wait.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from packtrain.client import converters, names
from packtrain.client.errors import ApiError, Unavailable, Violation
from packtrain.client.models import Model
from packtrain.client.resources import (
    BestTrial,
    Dataset,
    Importance,
    Job,
    JobPlan,
    JobState,
    ServerInfo,
    Trial,
    TrialState,
)
from packtrain.client.results import Block, Goal, Results, check_goal
from packtrain.client.settings import ClientSettings, RetrySettings
from packtrain.client.spec import JobSpec
from packtrain.client.uploads import Split
from packtrain.v1 import (
    dataset_service_pb2_grpc,
    server_service_pb2_grpc,
    training_service_pb2_grpc,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
SpecLike: TypeAlias = JobSpec | Mapping[str, Any]
Service = Literal["Training", "Dataset", "Server"]

_STUBS: dict[str, Any] = {
    "Training": training_service_pb2_grpc.TrainingServiceStub,
    "Dataset": dataset_service_pb2_grpc.DatasetServiceStub,
    "Server": server_service_pb2_grpc.ServerServiceStub,
}


def make_stubs(channel: Any) -> dict[str, Any]:
    """The services' stubs on a channel of either kind."""
    return {service: stub(channel) for service, stub in _STUBS.items()}


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call: ``parse`` reads the response, or the list of them where it is a stream.

    ``request`` is a message, or a function that gives the messages of an upload anew.
    """

    service: Service
    method: str
    request: Any
    parse: Callable[[Any], T]
    is_transfer: bool = False
    is_stream: bool = False
    # How the caller would name a field that the server finds wrong.
    reword: Callable[[Violation], Violation] | None = None

    def refusal(self, error: ApiError) -> ApiError:
        """The error that a call failed with, in the caller's words."""
        if self.reword is not None:
            error.reword(self.reword)
        return error

    def arguments(self) -> Any:
        """The request, or an iterator over the messages of an upload."""
        return self.request() if callable(self.request) else self.request

    def timeout_seconds(self, settings: ClientSettings) -> float:
        """How long an attempt may take."""
        return settings.transfer_timeout_seconds if self.is_transfer else settings.timeout_seconds


class Attempts:
    """Decides whether a call that failed is sent again, and after which pause."""

    def __init__(self, retry: RetrySettings) -> None:
        self._retry = retry
        self._count = 0
        self._started = time.monotonic()

    def pause_seconds(self, error: ApiError) -> float:
        """The pause before the next attempt; raises ``error`` where there is none."""
        pause = self._retry.pause_seconds(self._count)
        spent = time.monotonic() - self._started
        if not isinstance(error, Unavailable) or spent + pause > self._retry.budget_seconds:
            raise error
        self._count += 1
        return pause


class CreatedJob(NamedTuple):
    """A job and its plan; a job that was only validated has no state."""

    job: Job
    plan: JobPlan


class Page(NamedTuple, Generic[T_co]):
    """A part of a list, and the token of the next; "" where this is the last."""

    items: tuple[T_co, ...]
    next_token: str


def create_job(
    spec: SpecLike,
    job_id: str | None,
    labels: Mapping[str, str] | None,
    priority: int,
    request_id: str | None,
    validate_only: bool,
) -> Call[CreatedJob]:
    request = converters.create_job_request(
        spec,
        names.job_id(job_id or ""),
        request_id or new_request_id(),
        validate_only,
        labels or {},
        priority,
    )
    if isinstance(spec, JobSpec):
        reword = converters.PythonNames(spec, request.spec).violation
    else:
        reword = _name_in_document
    return Call("Training", "CreateJob", request, _read_created, reword=reword)


def _name_in_document(wrong: Violation) -> Violation:
    return Violation(wrong.field.removeprefix("spec."), wrong.description)


def _read_created(response: Any) -> CreatedJob:
    return CreatedJob(converters.read_job(response.job), converters.read_plan(response.plan))


def get_job(job: str) -> Call[Job]:
    request = converters.request("GetJob", name=names.job_name(job))
    return Call("Training", "GetJob", request, _read_job)


def _read_job(response: Any) -> Job:
    return converters.read_job(response.job)


def list_jobs(
    states: Sequence[JobState], labels: Mapping[str, str] | None, page_size: int, token: str
) -> Call[Page[Job]]:
    request = converters.list_jobs_request(states, labels or {}, page_size, token)
    return Call("Training", "ListJobs", request, _page("jobs", converters.read_job))


def update_job(
    job: str,
    labels: Mapping[str, str | None] | None,
    priority: int | None,
    trials: tuple[str, int] | None,
    epochs: int | None,
    etag: str,
    request_id: str | None,
) -> Call[Job]:
    request = converters.update_job_request(
        names.job_name(job),
        labels or {},
        priority,
        trials,
        epochs,
        etag,
        request_id or new_request_id(),
    )
    return Call("Training", "UpdateJob", request, _read_job, reword=_name_update)


def _name_update(wrong: Violation) -> Violation:
    """A change is an argument: job.spec.search.random.trials is trials."""
    _, _, argument = wrong.field.rpartition(".")
    is_change = wrong.field.startswith(("job.spec.", "job.labels", "job.priority"))
    if wrong.field.startswith("job.labels"):
        argument = wrong.field.removeprefix("job.")
    return Violation(argument, wrong.description) if is_change else wrong


# The searches that take more trials, as specifications name them.
_EXTENDABLE = ("sobol", "tpe", "gaussian_process", "cma_es", "nsga2")


def search_of(job: Job) -> str:
    """The kind of its search that a number of trials is asked for of. Any other is for the server
    to refuse."""
    search = job.spec.get("search", {})
    return next((kind for kind in _EXTENDABLE if kind in search), "random")


def cancel_job(job: str, request_id: str | None) -> Call[Job]:
    return _move_job("CancelJob", job, request_id)


def pause_job(job: str, request_id: str | None) -> Call[Job]:
    return _move_job("PauseJob", job, request_id)


def resume_job(job: str, request_id: str | None) -> Call[Job]:
    return _move_job("ResumeJob", job, request_id)


def retry_job(job: str, request_id: str | None) -> Call[Job]:
    return _move_job("RetryJob", job, request_id)


def _move_job(method: str, job: str, request_id: str | None) -> Call[Job]:
    request = converters.request(
        method, name=names.job_name(job), request_id=request_id or new_request_id()
    )
    return Call("Training", method, request, _read_job)


def delete_job(job: str, etag: str, request_id: str | None) -> Call[None]:
    request = converters.request(
        "DeleteJob", name=names.job_name(job), etag=etag, request_id=request_id or new_request_id()
    )
    return Call("Training", "DeleteJob", request, _read_nothing)


@dataclass(frozen=True, kw_only=True)
class TrialQuery:
    """Which trials, in which order: the contract's ``ListTrialsRequest``."""

    states: Sequence[TrialState] = ()
    filter: str = ""
    order_by: str = ""
    pareto: Sequence[str] = ()
    page_size: int = 0


def list_trials(job: str, query: TrialQuery, token: str) -> Call[Page[Trial]]:
    request = converters.request(
        "ListTrials",
        parent=names.job_name(job),
        page_size=query.page_size,
        page_token=token,
        states=converters.trial_states(query.states),
        filter=query.filter,
        order_by=query.order_by,
        pareto=query.pareto,
    )
    return Call("Training", "ListTrials", request, _page("trials", converters.read_trial))


def get_trial(job: str, index: int) -> Call[Trial]:
    request = converters.request("GetTrial", name=names.trial_name(job, index))
    return Call("Training", "GetTrial", request, _read_trial)


def _read_trial(response: Any) -> Trial:
    return converters.read_trial(response.trial)


def get_best(job: str, metric: str, goal: Goal | None) -> Call[BestTrial]:
    request = converters.request("GetJob", name=names.job_name(job), best_by=directed(metric, goal))
    return Call("Training", "GetJob", request, partial(converters.read_best, metric=metric))


def get_importance(job: str, metric: str, goal: Goal | None) -> Call[Importance]:
    request = converters.request(
        "GetImportance", name=names.job_name(job), metric=directed(metric, goal)
    )
    # The server's first one takes a few seconds.
    return Call("Training", "GetImportance", request, converters.read_importance, is_transfer=True)


def directed(metric: str, goal: Goal | None) -> str:
    """The metric with the contract's word for what is best: asc is the lowest first.

    Raises SpecError for a goal that is neither "min" nor "max".
    """
    check_goal(goal)
    return metric if goal is None else f"{metric} {'asc' if goal == 'min' else 'desc'}"


def stream_metrics(job: str, trials: Sequence[int], metrics: Sequence[str]) -> Call[Block]:
    """A call whose ``parse`` reads one message of the stream."""
    request = converters.request(
        "ReadMetrics", name=names.job_name(job), trials=trials, metrics=metrics
    )
    return Call("Training", "ReadMetrics", request, _read_block, is_transfer=True, is_stream=True)


def _read_block(response: Any) -> Block:
    return converters.read_block(response.block)


def read_metrics(job: str, trials: Sequence[int], metrics: Sequence[str]) -> Call[Results]:
    request = converters.request(
        "ReadMetrics", name=names.job_name(job), trials=trials, metrics=metrics
    )
    return Call(
        "Training",
        "ReadMetrics",
        request,
        converters.read_results,
        is_transfer=True,
        is_stream=True,
    )


def download_model(job: str, trial: int) -> Call[Model]:
    request = converters.request("DownloadModel", name=names.trial_name(job, trial))
    return Call(
        "Training",
        "DownloadModel",
        request,
        converters.read_model,
        is_transfer=True,
        is_stream=True,
    )


def upload_dataset(name: str, splits: tuple[Split, ...], description: str) -> Call[Dataset]:
    # The same content again is no error, so an upload may be sent again.
    def messages() -> Iterator[Any]:
        return converters.upload_requests(names.dataset_id(name), splits, description)

    return Call("Dataset", "UploadDataset", messages, _read_dataset, is_transfer=True)


def _read_dataset(response: Any) -> Dataset:
    return converters.read_dataset(response.dataset)


def get_dataset(name: str) -> Call[Dataset]:
    request = converters.request("GetDataset", name=names.dataset_name(name))
    return Call("Dataset", "GetDataset", request, _read_dataset)


def list_datasets(page_size: int, token: str) -> Call[Page[Dataset]]:
    request = converters.request("ListDatasets", page_size=page_size, page_token=token)
    return Call("Dataset", "ListDatasets", request, _page("datasets", converters.read_dataset))


def delete_dataset(name: str, request_id: str | None) -> Call[None]:
    request = converters.request(
        "DeleteDataset",
        name=names.dataset_name(name),
        request_id=request_id or new_request_id(),
    )
    return Call("Dataset", "DeleteDataset", request, _read_nothing)


def get_server_info() -> Call[ServerInfo]:
    request = converters.request("GetServerInfo")
    return Call("Server", "GetServerInfo", request, converters.read_server_info)


def new_request_id() -> str:
    """A name for one wish, however often it is sent."""
    return str(uuid.uuid4())


def _read_nothing(_: Any) -> None:
    return None


def _page(field: str, read: Callable[[Any], T]) -> Callable[[Any], Page[T]]:
    def parse(response: Any) -> Page[T]:
        messages: Iterable[Any] = getattr(response, field)
        return Page(tuple(read(message) for message in messages), response.next_page_token)

    return parse
