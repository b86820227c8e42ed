"""Fair turns: who goes next, and that nothing leaks when a waiter gives up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator

from packtrain.service.slots import PATIENT_TURN, FairSlots


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


class Crowd:
    """Jobs that always wait for a turn more, one turn at a time: no clock, and no training."""

    def __init__(self, **priorities: int) -> None:
        self.slots = FairSlots(lambda: 1)
        self.order: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = 0
        self._served = asyncio.Event()
        for job, priority in priorities.items():
            self.slots.set_priority(job, priority)
            self._tasks += [asyncio.create_task(self._visit(job)) for _ in range(2)]

    async def _visit(self, job: str) -> None:
        while True:
            async with self.slots.turn(job):
                self.order.append(job)
                if len(self.order) >= self._wanted:
                    self._served.set()
                await asyncio.sleep(0)

    async def serve(self, turns: int) -> Counter[str]:
        """Who got how many of the next turns."""
        first = len(self.order)
        self._wanted = first + turns
        self._served.clear()
        await self._served.wait()
        return Counter(self.order[first : first + turns])

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def assert_shares(served: Counter[str], **expected: int) -> None:
    """As many turns each, but for the one at either end."""
    assert served.keys() == expected.keys()
    assert all(abs(served[job] - turns) <= 1 for job, turns in expected.items()), served


@contextlib.asynccontextmanager
async def crowd(**priorities: int) -> AsyncIterator[Crowd]:
    made = Crowd(**priorities)
    yield made
    await made.leave()


async def test_equal_priorities_share_whatever_they_are() -> None:
    async with crowd(a=7, b=7, c=7) as jobs:
        assert_shares(await jobs.serve(3000), a=1000, b=1000, c=1000)


async def test_a_higher_priority_goes_first_and_a_lower_one_gets_every_tenth_turn() -> None:
    async with crowd(high=1, low=-100) as jobs:
        assert_shares(await jobs.serve(1000), high=900, low=100)
        gaps = [len(gap) for gap in "".join(j[0] for j in jobs.order).split("l")]
        assert max(gaps[1:]) == PATIENT_TURN - 1


async def test_all_that_are_lower_share_the_tenth_turns() -> None:
    async with crowd(a=2, b=2, c=1, d=0) as jobs:
        assert_shares(await jobs.serve(2000), a=900, b=900, c=100, d=100)


async def test_a_priority_may_change_at_any_time() -> None:
    async with crowd(a=0, b=0) as jobs:
        await jobs.serve(100)
        jobs.slots.set_priority("a", -1)
        assert_shares(await jobs.serve(100), a=10, b=90)
        jobs.slots.set_priority("a", 1)
        assert_shares(await jobs.serve(100), a=90, b=10)


async def test_a_job_that_is_held_gets_no_turn_until_it_is_released() -> None:
    async with crowd(a=0, b=0) as jobs:
        await jobs.serve(10)
        jobs.slots.hold("a")
        await jobs.serve(1)  # one that was handed out before
        assert_shares(await jobs.serve(100), b=100)
        jobs.slots.release("a")
        assert_shares(await jobs.serve(100), a=50, b=50)


async def test_a_thousand_jobs_whose_priorities_change_cost_little_and_none_starves() -> None:
    draw = random.Random(3)
    names = [f"job{i}" for i in range(1000)]
    async with crowd(**dict.fromkeys(names, 0)) as jobs:
        await jobs.serve(2000)
        begun = time.process_time()
        for _ in range(2000):
            jobs.slots.set_priority(draw.choice(names), draw.randint(-100, 100))
            await jobs.serve(5)
        seconds = time.process_time() - begun
        # A tenth of the turns is for whoever waited longest: 1,000 jobs take 10,000 turns.
        assert set(jobs.order[-10_000 - 2 :]) == set(names)
        assert len(jobs.slots._heap) <= 2 * len(names) + 65
        assert seconds / 10_000 < 0.001  # a turn; 0.00002 on an idle machine
