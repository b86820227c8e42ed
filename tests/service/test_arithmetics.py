"""A trial tells what its workers computed with, in the order of their first part in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from packtrain.v1 import job_pb2, training_service_pb2
from packtrain.workers import Segment
from packtrain.workers.arithmetic import describe_arithmetic

pb = training_service_pb2

pytestmark = pytest.mark.usefixtures("short_segments")


async def model_metadata(api: Any, trial: job_pb2.Trial, folder: Path) -> dict[str, str]:
    request = pb.DownloadModelRequest(name=trial.name)
    content = b"".join([r.chunk async for r in api.training.DownloadModel(request)])
    (folder / "model").write_bytes(content)
    with safe_open(folder / "model", framework="numpy") as file:
        found: dict[str, str] = file.metadata()
    return found


def hold_at(epoch: int, reached: asyncio.Event) -> Callable[[Segment], Awaitable[None]]:
    """Tells when segments come to the epoch, and lets none go on from there."""

    async def hold(segment: Segment) -> None:
        if segment.start_epoch >= epoch:
            reached.set()
            await asyncio.Event().wait()

    return hold


async def test_one_kind_of_worker(api: Any, moons: Any, tmp_path: Path) -> None:
    job = await api.train(moons())
    trials = await api.trials(job.name)
    assert [list(t.arithmetics) for t in trials] == 4 * [[describe_arithmetic()]]
    metadata = await model_metadata(api, trials[2], tmp_path)
    assert metadata == {
        "hidden_activation": "sigmoid",
        "output_activation": "sigmoid",
        "arithmetics": json.dumps([describe_arithmetic()]),
    }


async def test_a_pack_that_moves_to_other_workers_and_back(
    start_api: Any, moons: Any, tmp_path: Path
) -> None:
    async def move(segment: Segment) -> None:
        api.engine.arithmetic = "Zen" if 4 <= segment.start_epoch < 8 else "SkylakeX"

    async with start_api(before_segment=move) as api:
        job = await api.train(moons())
        trials = await api.trials(job.name)
        assert [list(t.arithmetics) for t in trials] == 4 * [["SkylakeX", "Zen"]]
        metadata = await model_metadata(api, trials[0], tmp_path)
        assert json.loads(metadata["arithmetics"]) == ["SkylakeX", "Zen"]


async def test_nothing_is_told_before_something_is_recorded(start_api: Any, moons: Any) -> None:
    reached = asyncio.Event()
    async with start_api(before_segment=hold_at(0, reached)) as api:
        job = await api.create(moons())
        await reached.wait()
        assert [list(t.arithmetics) for t in await api.trials(job.name)] == 4 * [[]]


async def test_epochs_trained_again_elsewhere_count_too(start_api: Any, moons: Any) -> None:
    async def elsewhere(segment: Segment) -> None:
        # The first epochs are trained again, for the state alone: their metrics are recorded.
        api.engine.arithmetic = "Zen" if segment.start_epoch < 3 else describe_arithmetic()

    reached = asyncio.Event()
    async with start_api(before_segment=hold_at(5, reached)) as api:
        job = await api.create(moons())
        await reached.wait()
    async with start_api(before_segment=elsewhere) as api:
        await api.watch(job.name)
        for trial in await api.trials(job.name):
            assert trial.state == job_pb2.TRIAL_STATE_SUCCEEDED
            assert list(trial.arithmetics) == [describe_arithmetic(), "Zen"]
