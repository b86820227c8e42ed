"""Jobs side by side: fair shares and priorities, through a real server; and changes that race."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from tests.service.changes import (
    assert_equal_values,
    pause,
    resume,
    retry,
    shape_of,
    state_of,
    update,
)

from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2
from packtrain.workers import Segment

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]
ByTrial = Callable[[list[job_pb2.MetricBlock]], dict[tuple[int, int], Any]]


class Order:
    """Whose segments begin, in order; none runs before it is opened. They take their time: it is
    workers that jobs share, not the store that records what the segments measured."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.uids: list[str] = []

    async def __call__(self, segment: Segment) -> None:
        self.uids.append(segment.pack_key.split("/")[0])
        await self.opened.wait()
        await asyncio.sleep(0.03)

    def shares(self, first: int, stop: int, *jobs: job_pb2.Job) -> list[int]:
        counts = Counter(self.uids[first:stop])
        return [counts[job.uid] for job in jobs]


def many_packs(spec: spec_pb2.JobSpec) -> spec_pb2.JobSpec:
    """Eight packs, of 12 segments each where these are short."""
    sizes = spec.search.parameters.add(path="batch_size")
    for size in range(4, 12):
        sizes.choice.values.add(number_value=size)
    return spec


async def create(api: Any, spec: spec_pb2.JobSpec, priority: int) -> job_pb2.Job:
    return (await api.training.CreateJob(pb.CreateJobRequest(spec=spec, priority=priority))).job


@pytest.mark.usefixtures("short_segments")
async def test_two_jobs_side_by_side_get_half_each(start_api: Any, moons: MakeSpec) -> None:
    order = Order()
    async with start_api(before_segment=order) as api:
        jobs = [await create(api, many_packs(moons()), 0) for _ in range(2)]
        await settle(api, jobs)
        order.opened.set()
        for job in jobs:
            await api.watch(job.name)
        # 96 segments each, and two workers.
        first, second = order.shares(10, 110, *jobs)
        assert abs(first - second) <= 4


@pytest.mark.usefixtures("short_segments")
async def test_a_higher_priority_goes_first_and_the_lower_one_gets_a_tenth(
    start_api: Any, moons: MakeSpec
) -> None:
    order = Order()
    async with start_api(before_segment=order) as api:
        low = await create(api, many_packs(moons()), 0)
        high = await create(api, many_packs(moons()), 1)
        await settle(api, [low, high])
        order.opened.set()
        await api.watch(high.name)
        await api.watch(low.name)
        few, many = order.shares(4, 84, low, high)
        assert 6 <= few <= 10
        assert few + many == 80


@pytest.mark.usefixtures("short_segments")
async def test_a_priority_that_changes_holds_from_the_next_turn_on(
    start_api: Any, moons: MakeSpec
) -> None:
    order = Order()
    async with start_api(before_segment=order) as api:
        jobs = [await create(api, many_packs(moons()), 0) for _ in range(3)]
        await settle(api, jobs)
        await update(api, jobs[2].name, "priority", priority=5)
        order.opened.set()
        for job in jobs:
            await api.watch(job.name)
        assert order.shares(4, 64, jobs[2])[0] >= 50


async def settle(api: Any, jobs: list[job_pb2.Job]) -> None:
    """Until the first of them has begun, and the others are known to whoever hands out turns."""
    async for event in api.training.WatchJob(pb.WatchJobRequest(name=jobs[0].name)):
        if event.HasField("trials"):
            break
    for job in jobs:  # read after it was created, and handed on in one go
        await update(api, job.name, "labels.seen", labels={"seen": "yes"})


@pytest.mark.usefixtures("short_segments")
async def test_paused_jobs_take_no_room_from_others(
    start_api: Any,
    moons: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    by_trial_and_epoch: ByTrial,
) -> None:
    monkeypatch.setattr("packtrain.service.coordinator._MAX_ACTIVE_JOBS", 2)
    order = Order()
    async with start_api(before_segment=order) as api:
        paused = [await api.create(moons()) for _ in range(2)]
        await settle(api, paused)
        for job in paused:
            await pause(api, job.name)
        order.opened.set()
        others = [await api.create(moons()) for _ in range(4)]
        for job in others:
            await api.watch(job.name)
        expected = by_trial_and_epoch(await api.metrics(others[0].name))
        for job in paused:
            assert state_of(await api.get(job.name)) == "PAUSED"
            await resume(api, job.name)
            await api.watch(job.name)
            assert_equal_values(by_trial_and_epoch(await api.metrics(job.name)), expected)
        assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
async def test_changes_that_race_with_the_end_leave_one_story(
    api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    """Whatever came first: one transition at a time, none lost, and the numbers of all epochs."""
    whole = await api.train(moons(epochs=16))
    expected = by_trial_and_epoch(await api.metrics(whole.name))
    jobs = [await api.create(moons()) for _ in range(12)]

    async def disturb(job: job_pb2.Job, after: int) -> None:
        await asyncio.sleep(after * 0.01)
        for change in (
            pause(api, job.name),
            update(api, job.name, epochs=14),
            resume(api, job.name),
            update(api, job.name, "priority", priority=after),
            retry(api, job.name),
            update(api, job.name, epochs=16),
            resume(api, job.name),
        ):
            with contextlib.suppress(grpc.aio.AioRpcError):
                await change

    await asyncio.gather(*(disturb(job, i) for i, job in enumerate(jobs)))
    for job in jobs:
        await update(api, job.name, epochs=16)
        events = await api.watch(job.name)
        assert shape_of(events)[-1] == "SUCCEEDED"
        done = await api.get(job.name)
        assert done.progress == whole.progress
        assert_equal_values(by_trial_and_epoch(await api.metrics(job.name)), expected)
    assert api.engine.held_states == 0
