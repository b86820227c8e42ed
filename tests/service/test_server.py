"""Errors as clients see them, and the services beside the contract's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from packtrain.service.contract import offered
from packtrain.service.datasets import Catalog
from packtrain.service.store import Store
from packtrain.service.watch import write_token
from packtrain.training import CostKind
from packtrain.v1 import (
    dataset_service_pb2,
    job_pb2,
    server_service_pb2,
    spec_pb2,
    training_service_pb2,
)

pb = training_service_pb2
datasets_pb = dataset_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]


async def refused(call: Any) -> tuple[grpc.StatusCode, dict[str, Any]]:
    """The code of a call that is refused, and its details by type."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    assert status is not None
    assert status.message == caught.value.details()
    found: dict[str, Any] = {}
    for detail in status.details:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest):
            if detail.Is(kind.DESCRIPTOR):
                message = kind()
                detail.Unpack(message)
                found[kind.__name__] = message
    assert found["ErrorInfo"].domain == "packtrain"
    assert found["ErrorInfo"].reason.isupper()
    return caught.value.code(), found


def fields_of(details: dict[str, Any]) -> list[str]:
    return [v.field for v in details["BadRequest"].field_violations]


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "request_"),
        [
            ("GetJob", pb.GetJobRequest(name="jobs/none")),
            ("CancelJob", pb.CancelJobRequest(name="jobs/none")),
            ("DeleteJob", pb.DeleteJobRequest(name="jobs/none")),
            ("ListTrials", pb.ListTrialsRequest(parent="jobs/none")),
        ],
    )
    async def test_an_unknown_job_is_not_found(
        self, api: Any, method: str, request_: Message
    ) -> None:
        code, details = await refused(getattr(api.training, method)(request_))
        assert code is grpc.StatusCode.NOT_FOUND
        assert details["ErrorInfo"].metadata["name"] == "jobs/none"

    @pytest.mark.parametrize(
        ("method", "request_"),
        [
            ("WatchJob", pb.WatchJobRequest(name="jobs/none")),
            ("ReadMetrics", pb.ReadMetricsRequest(name="jobs/none")),
            ("DownloadModel", pb.DownloadModelRequest(name="jobs/none/trials/0")),
        ],
    )
    async def test_so_it_is_where_the_answer_is_a_stream(
        self, api: Any, method: str, request_: Message
    ) -> None:
        async def read() -> None:
            async for _ in getattr(api.training, method)(request_):
                pass

        code, _ = await refused(read())
        assert code is grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize(
        ("method", "request_", "fields"),
        [
            ("GetJob", pb.GetJobRequest(name="digits"), ["name"]),
            ("GetJob", pb.GetJobRequest(name="jobs/A"), ["name"]),
            ("GetJob", pb.GetJobRequest(name="jobs/a/trials/0"), ["name"]),
            ("ListTrials", pb.ListTrialsRequest(parent=""), ["parent"]),
            ("CreateJob", pb.CreateJobRequest(job_id="a/b"), ["job_id"]),
            ("CreateJob", pb.CreateJobRequest(request_id="x" * 65), ["request_id"]),
            ("CreateJob", pb.CreateJobRequest(), ["spec.dataset"]),
            ("ListJobs", pb.ListJobsRequest(page_size=-1), ["page_size"]),
            ("ListJobs", pb.ListJobsRequest(page_token="é"), ["page_token"]),
            ("ListJobs", pb.ListJobsRequest(page_token="YWJj"), ["page_token"]),
            # 20 nines: beyond what a database counts.
            ("ListJobs", pb.ListJobsRequest(page_token="OTk5" * 7), ["page_token"]),
            ("ListJobs", pb.ListJobsRequest(states=[1, 0, 99]), ["states[1]", "states[2]"]),
        ],
    )
    async def test_wrong_fields_are_named(
        self, api: Any, method: str, request_: Message, fields: list[str]
    ) -> None:
        code, details = await refused(getattr(api.training, method)(request_))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert fields_of(details) == fields

    async def test_tokens_and_intervals_of_a_watch_are_checked(
        self, api: Any, moons: MakeSpec
    ) -> None:
        job = await api.create(moons())
        tokens = ["x", "é", write_token("another", 1), write_token(job.uid, 10**30)]
        tokens += [write_token(job.uid, -1), write_token(job.uid, "1 2")]  # type: ignore[arg-type]
        for token in tokens:
            code, details = await refused(api.watch(job.name, resume_token=token))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert fields_of(details) == ["resume_token"]
        for nanos in (0, 99_000_000, -1):
            code, details = await refused(api.watch(job.name, heartbeat_interval={"nanos": nanos}))
            assert fields_of(details) == ["heartbeat_interval"]

    async def test_all_wrong_fields_come_at_once(self, api: Any, moons: MakeSpec) -> None:
        spec = moons(
            (),
            epochs=-1,
            optimizer=spec_pb2.Optimizer(sgd=spec_pb2.Sgd(momentum=2)),
            regularization=spec_pb2.Regularization(dropout=1),
        )
        _, details = await refused(api.create(spec))
        assert sorted(fields_of(details)) == [
            "spec.epochs",
            "spec.optimizer.sgd.momentum",
            "spec.regularization.dropout",
        ]

    async def test_more_wrong_fields_than_trailers_hold_are_counted(
        self, api: Any, moons: MakeSpec
    ) -> None:
        spec = moons(())
        spec.measurement.metrics.extend(f"m{i}" for i in range(3_000))
        code, details = await refused(api.create(spec))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        violations = details["BadRequest"].field_violations
        assert violations[0].field == "spec.measurement.metrics[0]"
        shown = len(violations) - 1
        assert shown >= 5
        assert violations[-1].description == f"and {3_000 - shown} more wrong fields"

    @pytest.mark.parametrize("name", ["x" * 100_000, "\u00fc" * 100_000, "\n\r" * 4_000])
    async def test_a_long_name_is_not_told_back_in_full(self, api: Any, name: str) -> None:
        code, details = await refused(api.get(name))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert fields_of(details) == ["name"]

    async def test_an_ended_job_cannot_be_cancelled(self, api: Any, moons: MakeSpec) -> None:
        job = await api.train(moons())
        code, details = await refused(api.training.CancelJob(pb.CancelJobRequest(name=job.name)))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert details["ErrorInfo"].metadata["state"] == "SUCCEEDED"

    async def test_deleting_heeds_the_etag(self, api: Any, moons: MakeSpec, tmp_path: Path) -> None:
        job = await api.train(moons())
        stale = pb.DeleteJobRequest(name=job.name, etag="another")
        code, _ = await refused(api.training.DeleteJob(stale))
        assert code is grpc.StatusCode.ABORTED
        models = tmp_path / "data" / "models"
        assert len(list(models.rglob("*.safetensors"))) == 1
        request = pb.DeleteJobRequest(name=job.name, etag=job.etag, request_id="r")
        await api.training.DeleteJob(request)
        await api.training.DeleteJob(request)  # as the first time
        assert list(models.rglob("*.safetensors")) == []

    async def test_a_name_is_taken_once(self, api: Any, moons: MakeSpec) -> None:
        await api.create(moons(), "mine")
        code, _ = await refused(api.create(moons(), "mine"))
        assert code is grpc.StatusCode.ALREADY_EXISTS
        dry = pb.CreateJobRequest(spec=moons(), job_id="mine", validate_only=True)
        code, _ = await refused(api.training.CreateJob(dry))
        assert code is grpc.StatusCode.ALREADY_EXISTS

    async def test_what_breaks_within_is_told_to_the_log_alone(
        self, api: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: object) -> None:
            raise RuntimeError("secret: /var/lib")

        monkeypatch.setattr(Store, "get_job", broken)
        for call in (api.get("jobs/a"), api.watch("jobs/a")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert caught.value.details() == "the service failed; its log says why"
            assert "secret" not in str(caught.value.trailing_metadata())

    async def test_an_unknown_method_is_unimplemented(self, api: Any) -> None:
        call = api.channel.unary_unary("/packtrain.v1.TrainingService/Dance")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


class TestUploads:
    @pytest.fixture
    def requests(self) -> list[datasets_pb.UploadDatasetRequest]:
        """A set of 300 rows: its header, and its bytes in chunks."""
        inputs = np.linspace(0, 1, 900, dtype="<f4").reshape(300, 3)
        labels = (np.arange(300) % 3).astype("<i4")
        header = datasets_pb.UploadDatasetHeader(
            dataset_id="mine",
            splits=[
                datasets_pb.SplitHeader(
                    inputs=datasets_pb.ArrayHeader(
                        element_type=datasets_pb.ELEMENT_TYPE_FLOAT32, shape=inputs.shape
                    ),
                    targets=datasets_pb.ArrayHeader(
                        element_type=datasets_pb.ELEMENT_TYPE_INT32, shape=labels.shape
                    ),
                )
            ],
        )
        content = inputs.tobytes() + labels.tobytes()
        return [
            datasets_pb.UploadDatasetRequest(header=header),
            *(
                datasets_pb.UploadDatasetRequest(chunk=content[i : i + 1000])
                for i in range(0, len(content), 1000)
            ),
        ]

    async def uploaded(self, api: Any) -> list[datasets_pb.Dataset]:
        response = await api.datasets.ListDatasets(datasets_pb.ListDatasetsRequest())
        wanted = datasets_pb.DATASET_ORIGIN_UPLOADED
        return [d for d in response.datasets if d.origin == wanted]

    async def test_a_job_learns_from_what_was_uploaded(
        self, api: Any, requests: list[Any], moons: MakeSpec
    ) -> None:
        dataset = (await api.datasets.UploadDataset(iter(requests))).dataset
        assert (dataset.name, dataset.features, dataset.classes) == ("datasets/mine", 3, 3)
        again = (await api.datasets.UploadDataset(iter(requests))).dataset
        assert again == dataset
        spec = moons()
        spec.dataset.name = dataset.name
        job = await api.train(spec)
        assert list(job.layer_sizes) == [3, 5, 3]
        assert job.progress.succeeded == 4
        await api.datasets.DeleteDataset(datasets_pb.DeleteDatasetRequest(name=dataset.name))
        assert await self.uploaded(api) == []

    async def test_what_a_job_uses_stays(
        self, start_api: Any, requests: list[Any], moons: MakeSpec
    ) -> None:
        opened = asyncio.Event()

        async def wait(_: object) -> None:
            await opened.wait()

        async with start_api(before_segment=wait) as api:
            await api.datasets.UploadDataset(iter(requests))
            spec = moons()
            spec.dataset.name = "datasets/mine"
            job = await api.create(spec)
            request = datasets_pb.DeleteDatasetRequest(name="datasets/mine")
            code, details = await refused(api.datasets.DeleteDataset(request))
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert details["ErrorInfo"].reason == "DATASET_IN_USE"
            opened.set()
            await api.watch(job.name)
            await api.datasets.DeleteDataset(request)

    @pytest.mark.parametrize("cut", [1, 3])
    async def test_an_upload_that_is_cut_off_leaves_nothing(
        self, api: Any, requests: list[Any], cut: int, tmp_path: Path
    ) -> None:
        def files() -> set[Path]:
            return set((tmp_path / "data" / "datasets").rglob("*"))

        await self.uploaded(api)  # the built-in set is written when it is first looked at
        before = files()
        call = api.datasets.UploadDataset()
        for request in requests[:cut]:
            await call.write(request)
        call.cancel()
        # An upload that ends too early is told so; one that was cancelled is not.
        code, _ = await refused(api.datasets.UploadDataset(iter(requests[:cut])))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert await self.uploaded(api) == []
        for _ in range(500):
            if files() == before:
                break
            await asyncio.sleep(0.01)
        assert files() == before

    async def test_an_upload_that_is_cut_off_as_it_begins_leaves_nothing(
        self, api: Any, requests: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin, begun, go_on = Catalog.begin_upload, threading.Event(), threading.Event()

        def slowly(*arguments: Any) -> Any:
            begun.set()
            go_on.wait(10)
            return begin(*arguments)

        monkeypatch.setattr(Catalog, "begin_upload", slowly)
        incoming = tmp_path / "data" / "datasets" / "incoming"
        call = api.datasets.UploadDataset()
        await call.write(requests[0])
        await asyncio.to_thread(begun.wait, 10)
        call.cancel()
        await asyncio.sleep(0.2)  # for the server to hear of it
        go_on.set()
        await asyncio.sleep(0.2)
        assert list(incoming.iterdir()) == []

    async def test_an_upload_begins_with_its_header(self, api: Any, requests: list[Any]) -> None:
        for wrong in (requests[1:], []):
            code, details = await refused(api.datasets.UploadDataset(iter(wrong)))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert fields_of(details) == ["header"]
        code, details = await refused(api.datasets.UploadDataset(iter([requests[0]] * 2)))
        assert fields_of(details) == ["chunk"]


class TestBesides:
    async def test_health_says_serving(self, api: Any) -> None:
        stub = health_pb2_grpc.HealthStub(api.channel)
        for service in ("", "packtrain.v1.TrainingService", "packtrain.v1.DatasetService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def test_reflection_lists_the_services(self, api: Any) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(api.channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in stub.ServerReflectionInfo(iter([request])):
            names = {s.name for s in answer.list_services_response.service}
        assert names >= {
            "packtrain.v1.TrainingService",
            "packtrain.v1.DatasetService",
            "packtrain.v1.ServerService",
            "grpc.health.v1.Health",
        }

    async def test_the_server_tells_what_it_offers(self, api: Any) -> None:
        info = await api.info.GetServerInfo(server_service_pb2.GetServerInfoRequest())
        assert set(info.costs) == {c.name for c in info.cost_outputs} == {k.value for k in CostKind}
        outputs = {c.name: list(c.output_activations) for c in info.cost_outputs}
        assert outputs["log_likelihood"] == ["ACTIVATION_SOFTMAX"]
        only = set(info.activations) - set(info.hidden_activations)
        assert only == {"ACTIVATION_SOFTMAX", "ACTIVATION_EXPONENTIAL"}
        assert set(info.hidden_activations) < set(info.activations)
        assert {"sgd", "lion"} <= set(info.optimizers)
        assert {"constant", "plateau"} <= set(info.schedules)
        assert list(info.search_algorithms) == [
            "grid",
            "random",
            "learning_rate_range",
            "sobol",
            "latin_hypercube",
            "points",
            "tpe",
            *(["gaussian_process"] if offered("gaussian_process") else []),
            "cma_es",
            "nsga2",
        ]
        assert list(info.early_stopping) == ["successive_halving", "hyperband", "median"]
        metrics = {m.name: m for m in info.metrics}
        top = metrics["validation_top5_accuracy"]
        assert (top.needs_validation, top.higher_is_better, top.least_outputs) == (True, True, 6)
        assert list(top.target_kinds) == [server_service_pb2.TARGET_KIND_CLASSES]
        numbers = {n.path: n for n in info.numbers}
        share = numbers["search.population.exploit_share"]
        assert (share.above, share.at_most, share.default_value) == (0, 0.5, 0.25)
        beta = numbers["optimizer.nadam.beta1"]
        assert (beta.at_least, beta.below, beta.default_value, beta.per_trial) == (0, 1, 0.9, True)
        assert numbers["epochs"].whole
        assert not numbers["regularization.max_norm"].HasField("default_value")
        assert {"training_cost", "validation_accuracy"} <= {m.name for m in info.metrics}
        assert info.engine.state == server_service_pb2.ENGINE_STATE_READY
        assert info.engine.workers == 2
        assert info.limits.max_trials == 1_000_000
        assert info.version


async def test_a_server_that_stops_ends_its_watches(
    start_api: Any, moons: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the test may take: a watch must not use the grace up.
    monkeypatch.setattr("packtrain.service.server._GRACE_SECONDS", 60.0)

    async def forever(_: object) -> None:
        await asyncio.Event().wait()

    async with start_api(before_segment=forever) as api:
        job = await api.create(moons())
        call = api.training.WatchJob(pb.WatchJobRequest(name=job.name))
        events = [await call.read() for _ in range(3)]
        assert events[2].trials.state == job_pb2.TRIAL_STATE_RUNNING
        async with asyncio.timeout(5):
            await api.server.stop()
        last = await call.read()
        assert last.HasField("heartbeat")
        assert last.resume_token == events[2].resume_token
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
