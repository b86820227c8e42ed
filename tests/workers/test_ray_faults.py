"""Processes die, hang and go away at named moments; the numbers stay the same."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from packtrain.training import train_segment
from packtrain.workers import (
    EngineStartError,
    SegmentFailedError,
    StateLostError,
    SupervisedEngine,
    engine_child,
)
from packtrain.workers.process_session import list_session
from packtrain.workers.segment_runner import load_data
from packtrain.workers.supervisor import EngineStatus

pytestmark = [pytest.mark.ray, pytest.mark.asyncio(loop_scope="module")]

SERVICE = """
import asyncio
from packtrain.workers import SupervisedEngine

async def serve():
    engine = SupervisedEngine(1)
    await engine.start()
    # After the line that tells that the engine is ready.
    print((await engine.describe()).process_id, flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""


@pytest.fixture(scope="module")
def changes():
    return []


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(changes, log_dir):
    engine = SupervisedEngine(
        1,
        log_dir=log_dir,
        on_change=lambda: changes.append((engine.status, engine.workers)),
        least_deadline_seconds=2.0,
    )
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture(scope="module")
def expected(pack, source):
    return train_segment(pack, load_data(source), None, 6)[1].values


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - processes set no events
            await asyncio.sleep(0.01)


async def until_busy(engine: SupervisedEngine, *, besides: int | None = None) -> int:
    """The process id of the one worker, once a segment is in its hands."""
    async with asyncio.timeout(30):
        while True:
            report = await engine.describe()
            if report.busy_workers and set(report.worker_process_ids) - {besides}:
                return report.worker_process_ids[0]
            await asyncio.sleep(0.01)


def scratch_of(session_id: int) -> Path:
    """The folder of an engine's own Ray cluster, from the command lines of its processes."""
    lines = [Path(f"/proc/{p}/cmdline").read_text() for p in list_session(session_id)]
    return Path(re.search(r"--session-dir=(/tmp/packtrain-[^/]+)/", " ".join(lines))[1])


async def stop_worker_with(engine: SupervisedEngine, segment):
    """A task that runs a segment, and the process id of its worker, which is stopped."""
    await until(lambda: engine.workers == 1)
    (worker,) = (await engine.describe()).worker_process_ids
    os.kill(worker, signal.SIGSTOP)
    task = asyncio.create_task(engine.run_segment(segment))
    assert await until_busy(engine) == worker
    return task, worker


async def test_a_killed_workers_segment_runs_again(engine, segment, expected):
    await engine.run_segment(segment("killed", 0, 2))
    task, worker = await stop_worker_with(engine, segment("killed", 2, 4))
    os.kill(worker, signal.SIGKILL)
    np.testing.assert_array_equal((await task).metrics.values, expected[:, 2:])
    assert (await engine.describe()).worker_process_ids != (worker,)


async def test_a_hung_worker_is_replaced(engine, segment, expected):
    await engine.run_segment(segment("hung", 0, 2))
    task, worker = await stop_worker_with(engine, segment("hung", 2, 4))
    np.testing.assert_array_equal((await task).metrics.values, expected[:, 2:])
    assert worker not in list_session((await engine.describe()).process_id)


@pytest.mark.parametrize(
    ("rows", "epochs", "deaths"), [([0, 1, 2], 1, 2), ([4], 10**5, 2), ([4], 1, 4)]
)
async def test_a_segment_that_kills_every_worker_fails(engine, segment, pack, rows, epochs, deaths):
    """Of several networks or epochs soon, so that fewer are tried."""
    # So wide that even one epoch is caught in the middle.
    wide = replace(pack.signature, sizes=(12, 5000, 5000, 3))
    wide_pack = replace(pack, signature=wide).select(np.array(rows))
    deadly = segment(f"deadly-{len(rows)}-{epochs}", 0, epochs, pack=wide_pack)
    task = asyncio.create_task(engine.run_segment(deadly))
    worker = None
    for _ in range(deaths):
        worker = await until_busy(engine, besides=worker)
        os.kill(worker, signal.SIGKILL)
    with pytest.raises(SegmentFailedError, match="want of memory") as caught:
        await task
    assert caught.value.reason == "WORKER_LOST"


async def test_an_idle_worker_that_dies_is_replaced(engine, segment, expected):
    await until(lambda: engine.workers == 1)
    speed = engine.speed
    (worker,) = (await engine.describe()).worker_process_ids
    os.kill(worker, signal.SIGKILL)
    await until(lambda: engine.workers == 0)
    await until(lambda: engine.workers == 1)
    # The node's speed is known: its replacement does not measure it again.
    assert engine.speed == speed
    result = await engine.run_segment(segment("idle", 0, 6))
    np.testing.assert_array_equal(result.metrics.values, expected)


async def test_the_engine_comes_back_without_its_states(engine, segment, expected):
    await engine.run_segment(segment("lost", 0, 2))
    task, _ = await stop_worker_with(engine, segment("lost", 2, 4))
    first_life, speed = (await engine.describe()).process_id, engine.speed
    os.kill(first_life, signal.SIGKILL)
    with pytest.raises(StateLostError):
        await task
    assert (engine.workers, engine.status) == (0, EngineStatus.STARTING)
    assert engine.speed == speed
    with pytest.raises(StateLostError):
        await engine.run_segment(segment("lost", 2, 4))
    result = await engine.run_segment(segment("lost", 0, 6))
    np.testing.assert_array_equal(result.metrics.values, expected)
    assert (engine.workers, engine.status) == (1, EngineStatus.READY)
    assert list_session(first_life) == []


async def test_a_hung_engine_is_replaced(engine, segment, expected, monkeypatch):
    await until(lambda: engine.workers == 1)
    # Read anew with each question: the next one is the first that goes by these.
    monkeypatch.setattr(engine_child, "PING_SECONDS", 0.1)
    monkeypatch.setattr(engine_child, "LOOK_SECONDS", 0.5)
    first_life = (await engine.describe()).process_id
    os.kill(first_life, signal.SIGSTOP)
    await until(lambda: engine.status is EngineStatus.STARTING)
    monkeypatch.undo()
    result = await engine.run_segment(segment("hung engine", 0, 6))
    np.testing.assert_array_equal(result.metrics.values, expected)
    assert list_session(first_life) == []


async def test_ray_goes_with_a_killed_service():
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, stdout=asyncio.subprocess.PIPE
    )
    lines = [await service.stdout.readline(), await service.stdout.readline()]
    engine_process_id = int(lines[1])
    scratch = scratch_of(engine_process_id)
    assert scratch.is_dir()
    service.kill()
    await service.wait()
    await until(lambda: list_session(engine_process_id) == [])
    assert not scratch.exists()


@pytest.mark.parametrize("until_turn", [1, 3, 50])
async def test_stopping_a_start(until_turn):
    engine = SupervisedEngine(1)
    starting = asyncio.create_task(engine.start())
    for _ in range(until_turn):
        await asyncio.sleep(0)
    await engine.stop()
    with pytest.raises(EngineStartError, match="stopped"):
        await starting


async def test_stopping_leaves_no_process(engine, segment, changes, log_dir):
    """The last test of the module, since it ends the engine of the others."""
    task, _ = await stop_worker_with(engine, segment("stopped", 0, 2))
    process_id = (await engine.describe()).process_id
    scratch = scratch_of(process_id)
    assert scratch.is_dir()
    await engine.stop()
    with pytest.raises(StateLostError):
        await task
    assert list_session(process_id) == []
    assert not scratch.exists()
    assert changes[0] == (EngineStatus.STARTING, 0)
    assert (EngineStatus.READY, 1) in changes
    assert changes[-1] == (EngineStatus.STOPPED, 0)
    assert "engine.ready" in (log_dir / "engine.log").read_text()
    with pytest.raises(StateLostError):
        await engine.run_segment(segment("stopped", 0, 2))
