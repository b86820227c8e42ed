"""Long computations a slice at a time, in threads that keep no process from ending."""

from __future__ import annotations

import subprocess
import sys

import pytest

from packtrain.service import slices
from packtrain.service.slices import SlicedComputation, Steps


def count(steps: int) -> Steps[int]:
    for _ in range(steps):
        yield
    return steps


async def test_a_slice_ends_after_its_time_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    computation = SlicedComputation(count(2))
    for _ in range(2):
        await computation.run_slice(lambda: False)
        assert not computation.is_over
    await computation.run_slice(lambda: False)
    assert (computation.is_over, computation.result) == (True, 2)


async def test_a_slice_ends_where_its_job_is_stopped() -> None:
    computation = SlicedComputation(count(2))
    await computation.run_slice(lambda: True)
    assert not computation.is_over


async def test_what_a_step_raises_is_raised() -> None:
    def fail() -> Steps[None]:
        yield
        raise ValueError("no such point")

    with pytest.raises(ValueError, match="no such point"):
        await SlicedComputation(fail()).run_slice(lambda: False)


_SCRIPT = """
import asyncio, time
from packtrain.service.slices import SlicedComputation, is_slice_running

def sleep():
    time.sleep(600)
    yield

async def main():
    try:
        await asyncio.wait_for(SlicedComputation(sleep()).run_slice(lambda: False), 0.05)
    except TimeoutError:
        print(is_slice_running())

asyncio.run(main())
"""


def test_a_process_ends_while_a_step_goes_on() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=30, check=True
    )
    assert ended.stdout == "True\n"
