"""A real server on a free port, its raw stubs, and a store: what the tests of this room share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.postgresql import Postgres
from tests.service.specifications import PLAIN, read

from packtrain.service.contract import Planner
from packtrain.service.contract.expansion import Expansion, expand
from packtrain.service.datasets import Catalog
from packtrain.service.records import NewJob
from packtrain.service.server import Server, running_server
from packtrain.service.settings import Limits, Settings
from packtrain.service.store import Database, Store
from packtrain.v1 import (
    dataset_service_pb2_grpc,
    job_pb2,
    server_service_pb2_grpc,
    spec_pb2,
    training_service_pb2,
    training_service_pb2_grpc,
)
from packtrain.workers import LocalEngine, Segment

pb = training_service_pb2

ENDED = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)


@pytest.fixture
def offered(tmp_path: Path) -> Path:
    """The folder of files that the server offers by name."""
    directory = tmp_path / "offered"
    directory.mkdir()
    return directory


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind: what tests of the store hold of one, they hold of the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.empty_database()


@pytest.fixture
def open_database(database_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the test's database, as often as it is asked to."""
    opened: list[Database] = []

    def open_one() -> Database:
        database = Database(database_url)
        database.migrate()
        opened.append(database)
        return database

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Database:
    return open_database()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


@dataclass
class Api:
    """A running server, its engine, and stubs on a real channel."""

    server: Server
    engine: LocalEngine
    channel: grpc.aio.Channel
    training: training_service_pb2_grpc.TrainingServiceStub = field(init=False)
    datasets: dataset_service_pb2_grpc.DatasetServiceStub = field(init=False)
    info: server_service_pb2_grpc.ServerServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.training = training_service_pb2_grpc.TrainingServiceStub(self.channel)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(self.channel)
        self.info = server_service_pb2_grpc.ServerServiceStub(self.channel)

    async def create(self, spec: spec_pb2.JobSpec, job_id: str = "") -> job_pb2.Job:
        request = pb.CreateJobRequest(spec=spec, job_id=job_id)
        return (await self.training.CreateJob(request)).job

    async def get(self, name: str) -> job_pb2.Job:
        return (await self.training.GetJob(pb.GetJobRequest(name=name))).job

    async def watch(self, name: str, **fields: object) -> list[pb.WatchJobResponse]:
        """All events until the watch ends."""
        request = pb.WatchJobRequest(name=name, **fields)
        return [event async for event in self.training.WatchJob(request)]

    async def train(self, spec: spec_pb2.JobSpec) -> job_pb2.Job:
        """The job when it has ended."""
        job = await self.create(spec)
        await self.watch(job.name)
        return await self.get(job.name)

    async def trials(self, name: str) -> list[job_pb2.Trial]:
        request = pb.ListTrialsRequest(parent=name, page_size=1000)
        return list((await self.training.ListTrials(request)).trials)

    async def metrics(self, name: str, **fields: object) -> list[job_pb2.MetricBlock]:
        request = pb.ReadMetricsRequest(name=name, **fields)
        return [r.block async for r in self.training.ReadMetrics(request)]


Hook = Callable[[Segment], Awaitable[None]]
StartApi = Callable[..., contextlib.AbstractAsyncContextManager[Api]]


@contextlib.asynccontextmanager
async def start_server(
    data_dir: Path,
    *,
    before_segment: Hook | None = None,
    limits: Limits | None = None,
    **fields: object,
) -> AsyncIterator[Api]:
    settings = Settings(port=0, data_dir=data_dir, workers=2, limits=limits or Limits(), **fields)
    engine = LocalEngine(workers=2, before_segment=before_segment)
    async with (
        running_server(settings, lambda _settings, _on_change: engine) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield Api(server, engine, channel)


@pytest.fixture
def start_api(tmp_path: Path) -> StartApi:
    """Starts a server on the test's data directory: ``async with start_api() as api``."""

    def start(**fields: object) -> contextlib.AbstractAsyncContextManager[Api]:
        return start_server(tmp_path / "data", **fields)

    return start


@pytest.fixture
async def api(start_api: StartApi) -> AsyncIterator[Api]:
    """A server without hooks."""
    async with start_api() as running:
        yield running


def columns(blocks: list[job_pb2.MetricBlock]) -> dict[tuple[int, int], NDArray[np.float32]]:
    """The values of (trial, epoch), each of which must come once."""
    found: dict[tuple[int, int], NDArray[np.float32]] = {}
    for block in blocks:
        shape = (len(block.trials), block.epoch_count, len(block.metrics))
        values = np.frombuffer(block.values, "<f4").reshape(shape)
        for row, trial in enumerate(block.trials):
            for column in range(block.epoch_count):
                key = (trial, block.first_epoch + column)
                assert key not in found, f"trial and epoch {key} came twice"
                found[key] = values[row, column]
    return found


@pytest.fixture
def by_trial_and_epoch() -> Callable[
    [list[job_pb2.MetricBlock]], dict[tuple[int, int], NDArray[np.float32]]
]:
    """Blocks as values by (trial, epoch); fails where one comes twice."""
    return columns


@pytest.fixture
def moons() -> Callable[..., spec_pb2.JobSpec]:
    """Makes a small specification: four trials that differ in their learning rate."""

    def make(rates: tuple[float, ...] = (0.1, 0.5, 1.0, 3.0), **fields: object) -> spec_pb2.JobSpec:
        spec = spec_pb2.JobSpec(
            dataset=spec_pb2.DatasetSelection(
                synthetic=spec_pb2.SyntheticDataset(kind=spec_pb2.SYNTHETIC_KIND_MOONS, rows=60),
                validation_share=0.25,
            ),
            network=spec_pb2.Network(hidden=[5]),
            epochs=12,
            seed=3,
        )
        spec.MergeFrom(spec_pb2.JobSpec(**fields))
        if rates:
            parameter = spec.search.parameters.add(path="optimizer.sgd.learning_rate")
            for rate in rates:
                parameter.choice.values.add(number_value=rate)
            spec.search.grid.SetInParent()
        return spec

    return make


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stops doesn't wait long for the segments that a test holds."""
    monkeypatch.setattr("packtrain.service.server._SAVE_SECONDS", 0.2)


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each segment is one epoch, so that there is something to happen between segments."""
    monkeypatch.setattr("packtrain.service.pack_run.SEGMENT_SECONDS", 1e-9)
    monkeypatch.setattr("packtrain.service.pack_run._FIRST_SEGMENT_SECONDS", 1e-9)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(tmp_path_factory.mktemp("data"))


@pytest.fixture
def plan(catalog: Catalog) -> Callable[..., NewJob]:
    def run(spec: spec_pb2.JobSpec, **limits: int) -> object:
        return Planner(catalog, 2, Limits(max_trials=10_000, **limits)).plan(spec, "job", "uid")

    return run


@pytest.fixture
def expanded(catalog: Catalog) -> Callable[[dict[str, object]], Expansion]:
    return lambda document: expand(read(PLAIN | document), catalog, 10_000)
