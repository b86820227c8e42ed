"""The faults that a test can ask the local engine for, and what both engines keep states in."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from packtrain.workers import LocalEngine, SegmentFailedError, StateLostError
from packtrain.workers.state_table import StateTable


@pytest.fixture
async def engine():
    engine = LocalEngine()
    await engine.start()
    yield engine
    await engine.stop()


async def test_lost_state_ends_running_segments(engine, segment):
    await engine.run_segment(segment("a", 0, 2))
    task = asyncio.create_task(engine.run_segment(segment("a", 2, 2)))
    await asyncio.sleep(0)
    engine.lose_state()
    with pytest.raises(StateLostError):
        await task
    assert engine.held_states == 0
    with pytest.raises(StateLostError):
        await engine.run_segment(segment("a", 2, 2))
    await engine.run_segment(segment("a", 0, 2))


async def test_a_segment_is_held_at_its_begin(segment):
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_):
        arrived.set()
        await go_on.wait()

    engine = LocalEngine(before_segment=hold)
    await engine.start()
    task = asyncio.create_task(engine.run_segment(segment("a", 0, 2)))
    await arrived.wait()
    assert not task.done()
    engine.lose_state()
    go_on.set()
    with pytest.raises(StateLostError):
        await task
    assert engine.held_states == 0
    await engine.stop()


async def test_the_next_segment_fails_as_asked(engine, segment):
    engine.fail_next(SegmentFailedError("WORKER_LOST", "gone"))
    with pytest.raises(SegmentFailedError, match="gone"):
        await engine.run_segment(segment("a", 0, 2))
    await engine.run_segment(segment("a", 0, 2))


async def test_a_stopped_engine_runs_nothing(segment):
    engine = LocalEngine(3)
    assert engine.workers == 0
    await engine.start()
    assert engine.workers == 3
    await engine.stop()
    assert engine.workers == 0
    with pytest.raises(StateLostError):
        await engine.run_segment(segment("a", 0, 2))


def test_only_the_last_claim_of_a_key_stores(segment):
    states: StateTable[str] = StateTable()
    late = states.claim(segment("a", 0, 2))
    last = states.claim(segment("a", 0, 2))
    states.store(last, "last", 1.0)
    states.store(late, "late", 1.0)
    (held,) = states.claim(segment("a", 2, 2)).held
    assert (held.state, held.epoch, held.seconds_per_epoch) == ("last", 2, 0.5)


def test_a_dropped_claim_stores_nothing(segment):
    states: StateTable[str] = StateTable()
    claim = states.claim(segment("a", 0, 2))
    states.drop("a")
    states.store(claim, "late", 1.0)
    assert len(states) == 0


def test_the_package_is_imported_without_ray():
    code = "import sys, packtrain.workers; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
