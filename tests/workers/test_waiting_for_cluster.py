"""A Ray cluster that others run may be away as a service starts. The engine's process is a fake."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.ray_nodes import free_port

from packtrain.workers import EngineStartError, SupervisedEngine, cluster_address, supervisor
from packtrain.workers.machines import Machines, Memory
from packtrain.workers.reminder import FIRST_SECONDS, LONGEST_SECONDS, Reminder
from packtrain.workers.supervisor import UNSEEN_WORKERS, EngineStatus


class Child:
    """An engine process that fails to start as often as it is told to, and then lives on."""

    failures: list[Exception]
    may_start: asyncio.Event
    # So many die as soon as they are up.
    deaths = 0
    spawned = 0
    exit_status = 0
    machines = Machines(workers=2, capacity=2, memory=Memory(8, 4))

    @classmethod
    async def spawn(cls, *_: object, **__: object) -> Child:
        cls.spawned += 1
        return cls()

    async def wait_ready(self, _: float) -> None:
        await self.may_start.wait()
        if self.failures:
            raise self.failures.pop(0)

    async def serve(self, _: object) -> None:
        if type(self).deaths:
            type(self).deaths -= 1
            return
        await asyncio.Event().wait()

    async def bury(self) -> str:
        return ""


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> type[Child]:
    made = type("FakeChild", (Child,), {"failures": [], "may_start": asyncio.Event()})
    made.may_start.set()
    monkeypatch.setattr(supervisor, "EngineChild", made)
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.01)
    return made


async def test_nobody_answers_until_somebody_does(child: type[Child]) -> None:
    port = free_port()
    changes: list[EngineStatus] = []
    engine = SupervisedEngine(
        ray_address=f"127.0.0.1:{port}", on_change=lambda: changes.append(engine.status)
    )
    with capture_logs() as logs:
        await engine.start()
        async with asyncio.timeout(10):
            while not engine.problem:  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0.01)
    assert (engine.status, engine.workers, child.spawned) == (EngineStatus.STARTING, 0, 0)
    sentence = f"no Ray cluster answers at 127.0.0.1:{port} (Connection refused)"
    assert engine.problem.startswith(sentence)
    assert f"--port={port}" in engine.problem
    (told,) = logs
    assert (told["event"], told["log_level"]) == ("engine.start_failed", "warning")
    assert told["error"] == engine.problem
    # Jobs are taken meanwhile, whatever their size, and cut for several workers.
    assert engine.capacity == UNSEEN_WORKERS
    assert engine.memory.machine_bytes > 1 << 50
    child.may_start.clear()
    with socket.create_server(("127.0.0.1", port)):
        async with asyncio.timeout(10):
            while child.spawned == 0:  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0.01)
            # It is being joined: that nobody answers is no longer so.
            assert (engine.status, engine.problem) == (EngineStatus.STARTING, "")
            child.may_start.set()
            await engine.wait_ready()
    assert (engine.status, engine.workers, engine.problem) == (EngineStatus.READY, 2, "")
    assert (engine.capacity, engine.memory) == (2, Memory(8, 4))
    await engine.stop()
    assert changes == [EngineStatus.STARTING, EngineStatus.READY, *changes[2:]]


async def test_a_cluster_that_cannot_be_joined_is_tried_again(child: type[Child]) -> None:
    child.failures += [EngineStartError("no node of it is here"), EngineStartError("nor now")]
    engine = SupervisedEngine(ray_address="auto")
    with capture_logs() as logs:
        await engine.start()
        async with asyncio.timeout(10):
            await engine.wait_ready()
    told = [log["error"] for log in logs if log["event"] == "engine.start_failed"]
    assert told == ["no node of it is here", "nor now"]
    assert (child.spawned, engine.problem) == (3, "")
    await engine.stop()


async def test_a_cluster_that_answers_and_gives_no_worker_is_told_of(
    child: type[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SLOW_SECONDS", 0.01)
    child.may_start.clear()
    engine = SupervisedEngine(ray_address="auto")
    await engine.start()
    async with asyncio.timeout(10):
        while not engine.problem:  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0.01)
    assert engine.problem.startswith("the Ray cluster of this machine has given no worker within")
    assert engine.status is EngineStatus.STARTING
    child.may_start.set()
    await engine.wait_ready()
    assert engine.problem == ""
    await engine.stop()


async def test_a_ray_of_its_own_that_does_not_start_is_given_up(child: type[Child]) -> None:
    child.failures.append(EngineStartError("there is no memory"))
    engine = SupervisedEngine(1)
    with pytest.raises(EngineStartError, match="no memory"):
        await engine.start()
    assert (engine.status, child.spawned) == (EngineStatus.STOPPED, 1)
    await engine.stop()


async def test_each_death_of_an_engine_that_was_up_is_followed_by_a_short_pause(
    child: type[Child],
) -> None:
    """Were each pause twice as long as the one before, these would take ten seconds."""
    child.deaths = 10
    engine = SupervisedEngine(1)
    await engine.start()
    async with asyncio.timeout(5):
        while child.deaths or engine.status is not EngineStatus.READY:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert child.spawned == 11
    await engine.stop()


async def test_stopping_ends_the_search(child: type[Child]) -> None:
    engine = SupervisedEngine(ray_address=f"127.0.0.1:{free_port()}")
    await engine.start()
    await engine.stop()
    assert engine.status is EngineStatus.STOPPED


async def test_an_address_that_swallows_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(cluster_address, "CONNECT_SECONDS", 0.01)
    monkeypatch.setattr(asyncio, "open_connection", hang)
    with pytest.raises(
        EngineStartError, match=r"no Ray cluster answers at 10\.0\.0\.1:1 \(nothing"
    ):
        await cluster_address.require_answer("10.0.0.1:1")


@pytest.mark.parametrize(
    "address", ["", "nowhere", ":6379", "ray://127.0.0.1:10001", "host:0", "host:70000", "host:x"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match='must be "auto" or HOST:PORT'):
        SupervisedEngine(ray_address=address)


def test_addresses() -> None:
    assert cluster_address.split_address("auto") is None
    assert cluster_address.split_address("[::1]:6379") == ("::1", 6379)
    assert cluster_address.describe_cluster("auto") == "the Ray cluster of this machine"
    assert cluster_address.describe_cluster("host:1") == "the Ray cluster at host:1"


def test_a_trouble_is_told_at_once_and_then_ever_more_seldom() -> None:
    reminder = Reminder()
    told = [second for second in range(100) if reminder.is_due("gone", second)]
    assert told == [0, FIRST_SECONDS, 3 * FIRST_SECONDS, 7 * FIRST_SECONDS]
    assert reminder.is_due("another", 100)
    later = [second for second in range(101, 4000) if reminder.is_due("gone", second)]
    assert later[-1] - later[-2] == LONGEST_SECONDS
    reminder.clear()
    assert reminder.is_due("gone", 4001)
    assert not reminder.is_due("gone", 4000 + FIRST_SECONDS)
