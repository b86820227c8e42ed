"""Plain calls: what is asked, what comes back, what is sent again, and what errors say."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from typing import Any

import grpc
import numpy as np
import pytest
from tests.client.conftest import FAST, FakeServer, Refusal, dataset, get_job, job, ordinary_log

from packtrain import client as api
from packtrain.client import AsyncClient, Client, JobState, Model, RetrySettings, Violation
from packtrain.v1 import (
    dataset_service_pb2,
    job_pb2,
    server_service_pb2,
    training_service_pb2,
)

SPEC = {"dataset": {"name": "datasets/digits"}}
DOWN = Refusal(grpc.StatusCode.UNAVAILABLE, "try again", reason="")
CREATED = training_service_pb2.CreateJobResponse(
    job=job("QUEUED"),
    plan=job_pb2.JobPlan(
        trials=3, packs=2, memory_bytes=5, operations=1e9, worker_seconds=2.5, seconds=1.5
    ),
)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, api.InvalidArgument),
        (grpc.StatusCode.NOT_FOUND, api.NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, api.AlreadyExists),
        (grpc.StatusCode.FAILED_PRECONDITION, api.FailedPrecondition),
        (grpc.StatusCode.OUT_OF_RANGE, api.OutOfRange),
        (grpc.StatusCode.ABORTED, api.Aborted),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, api.ResourceExhausted),
        (grpc.StatusCode.UNAUTHENTICATED, api.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, api.PermissionDenied),
        (grpc.StatusCode.UNIMPLEMENTED, api.Unimplemented),
        (grpc.StatusCode.CANCELLED, api.Cancelled),
        (grpc.StatusCode.DEADLINE_EXCEEDED, api.DeadlineExceeded),
        (grpc.StatusCode.INTERNAL, api.InternalError),
        (grpc.StatusCode.DATA_LOSS, api.InternalError),
        (grpc.StatusCode.UNKNOWN, api.InternalError),
    ],
)
async def test_a_status_becomes_an_exception_with_its_details(
    fake: FakeServer, client: Client, code: grpc.StatusCode, expected: type[api.ApiError]
) -> None:
    fake.script(
        "GetJob",
        Refusal(
            code,
            "One sentence.",
            reason="A_REASON",
            metadata={"limit": "5"},
            violations=(("spec.epochs", "must be above 0"), ("spec.seed", "must be whole")),
            retry_after_seconds=0.25,
        ),
    )
    with pytest.raises(expected) as sync:
        client.get_job("j")
    async with AsyncClient(fake.target, retry=FAST) as other:
        with pytest.raises(expected) as aio:
            await other.get_job("j")
    for error in (sync.value, aio.value):
        assert type(error) is expected
        assert (str(error), error.code, error.reason) == ("One sentence.", code.name, "A_REASON")
        assert error.metadata == {"limit": "5"}
        assert error.retry_after_seconds == 0.25
        assert error.violations == (
            Violation("spec.epochs", "must be above 0"),
            Violation("spec.seed", "must be whole"),
        )


def test_an_error_without_details_is_told_too(fake: FakeServer, client: Client) -> None:
    with pytest.raises(api.Unimplemented, match="does not offer this method") as error:
        client.get_job("j")
    assert error.value.reason == ""
    assert error.value.retry_after_seconds is None


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{free.getsockname()[1]}"
    retry = RetrySettings(budget_seconds=0.2)
    with (
        Client(target, retry=retry) as client,
        pytest.raises(api.Unavailable, match=rf"{target} can't be reached .*packtrain serve"),
    ):
        client.server_info()


def test_a_retry_bears_the_same_request_id(fake: FakeServer, client: Client) -> None:
    fake.script("CreateJob", DOWN, DOWN, CREATED)
    created = client.create_job(SPEC, "jobs/mine")
    requests = fake.requests["CreateJob"]
    assert len(requests) == 3
    assert len({request.request_id for request in requests}) == 1
    assert requests[0].job_id == "mine"
    assert created.job.state is JobState.QUEUED
    assert created.plan == api.client.calls.JobPlan(
        trials=3, packs=2, memory_bytes=5, operations=1e9, worker_seconds=2.5, seconds=1.5
    )
    client.create_job(SPEC)
    assert fake.requests["CreateJob"][3].request_id != requests[0].request_id


async def test_an_async_retry_does_so_too(fake: FakeServer) -> None:
    fake.script("CancelJob", DOWN, training_service_pb2.CancelJobResponse(job=job("CANCELLING")))
    async with AsyncClient(fake.target, retry=FAST) as client:
        assert (await client.cancel_job("j")).state is JobState.CANCELLING
    first, second = fake.requests["CancelJob"]
    assert first.request_id == second.request_id != ""


def test_a_request_id_of_ones_own_is_kept(fake: FakeServer, client: Client) -> None:
    fake.script("DeleteJob", training_service_pb2.DeleteJobResponse())
    client.delete_job("j", etag="e", request_id="mine")
    (request,) = fake.requests["DeleteJob"]
    assert (request.name, request.etag, request.request_id) == ("jobs/j", "e", "mine")


def test_retries_end_with_their_budget(fake: FakeServer) -> None:
    fake.script("GetJob", DOWN)
    retry = RetrySettings(
        initial_backoff_seconds=0.01, max_backoff_seconds=0.02, budget_seconds=0.2
    )
    started = time.monotonic()
    with Client(fake.target, retry=retry) as client, pytest.raises(api.Unavailable):
        client.get_job("j")
    assert 0.1 < time.monotonic() - started < 3
    assert len(fake.requests["GetJob"]) >= 5


def test_other_errors_are_not_retried(fake: FakeServer, client: Client) -> None:
    fake.script("GetJob", Refusal(grpc.StatusCode.ABORTED, "no"))
    with pytest.raises(api.Aborted):
        client.get_job("j")
    assert len(fake.requests["GetJob"]) == 1


def test_a_call_has_a_deadline(fake: FakeServer) -> None:
    fake.answers["GetJob"] = lambda request, context: fake.closing.wait(20)
    with (
        Client(fake.target, timeout_seconds=0.2) as client,
        pytest.raises(api.DeadlineExceeded, match="did not answer in time") as error,
    ):
        client.get_job("j")
    assert isinstance(error.value, TimeoutError)


async def test_lists_are_fetched_page_by_page(fake: FakeServer, client: Client) -> None:
    def page(request: Any, context: Any) -> Any:
        start = int(request.page_token or 0)
        jobs = [job(name=f"jobs/j{i}") for i in range(start, start + 2)]
        token = str(start + 2) if start < 4 else ""
        return training_service_pb2.ListJobsResponse(jobs=jobs, next_page_token=token)

    fake.answers["ListJobs"] = page
    found = client.list_jobs(states=[JobState.RUNNING, JobState.FAILED], page_size=2)
    assert next(found).id == "j0"
    assert len(fake.requests["ListJobs"]) == 1  # no further than asked
    assert [j.id for j in found] == ["j1", "j2", "j3", "j4", "j5"]
    request = fake.requests["ListJobs"][0]
    assert list(request.states) == [job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_FAILED]
    async with AsyncClient(fake.target) as other:
        assert len([j async for j in other.list_jobs()]) == 6


def test_a_trial_is_read(fake: FakeServer, client: Client) -> None:
    trial = job_pb2.Trial(
        name="jobs/j/trials/4",
        index=4,
        state=job_pb2.TRIAL_STATE_DIVERGED,
        epochs=7,
        final_metrics={"training_cost": float("nan")},
        failure=job_pb2.Failure(reason="R", message="M"),
        arithmetics=ARITHMETICS,
    )
    trial.parameters["optimizer.sgd.learning_rate"].number_value = 0.5
    trial.parameters["network.hidden"].list_value.extend([30, 20])
    adaptation = trial.adaptations.add(epoch=5, copied_trial=2)
    adaptation.parameters["optimizer.sgd.learning_rate"].number_value = 0.6
    fake.script("ListTrials", training_service_pb2.ListTrialsResponse(trials=[trial]))
    (read,) = client.list_trials("j", states=[api.TrialState.DIVERGED])
    assert (read.index, read.state, read.epochs) == (4, "diverged", 7)
    assert read.parameters == {"optimizer.sgd.learning_rate": 0.5, "network.hidden": [30, 20]}
    assert isinstance(read.parameters["network.hidden"][0], int)
    assert np.isnan(read.final_metrics["training_cost"])
    assert read.failure == api.Failure(reason="R", message="M")
    assert read.arithmetics == ARITHMETICS
    assert read.adaptations == (
        api.Adaptation(epoch=5, copied_trial=2, parameters={"optimizer.sgd.learning_rate": 0.6}),
    )
    assert fake.requests["ListTrials"][0].parent == "jobs/j"


def test_the_server_tells_what_it_is(fake: FakeServer, client: Client) -> None:
    fake.script(
        "GetServerInfo",
        server_service_pb2.GetServerInfoResponse(
            version="1.2",
            costs=["quadratic"],
            metrics=[
                server_service_pb2.MetricInfo(
                    name="m",
                    description="d",
                    per_layer=True,
                    target_kinds=[server_service_pb2.TARGET_KIND_LABELS],
                    least_outputs=6,
                )
            ],
            schedules=["cosine"],
            numbers=[
                server_service_pb2.NumberInfo(path="a.b", default_value=0, above=-1, whole=True)
            ],
            cost_outputs=[
                server_service_pb2.CostInfo(name="quadratic", output_activations=["ACTIVATION_ELU"])
            ],
            limits=server_service_pb2.ServerLimits(max_trials=7),
            engine=server_service_pb2.EngineInfo(
                state=server_service_pb2.ENGINE_STATE_READY, workers=2, problem="none"
            ),
        ),
    )
    info = client.server_info()
    assert (info.version, info.costs) == ("1.2", ("quadratic",))
    assert (info.engine_state, info.workers, info.engine_problem) == ("ready", 2, "none")
    (metric,) = info.metrics
    assert (metric.name, metric.description, metric.per_layer) == ("m", "d", True)
    assert (metric.target_kinds, metric.least_outputs) == (("labels",), 6)
    assert (metric.needs_validation, metric.higher_is_better) == (False, False)
    assert info.schedules == ("cosine",)
    (number,) = info.numbers
    assert (number.path, number.whole, number.per_trial) == ("a.b", True, False)
    assert (number.default, number.above) == (0, -1)
    assert (number.at_least, number.at_most, number.below) == (None, None, None)
    assert info.cost_outputs == {"quadratic": ("ACTIVATION_ELU",)}
    assert (info.limits.max_trials, info.limits.max_job_memory_bytes) == (7, None)


@pytest.mark.parametrize("state", ["SUCCEEDED", "CANCELLED"])
def test_waiting_ends_with_the_job(fake: FakeServer, client: Client, state: str) -> None:
    fake.script("CreateJob", CREATED)
    fake.answers["WatchJob"] = ordinary_log().replay
    fake.script("GetJob", get_job(state))
    handle = client.run(SPEC)
    assert handle.latest.state == state.lower()
    assert handle.id == "j"


@pytest.mark.parametrize("state", ["SUCCEEDED", "CANCELLED"])
async def test_a_wait_is_followed_by_the_results(
    fake: FakeServer, client: Client, state: str
) -> None:
    fake.script("CreateJob", CREATED, CREATED)
    fake.answers["WatchJob"] = ordinary_log().replay
    fake.script("GetJob", get_job(state), get_job(state))
    fake.answers["ReadMetrics"] = lambda request, context: iter(())
    job = client.train(SPEC).wait()
    assert (job.id, job.latest.state) == ("j", state.lower())
    assert job.results().trials == ()
    async with AsyncClient(fake.target) as other:
        waited = await (await other.train(SPEC)).wait()
        assert (waited.id, waited.latest.state) == ("j", state.lower())
        assert repr(waited) == f"AsyncJobHandle('jobs/j', {state.lower()})"
        assert (await waited.results()).trials == ()


def test_waiting_for_a_job_that_fails_raises(fake: FakeServer, client: Client) -> None:
    fake.answers["WatchJob"] = ordinary_log().replay
    failed = get_job("FAILED", failure=job_pb2.Failure(reason="R", message="No data."))
    fake.script("GetJob", failed)
    with pytest.raises(api.JobFailed, match="jobs/j failed: No data") as error:
        client.job("j").wait()
    assert error.value.job.state is JobState.FAILED


async def test_a_wait_can_be_bounded(fake: FakeServer, client: Client) -> None:
    fake.script("GetJob", get_job())

    def beat(request: Any, context: Any) -> Any:
        while not fake.closing.wait(0.02):
            yield training_service_pb2.WatchJobResponse(heartbeat={})

    fake.answers["WatchJob"] = beat
    with pytest.raises(api.WaitTimeout, match="it goes on"):
        client.job("j").wait(timeout_seconds=0.2)
    async with AsyncClient(fake.target) as other:
        with pytest.raises(api.WaitTimeout):
            await (await other.job("j")).wait(timeout_seconds=0.2)


def safetensors(tensors: dict[str, np.ndarray[Any, Any]], metadata: dict[str, str]) -> bytes:
    """The file format, written independently of the reader."""
    header: dict[str, Any] = {"__metadata__": metadata}
    data = b""
    for name, array in tensors.items():
        kind = {"float32": "F32", "float64": "F64"}[array.dtype.name]
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


TENSORS = {
    "layers.2.weights": np.array([[1.0], [-1.0]], np.float32),
    "layers.1.weights": np.array([[1, 2], [3, 4], [5, 6]], np.float32),
    "layers.1.biases": np.array([0.5, -0.5], np.float32),
    "layers.2.biases": np.array([0.25], np.float32),
}
ACTIVATIONS = {"hidden_activation": "relu", "output_activation": "sigmoid"}
ARITHMETICS = ("NumPy 2.4.6 X86_V3, OpenBLAS 0.3.31 Zen", "NumPy 2.4.6 X86_V4, OpenBLAS 0.3.31 Zen")


def model_stream(content: bytes, **header: Any) -> Any:
    header = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} | header
    yield training_service_pb2.DownloadModelResponse(header=header)
    for start in range(0, len(content), 50):
        yield training_service_pb2.DownloadModelResponse(chunk=content[start : start + 50])


def test_a_model_is_downloaded_and_read(fake: FakeServer, client: Client, tmp_path: Any) -> None:
    content = safetensors(TENSORS, ACTIVATIONS | {"arithmetics": json.dumps(ARITHMETICS)})
    fake.answers["DownloadModel"] = lambda request, context: model_stream(content)
    model = client.download_model("j", 3)
    assert fake.requests["DownloadModel"][0].name == "jobs/j/trials/3"
    np.testing.assert_array_equal(model.weights[0], TENSORS["layers.1.weights"])
    np.testing.assert_array_equal(model.biases[1], TENSORS["layers.2.biases"])
    assert (model.hidden_activation, model.output_activation) == ("relu", "sigmoid")
    assert model.arithmetics == ARITHMETICS
    hidden = np.maximum(np.array([[1, 0, -1.0]]) @ TENSORS["layers.1.weights"] + [0.5, -0.5], 0)
    z = hidden @ TENSORS["layers.2.weights"] + 0.25
    np.testing.assert_allclose(model.predict([[1, 0, -1]]), 1 / (1 + np.exp(-z)), rtol=1e-6)
    model.save(tmp_path / "m.safetensors")
    assert Model.load(tmp_path / "m.safetensors").bytes == content
    with pytest.raises(ValueError, match=r"expected the shape \(rows, 3\)"):
        model.predict([[1, 2]])


@pytest.mark.parametrize(
    ("content", "header", "told"),
    [
        (safetensors(TENSORS, ACTIVATIONS), {"sha256": "0" * 64}, "SHA-256"),
        (safetensors(TENSORS, ACTIVATIONS), {"size_bytes": 7}, "7 were announced"),
        (b"\x05\0\0\0\0\0\0\0hello", {}, "not a safetensors file"),
        (safetensors(TENSORS, ACTIVATIONS)[:-4], {}, "not a safetensors file"),
        (safetensors({"layers.1.weights": np.eye(2)}, {}), {}, "lacks the tensor"),
        (safetensors(TENSORS, {"arithmetics": "Zen"}), {}, "arithmetics are no JSON: 'Zen'"),
    ],
)
def test_a_damaged_model_is_refused(
    fake: FakeServer, client: Client, content: bytes, header: dict[str, Any], told: str
) -> None:
    fake.answers["DownloadModel"] = lambda request, context: model_stream(content, **header)
    with pytest.raises(api.ProtocolError, match=told):
        client.download_model("j")


async def test_an_upload_is_cut_into_pieces(fake: FakeServer, client: Client) -> None:
    fake.script("UploadDataset", DOWN, dataset_service_pb2.UploadDatasetResponse(dataset=dataset()))
    rng = np.random.default_rng(0)
    x = rng.random((3000, 10, 10)).astype(np.float32)
    y = rng.integers(0, 5, 3000).astype(np.uint8)
    test_x, test_y = rng.random((4, 100))[:, ::-1], rng.random(4)
    assert client.upload_dataset("d", x, y, test=(test_x, test_y), description="t").id == "d"
    async with AsyncClient(fake.target) as other:
        await other.upload_dataset("datasets/d", x, y, test=(test_x, test_y), description="t")
    first, second, third = fake.requests["UploadDataset"]
    assert first == second == third
    header = first[0].header
    assert (header.dataset_id, header.description) == ("d", "t")
    train, test = header.splits
    assert (train.name, list(train.inputs.shape)) == ("train", [3000, 100])
    assert train.inputs.element_type == dataset_service_pb2.ELEMENT_TYPE_FLOAT32
    assert train.targets.element_type == dataset_service_pb2.ELEMENT_TYPE_INT64
    assert (list(train.targets.shape), list(test.targets.shape)) == ([3000], [4, 1])
    pieces = [message.chunk for message in first[1:]]
    assert max(map(len, pieces)) == 2**20
    expected = x.tobytes() + y.astype("<i8").tobytes() + test_x.tobytes() + test_y.tobytes()
    assert b"".join(pieces) == expected


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (["a"], [1], "train inputs"),
        ([[1.0]], [1, 2], "expected 1 class labels"),
        ([[1.0]], ["a"], "train targets"),
        ([], [], r"train inputs: expected numbers .* one or more of each, not .* shape \(0,\)"),
        (np.empty((0, 3)), [], "train inputs: expected numbers"),
        (np.empty((3, 0)), [1, 2, 3], "train inputs: expected numbers"),
        ([[1.0]], [], "train targets: expected 1 class labels"),
        ([[1.0]], np.empty((1, 0)), "train targets: expected 1 class labels"),
        ([[1.0], [1.0, 2.0]], [0, 1], "train inputs: expected numbers"),
        ([[1.0], [2.0]], [[1.0], [1.0, 2.0]], "train targets: expected 2 class labels"),
    ],
)
def test_an_upload_of_something_else_is_refused(client: Client, x: Any, y: Any, told: str) -> None:
    with pytest.raises(api.DatasetError, match=told) as error:
        client.upload_dataset("d", x, y)
    assert isinstance(error.value, ValueError)
    with pytest.raises(api.DatasetError, match="test "):
        client.upload_dataset("d", [[1.0]], [1], test=([], []))
