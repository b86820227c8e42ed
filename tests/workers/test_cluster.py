"""An engine on a Ray cluster whose nodes come, go, hang and die. The tests build on each other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from tests.ray_nodes import TOKEN, running_cluster

from packtrain.training import train_segment
from packtrain.workers import StateLostError, SupervisedEngine
from packtrain.workers.segment_runner import load_data

pytestmark = [
    pytest.mark.ray,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

SERVICE = """
import asyncio, sys
from packtrain.workers import SupervisedEngine

async def serve():
    engine = SupervisedEngine(ray_address=sys.argv[1])
    await engine.start()
    print(*(await engine.describe()).worker_process_ids, flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    # Ray's sockets are in this folder, and their paths may not be long.
    folder = Path("/tmp") / f"pt-{os.getpid()}"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in TOKEN.items():
            patch.setenv(name, value)
        with running_cluster(folder) as cluster:
            yield cluster
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(cluster, tmp_path_factory):
    engine = SupervisedEngine(ray_address=cluster.address, log_dir=tmp_path_factory.mktemp("logs"))
    await engine.start()
    yield engine
    await engine.stop()


@contextlib.contextmanager
def within(seconds: float, what: str):
    """Says how long it took; fails where that was longer."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    print(f"{what}: {took:.1f} s")
    assert took < seconds


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - processes set no events
            await asyncio.sleep(0.05)


async def until_workers(engine: SupervisedEngine, count: int) -> tuple[int, ...]:
    await until(lambda: engine.workers == count)
    return (await engine.describe()).worker_process_ids


async def test_a_node_that_joins_is_used(cluster, engine):
    (first,) = await until_workers(engine, 1)
    assert engine.capacity == 1
    memory = engine.memory
    assert 0 < memory.total_bytes == memory.machine_bytes
    node = cluster.add_node()
    await until(lambda: cluster.log.read_text().count("Ray runtime started") == 2)
    with within(20, "a node that has joined is used"):
        workers = await until_workers(engine, 2)
    assert set(workers) - {first} <= set(node.process_ids)
    assert (engine.capacity, engine.memory.total_bytes > memory.total_bytes) == (2, True)


async def test_a_killed_worker_is_replaced(cluster, engine):
    (worker,) = cluster.nodes[0].find("ray::SegmentActor")
    os.kill(worker, signal.SIGKILL)
    with within(2, "a killed worker is found"):
        await until_workers(engine, 1)
    assert worker not in await until_workers(engine, 2)


async def test_a_hung_node_loses_only_its_packs(cluster, engine, segment, pack, source):
    """Its late answers are refused, and whoever would begin from what it holds is told at once."""
    expected = train_segment(pack, load_data(source), None, 6)[1].values
    keys = [f"hung-{i}" for i in range(2)]
    await asyncio.gather(*(engine.run_segment(segment(key, 0, 2)) for key in keys))
    node = cluster.nodes[0]
    node.signal(signal.SIGSTOP)
    tasks = [asyncio.create_task(engine.run_segment(segment(key, 2, 4))) for key in keys]
    with within(20, "a hung node is found"):
        (left,) = await until_workers(engine, 1)
    assert left not in node.process_ids
    # One of the two states was on each node.
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    lost = [outcome for outcome in outcomes if isinstance(outcome, StateLostError)]
    assert len(lost) <= 1
    again = [o for o in outcomes if not isinstance(o, StateLostError)]
    again += [await engine.run_segment(segment(f"again-{i}", 0, 6)) for i in range(len(lost))]
    for result in again:
        values = result.metrics.values
        np.testing.assert_array_equal(values, expected[:, -values.shape[1] :])
    node.signal(signal.SIGCONT)
    assert set(await until_workers(engine, 2)) & set(node.process_ids)


async def test_a_killed_node_loses_only_its_packs(cluster, engine, segment, pack, source):
    expected = train_segment(pack, load_data(source), None, 6)[1].values
    tasks = [asyncio.create_task(engine.run_segment(segment(f"dead-{i}", 0, 6))) for i in range(2)]
    cluster.nodes[0].kill()
    with within(5, "a killed node is found"):
        await until_workers(engine, 1)
    for result in await asyncio.gather(*tasks):
        np.testing.assert_array_equal(result.metrics.values, expected)
    await until(lambda: engine.capacity == 1)


async def test_a_killed_service_leaves_no_actors(cluster, engine):
    """Its actors are not detached: they end with the engine, and that with its service."""
    await engine.stop()
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, cluster.address, stdout=asyncio.subprocess.PIPE
    )
    lines = (await service.stdout.read(1)) + await service.stdout.readline()
    while not lines.strip().replace(b" ", b"").isdigit():
        lines = await service.stdout.readline()
    (worker,) = (int(word) for word in lines.split())
    assert worker in cluster.head.process_ids
    service.kill()
    await service.wait()
    with within(10, "the actors of a killed service end"):
        await until(lambda: worker not in cluster.head.process_ids)
    assert not cluster.head.find("ray::SegmentActor")


@pytest.mark.parametrize("name", ["RAY_ADDRESS", "RAY_TMPDIR"])
async def test_auto_finds_the_cluster(cluster, monkeypatch, tmp_path, name):
    """By its variable; else by the file ray/ray_current_cluster, which `ray start` writes."""
    places = {"RAY_ADDRESS": cluster.address, "RAY_TMPDIR": str(cluster.folder)}
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv(name, places[name])
    engine = SupervisedEngine(ray_address="auto")
    await engine.start()
    try:
        async with asyncio.timeout(60):
            (worker,) = (await engine.describe()).worker_process_ids
        assert worker in cluster.head.process_ids
    finally:
        await engine.stop()
