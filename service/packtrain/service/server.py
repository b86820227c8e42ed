"""The running service: the one module that wires its parts together."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from packtrain.service.api import (
    DatasetServicer,
    ErrorInterceptor,
    ServerServicer,
    TrainingServicer,
)
from packtrain.service.artifacts import Artifacts
from packtrain.service.checkpoint_sweep import sweep_checkpoints_hourly
from packtrain.service.contract import Planner
from packtrain.service.coordinator import Coordinator
from packtrain.service.data_directory import FILE_NAME, belongs_to
from packtrain.service.datasets import Catalog
from packtrain.service.datasets.folder_lock import ABANDONED_SECONDS
from packtrain.service.errors import StoreUnavailableError
from packtrain.service.networks import NetworkStore
from packtrain.service.past_trials import PastTrials
from packtrain.service.replica import Replica
from packtrain.service.settings import Settings
from packtrain.service.store import Database, Store, StoreOpenError
from packtrain.service.trained_networks import TrainedNetworks
from packtrain.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    server_service_pb2,
    server_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
)
from packtrain.workers import Engine

log = structlog.get_logger()

# Settings, and what to call when the number of workers has changed.
MakeEngine = Callable[[Settings, Callable[[], None]], Engine]

# A stop takes these together at most, and the engine's end beside the last: see STOP_SECONDS in
# the module that gives up on one that hangs.
_SAVE_SECONDS = 8.0
_RECORD_SECONDS = 3.0
_GRACE_SECONDS = 3.0
_SWEEP_SECONDS = 3600.0
_SERVICES = [
    training_service_pb2.DESCRIPTOR.services_by_name["TrainingService"].full_name,
    dataset_service_pb2.DESCRIPTOR.services_by_name["DatasetService"].full_name,
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name,
]
_OPTIONS = [
    # Two servers on one port would share its calls at random.
    ("grpc.so_reuseport", 0),
    # Streams count too: the limit of calls is not here.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class StartError(Exception):
    """The server can't start: one sentence that says what to do."""


@contextlib.asynccontextmanager
async def running_server(settings: Settings, make_engine: MakeEngine) -> AsyncIterator[Server]:
    """A server that accepts calls and trains, until the block is left. Raises StartError,
    EngineStartError."""
    interceptor = ErrorInterceptor()
    grpc_server = grpc.aio.server(
        interceptors=[interceptor],
        options=[
            *_OPTIONS,
            ("grpc.max_receive_message_length", settings.limits.max_message_bytes),
        ],
    )
    # First of all: a server that finds its port taken leaves nothing behind.
    address = f"{settings.host}:{_bind(grpc_server, settings)}"
    database = Database(settings.store_url)
    try:
        lock = _open_data_dir(settings.data_dir, shared=database.is_shared)
    except StartError:
        await asyncio.to_thread(database.close)
        raise
    try:
        try:
            await asyncio.to_thread(database.migrate)
        except StoreOpenError as error:
            raise StartError(f"{settings.store_name} can't be opened: {error}") from error
        try:
            server = await _start(
                settings, grpc_server, interceptor, address, database, make_engine
            )
        except StoreUnavailableError as error:
            raise StartError(error.message) from error
        except OSError as error:
            raise StartError(
                f"the data directory {settings.data_dir} can't be used ({error}): choose another "
                "with --data-dir"
            ) from error
        try:
            yield server
        finally:
            await server.stop()
    finally:
        await asyncio.to_thread(database.close)
        lock.close()


class Server:
    """Made by :func:`running_server`."""

    def __init__(
        self,
        address: str,
        grpc_server: grpc.aio.Server,
        interceptor: ErrorInterceptor,
        health: HealthServicer,
        engine: Engine,
        store: Store,
        coordinator: Coordinator,
        replica: Replica,
        tasks: Sequence[asyncio.Task[None]],
    ) -> None:
        self.address = address
        self.engine = engine
        self._grpc_server = grpc_server
        self._interceptor = interceptor
        self._health = health
        self._store = store
        self._coordinator = coordinator
        self._replica = replica
        self._tasks = tasks

    async def wait_crash(self) -> None:
        """Return when a task that should run as long as the server has ended."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """NOT_SERVING, no more calls, no new segments; what was trained is recorded and told, and
        what trains is saved; then the watches end, and the engine."""
        await self._health.enter_graceful_shutdown()
        self._interceptor.refuse_calls()
        await self._coordinator.stop(_SAVE_SECONDS)
        for task in self._tasks:
            task.cancel()
        # Whatever they ended with is logged; the rest must be stopped all the same.
        await asyncio.wait(self._tasks, timeout=_RECORD_SECONDS)
        with contextlib.suppress(StoreUnavailableError):
            await self._replica.leave()
        self._store.end_watches()
        await asyncio.gather(self._grpc_server.stop(_GRACE_SECONDS), self.engine.stop())


async def _start(
    settings: Settings,
    grpc_server: grpc.aio.Server,
    interceptor: ErrorInterceptor,
    address: str,
    database: Database,
    make_engine: MakeEngine,
) -> Server:
    store = Store(database)
    # First of all: what follows removes what no job of the store uses.
    await _require_own_data_dir(settings, store)
    artifacts = settings.open_checkpoints()
    try:
        await asyncio.to_thread(artifacts.require_folder)
    except OSError as error:
        raise StartError(
            f"checkpoints can't be written to {artifacts.uri} ({error.strerror}): choose another "
            "folder with --artifacts"
        ) from error
    catalog = await asyncio.to_thread(
        partial(
            Catalog,
            settings.data_dir,
            settings.datasets,
            settings.limits.max_upload_bytes,
            alone=not database.is_shared,
        )
    )
    models_dir = settings.data_dir / "models"
    await asyncio.to_thread(models_dir.mkdir, exist_ok=True)
    unfinished_seconds = ABANDONED_SECONDS if database.is_shared else 0.0
    networks = await asyncio.to_thread(
        NetworkStore, settings.data_dir / "networks", unfinished_seconds
    )
    await _sweep(store, catalog, networks, models_dir)
    trained = TrainedNetworks(store, models_dir)
    engine = make_engine(settings, lambda: coordinator.wake())
    planner = Planner(
        catalog,
        lambda: engine.capacity,
        settings.limits,
        trained,
        networks,
        lambda: engine.speed,
        PastTrials(store),
        lambda: engine.memory,
    )
    replica = Replica(
        store.replicas,
        f"{socket.gethostname()} {address}",
        shared=database.is_shared,
        demand=lambda: _demand(settings, coordinator),
        on_change=lambda: coordinator.wake(),
        on_loss=lambda: coordinator.let_go(),
        on_share=engine.share_cluster,
    )
    coordinator = Coordinator(
        store,
        replica,
        engine,
        planner,
        models_dir,
        Artifacts(artifacts),
        settings.least_save_seconds,
    )
    try:
        await replica.join()
    except StoreUnavailableError as error:
        # Full, maybe: it can be read all the same, and the replica joins when there is room.
        log.warning("store_unavailable", error=error.message)
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, grpc_server)
    training_service_pb2_grpc.add_TrainingServiceServicer_to_server(
        TrainingServicer(store, coordinator, planner, models_dir), grpc_server
    )
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(
        DatasetServicer(catalog, store), grpc_server
    )
    server_service_pb2_grpc.add_ServerServiceServicer_to_server(
        ServerServicer(engine, settings.limits), grpc_server
    )
    names = [*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], grpc_server)
    await grpc_server.start()
    for name in ("", *_SERVICES):
        await health.set(name, health_pb2.HealthCheckResponse.SERVING)
    # Before the engine is there: others give it its share of the cluster then.
    renewing = asyncio.create_task(replica.run(), name="replica")
    try:
        await engine.start()
    except BaseException:
        renewing.cancel()
        await grpc_server.stop(None)
        await engine.stop()
        await replica.leave()
        raise
    tasks = [
        renewing,
        asyncio.create_task(coordinator.run(), name="coordinator"),
        asyncio.create_task(store.hear_others(coordinator.hear), name="hearer"),
        asyncio.create_task(_sweep_hourly(store, catalog, networks, models_dir), name="sweeper"),
        asyncio.create_task(sweep_checkpoints_hourly(store, artifacts), name="checkpoint-sweeper"),
    ]
    for task in tasks:
        task.add_done_callback(_tell_crash)
    return Server(
        address, grpc_server, interceptor, health, engine, store, coordinator, replica, tasks
    )


def _demand(settings: Settings, coordinator: Coordinator) -> int | None:
    """None: nobody else uses its workers."""
    if settings.ray_address is None:
        return None
    most = settings.workers or settings.max_workers
    return coordinator.demand if most is None else min(coordinator.demand, most)


def _bind(server: grpc.aio.Server, settings: Settings) -> int:
    where = f"{settings.host}:{settings.port}"
    try:
        port = server.add_insecure_port(where)
    except RuntimeError:
        port = 0
    if not port:
        raise StartError(
            f"can't listen on {where} ({_explain_refusal(settings)}): choose another address or "
            "port with --listen"
        )
    return int(port)


def _explain_refusal(settings: Settings) -> str:
    """Why the port can't be had, which gRPC keeps to itself."""
    try:
        found = socket.getaddrinfo(
            settings.host.strip("[]"),
            settings.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        for family, kind, protocol, _, place in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
    except OSError as error:
        return error.strerror or str(error)
    return "it was taken a moment ago"


def _tell_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("task_crashed", task=task.get_name(), exc_info=task.exception())


def _open_data_dir(data_dir: Path, *, shared: bool) -> IO[str]:
    """Make it, and hold it: it has one server at a time, or, ``shared``, those of one store."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise StartError(
            f"the data directory {data_dir} can't be written ({os.strerror(error.errno or 0)}): "
            "choose another with --data-dir"
        ) from error
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StartError(
            f"the data directory {data_dir} is in use by another server: stop that one, or choose "
            "another directory with --data-dir"
        ) from error
    return lock


async def _require_own_data_dir(settings: Settings, store: Store) -> None:
    data_dir = settings.data_dir
    if not await asyncio.to_thread(belongs_to, data_dir, await store.read_identity()):
        raise StartError(
            f"the data directory {data_dir} belongs to another store than {settings.store_name} "
            f"(its file {FILE_NAME} says so): choose another one with --data-dir, or its own store; "
            "where its jobs are no longer wanted, remove that file"
        )


async def _sweep_hourly(
    store: Store, catalog: Catalog, networks: NetworkStore, models_dir: Path
) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        try:
            await _sweep(store, catalog, networks, models_dir)
        except (OSError, StoreUnavailableError) as error:
            log.warning("sweep_failed", error=str(error))


async def _sweep(store: Store, catalog: Catalog, networks: NetworkStore, models_dir: Path) -> None:
    """Remove what a crash left between two steps of a deletion, and data and networks that no
    job uses."""
    # Read before the jobs are: a job that is created meanwhile has no directory here.
    directories = await asyncio.to_thread(_list_directory, models_dir)
    uids = await store.all_uids()
    in_use = await store.datasets_in_use()
    begun_from = await store.networks_in_use()

    def sweep() -> None:
        catalog.release(in_use)
        networks.release(begun_from)
        for directory in directories:
            if directory.name not in uids:
                shutil.rmtree(directory, ignore_errors=True)

    await asyncio.to_thread(sweep)


def _list_directory(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []
