"""Memory that runs out for real, and what is made of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ray.exceptions import OutOfMemoryError, RayTaskError

from packtrain.workers import SegmentFailedError
from packtrain.workers.ray_engine import WorkerLostError, _translate

# A process whose address space is limited: of 64 wide networks it can train some, not all.
TRAINS = """
import asyncio, resource, sys
from pathlib import Path
import numpy as np
from packtrain.training import (
    Activation, Cost, Pack, ScaledGaussian, Selection, Signature, make_trials)
from packtrain.workers import DataSource, LocalEngine, Segment, SegmentFailedError

folder, count = Path(sys.argv[1]), 64
rng = np.random.default_rng(7)
np.save(folder / "x.npy", rng.random((40, 12), dtype=np.float32))
np.save(folder / "y.npy", rng.integers(0, 3, 40))
source = DataSource(
    (("train", folder / "x.npy", folder / "y.npy"),),
    Selection(one_hot_outputs=3, seed=3),
    "float32",
)
pack = Pack(
    Signature(
        sizes=(12, 100_000, 3),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=10,
        epochs=1,
        data_type="float32",
        metrics=("training_cost",),
    ),
    make_trials(
        count,
        seeds=np.arange(count),
        order_seeds=np.arange(count),
        learning_rate=0.1,
        momentum=0.0,
        l2=0.0,
        dropout=0.0,
        cost=[Cost.CROSS_ENTROPY] * count,
        initialization=[ScaledGaussian()] * count,
    ),
)

async def run():
    engine = LocalEngine(1)
    await engine.start()

    async def train(rows):
        part = pack.select(np.array(rows))
        segment = Segment(pack_key="k", pack=part, data=source, start_epoch=0, epochs=1)
        try:
            result = await engine.run_segment(segment)
        except SegmentFailedError as error:
            return f"{error.reason}: {error}"
        return result.metrics.values[0].tobytes().hex()

    print(await train([7]))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 300_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    print(await train(range(count)))
    print(await train([7, 8]))
    print(await train([7]))
    await engine.stop()

asyncio.run(run())
"""


def test_a_pack_that_is_too_large_fails_and_a_part_of_it_trains(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINS, str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    alone, all_together, two, again = done.stdout.splitlines()
    assert all_together.startswith("OUT_OF_MEMORY: a worker ran out of memory over these 64")
    assert alone == two == again


def test_memory_errors_of_ray_are_told_as_such() -> None:
    raised = RayTaskError("train", "traceback", MemoryError("Unable to allocate 3 GiB"))
    failed = _translate(raised, 1)
    assert isinstance(failed, SegmentFailedError)
    assert (failed.reason, "this network alone" in str(failed)) == ("OUT_OF_MEMORY", True)
    # Ray's memory monitor ends a worker: the segment may run again, alone.
    lost = _translate(OutOfMemoryError("Task was killed due to the node running low on memory"), 8)
    assert isinstance(lost, WorkerLostError)
    assert lost.reason == "OUT_OF_MEMORY"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("a bug")])
def test_other_errors_are_no_reason_to_split(error: Exception) -> None:
    failed = _translate(RayTaskError("train", "traceback", error), 8)
    assert isinstance(failed, SegmentFailedError)
    assert failed.reason == "TRAINING_ERROR"
