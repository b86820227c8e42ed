"""A programmable fake server on a real socket, and what tests say to it."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from typer.testing import CliRunner, Result

from packtrain.client import Client, RetrySettings, cli
from packtrain.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    job_pb2,
    server_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
)

FAST = RetrySettings(initial_backoff_seconds=0.005, max_backoff_seconds=0.05, budget_seconds=2.0)


class Refusal(Exception):  # noqa: N818  (an answer, not a mistake)
    """What a scripted answer raises to end the call with a status."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "SOME_REASON",
        metadata: dict[str, str] | None = None,
        violations: tuple[tuple[str, str], ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        details: list[Any] = []
        if reason:
            details.append(
                error_details_pb2.ErrorInfo(reason=reason, domain="packtrain", metadata=metadata)
            )
        if violations:
            details.append(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(field=f, description=d)
                        for f, d in violations
                    ]
                )
            )
        if retry_after_seconds is not None:
            delay = duration_pb2.Duration(nanos=int(retry_after_seconds * 1e9))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        packed = [any_pb2.Any() for _ in details]
        for holder, detail in zip(packed, details, strict=True):
            holder.Pack(detail)
        self.status = status_pb2.Status(code=code.value[0], message=message, details=packed)


class FakeServer:
    """Answers each method by a function of (request, context), and keeps the requests.

    A function that is not set answers UNIMPLEMENTED. For a method whose answers should differ
    from call to call, ``script`` takes a list of functions, messages and Refusals.
    """

    def __init__(self) -> None:
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.answers: dict[str, Callable[[Any, grpc.ServicerContext], Any]] = {}
        # Streams that hang wait for it, so that the server can stop.
        self.closing = threading.Event()
        self.server: grpc.Server | None = None
        self.port = 0
        self.start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.closing.clear()
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        for module, service in (
            (training_service_pb2_grpc, "TrainingService"),
            (dataset_service_pb2_grpc, "DatasetService"),
            (server_service_pb2_grpc, "ServerService"),
        ):
            servicer = type("Fake", (getattr(module, f"{service}Servicer"),), {})()
            for name in dir(servicer):
                if name[0].isupper():
                    setattr(servicer, name, self._handler(name))
            getattr(module, f"add_{service}Servicer_to_server")(servicer, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.server.start()

    def stop(self) -> None:
        self.closing.set()
        assert self.server is not None
        self.server.stop(None).wait()

    def script(self, method: str, *answers: Any) -> None:
        """Answer the first call with the first of these, ...; the last one again and again."""
        left = list(answers)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            now = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(now, Refusal):
                raise now
            return now(request, context) if callable(now) else now

        self.answers[method] = answer

    def _handler(self, method: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        streams = method in ("WatchJob", "ReadMetrics", "DownloadModel")

        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            if method == "UploadDataset":
                request = list(request)
            self.requests[method].append(request)
            answer = self.answers.get(method)
            if answer is None:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "not scripted")
            try:
                return answer(request, context)
            except Refusal as refusal:
                context.abort_with_status(rpc_status.to_status(refusal.status))

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            self.requests[method].append(request)
            try:
                yield from self.answers[method](request, context)
            except Refusal as refusal:
                context.abort_with_status(rpc_status.to_status(refusal.status))

        return stream if streams else handle


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.stop()


@pytest.fixture
def client(fake: FakeServer) -> Iterator[Client]:
    with Client(fake.target, timeout_seconds=10, retry=FAST) as client:
        yield client


def block(
    first_epoch: int, epochs: int, trials: tuple[int, ...] = (0,), metrics: tuple[str, ...] = ("m",)
) -> job_pb2.MetricBlock:
    """A block whose value of (trial, epoch, metric) is 1000 trial + epoch + metric's place / 10."""
    t, e, m = np.ix_(
        np.array(trials, np.float32),
        np.arange(first_epoch, first_epoch + epochs, dtype=np.float32),
        np.arange(len(metrics), dtype=np.float32),
    )
    return job_pb2.MetricBlock(
        trials=trials,
        first_epoch=first_epoch,
        epoch_count=epochs,
        metrics=metrics,
        values=(1000 * t + e + m / 10).astype("<f4").tobytes(),
    )


class EventLog:
    """A job's life as the messages of a watch; its tokens are positions in the list."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.messages = [
            training_service_pb2.WatchJobResponse(resume_token=f"t{i + 1}", **event)
            for i, event in enumerate(events)
        ]

    def after(self, token: str) -> list[training_service_pb2.WatchJobResponse]:
        return self.messages[int(token[1:] or 0) :]

    def replay(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from self.after(request.resume_token)


def changed(state: str, **more: Any) -> dict[str, Any]:
    """A JobStateChange."""
    number = job_pb2.JobState.Value(f"JOB_STATE_{state}")
    return {"job": training_service_pb2.JobStateChange(state=number, **more)}


def ordinary_log(epochs: int = 3) -> EventLog:
    """Created, begun, so many epochs one by one, ended."""
    trials = training_service_pb2.TrialStateChange(
        trials=[0], state=job_pb2.TRIAL_STATE_SUCCEEDED, epochs=[epochs]
    )
    return EventLog(
        changed("QUEUED"),
        changed("RUNNING"),
        *({"metrics": block(epoch, 1)} for epoch in range(1, epochs + 1)),
        {"trials": trials},
        changed("SUCCEEDED"),
    )


def job(state: str = "RUNNING", name: str = "jobs/j", **more: Any) -> job_pb2.Job:
    """A job."""
    return job_pb2.Job(name=name, state=job_pb2.JobState.Value(f"JOB_STATE_{state}"), **more)


def get_job(state: str = "RUNNING", **more: Any) -> training_service_pb2.GetJobResponse:
    """The answer of GetJob."""
    return training_service_pb2.GetJobResponse(job=job(state, **more))


def dataset(name: str = "datasets/d", **more: Any) -> dataset_service_pb2.Dataset:
    """A dataset."""
    more.setdefault("origin", dataset_service_pb2.DATASET_ORIGIN_UPLOADED)
    return dataset_service_pb2.Dataset(name=name, **more)


class Packtrain:
    """Runs the command line; every result is checked for tracebacks and escape codes."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __call__(self, *args: str, code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(cli.app, ["--server", self.target, *args], input=stdin)
        assert "Traceback" not in result.output
        assert "\x1b" not in result.output
        assert result.exit_code == code, result.output
        if result.exception is not None:
            assert isinstance(result.exception, SystemExit)
        return result

    def lines(self, *args: str, **more: Any) -> list[Any]:
        """The JSON of each line of stdout."""
        return [json.loads(line) for line in self(*args, **more).stdout.splitlines()]


@pytest.fixture
def packtrain(fake: FakeServer) -> Packtrain:
    return Packtrain(fake.target)


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.yaml"
    path.write_text("dataset: {name: datasets/digits}\nepochs: 3\n")
    return str(path)
