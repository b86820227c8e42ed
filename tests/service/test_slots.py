"""Fair turns: who goes next, and that nothing leaks when a waiter gives up."""

from __future__ import annotations

import asyncio
import contextlib
import random

from packtrain.service.slots import FairSlots


class Room:
    """Jobs that take turns; each holds its turn until it is told to leave."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.slots = FairSlots(lambda: self.capacity)
        self.order: list[str] = []
        self.inside: list[tuple[str, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def _visit(self, job: str) -> None:
        async with self.slots.turn(job):
            leave = asyncio.Event()
            self.order.append(job)
            self.inside.append((job, leave))
            await leave.wait()

    async def enter(self, *jobs: str) -> None:
        self.tasks += [asyncio.create_task(self._visit(job)) for job in jobs]
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def leave_first(self) -> None:
        self.inside.pop(0)[1].set()
        await self.settle()

    async def empty(self) -> None:
        while self.inside:
            await self.leave_first()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_jobs_side_by_side_get_equally_many() -> None:
    room = Room(1)
    await room.enter(*["a"] * 6, *["b"] * 6, *["c"] * 6)
    await room.empty()
    # The first a came alone; from then on whoever waited longest is next.
    assert room.order == ["a", *["a", "b", "c"] * 5, "b", "c"]


async def test_the_job_with_the_fewest_turns_goes_next() -> None:
    room = Room(4)
    await room.enter("a", "a", "a", "a", "a", "b", "b", "b")
    assert room.order == ["a", "a", "a", "a"]
    for _ in range(3):
        await room.leave_first()
    # As soon as b waits it gets turns until both hold as many.
    assert room.order[4:6] == ["b", "b"]
    held = [job for job, _ in room.inside]
    assert sorted(held) == ["a", "a", "b", "b"]
    await room.empty()
    assert sorted(room.order) == ["a"] * 5 + ["b"] * 3


async def test_growth_is_handed_out_at_once_and_shrinking_waits() -> None:
    room = Room(0)
    await room.enter("a", "b", "c")
    assert room.order == []
    room.capacity = 2
    room.slots.refresh()
    await room.settle()
    assert room.order == ["a", "b"]
    room.capacity = 1
    await room.leave_first()
    assert room.order == ["a", "b"]
    await room.leave_first()
    assert room.order == ["a", "b", "c"]
    await room.empty()


async def test_who_gives_up_waiting_takes_no_turn() -> None:
    room = Room(1)
    await room.enter("a", "b", "c")
    room.tasks[1].cancel()
    await room.settle()
    await room.leave_first()
    assert room.order == ["a", "c"]
    await room.empty()
    await room.enter("d")
    assert room.order == ["a", "c", "d"]
    await room.empty()


async def test_who_is_cancelled_as_the_turn_comes_gives_it_back() -> None:
    room = Room(1)
    await room.enter("a", "b", "c")
    room.inside.pop(0)[1].set()
    await asyncio.sleep(0)  # a has left and b's turn is granted, but b has not run yet
    room.tasks[1].cancel()
    await room.settle()
    assert room.order[-1] == "c"
    await room.empty()
    await room.enter("d")
    assert room.order[-1] == "d"
    await room.empty()


async def test_nothing_leaks_whoever_gives_up_whenever() -> None:
    draw = random.Random(5)
    room = Room(3)
    for _ in range(300):
        action = draw.random()
        if action < 0.5:
            await room.enter(draw.choice("abcd"))
        elif action < 0.75 and room.inside:
            room.inside.pop(draw.randrange(len(room.inside)))[1].set()
        elif room.tasks:
            draw.choice(room.tasks).cancel()
        if draw.random() < 0.5:
            await asyncio.sleep(0)
    for task in room.tasks:
        task.cancel()
    await asyncio.gather(*room.tasks, return_exceptions=True)
    room.inside.clear()
    inside = 0
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(1):
            for _ in range(3):
                await stack.enter_async_context(room.slots.turn("z"))
                inside += 1
    assert inside == 3
