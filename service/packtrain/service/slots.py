"""Fair turns at the engine's workers: jobs side by side each get the same number, a higher
priority goes first, and nothing starves."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

# Of the turns that are handed out while jobs of different priorities wait, every so many goes to
# the job that has waited longest.
PATIENT_TURN = 10

# Entries of the heap that no longer hold are dropped when they outnumber the others.
_SLACK = 64


@dataclass(eq=False)
class _Line:
    """Who waits for a job's turns, and how many it holds; ``arrival`` grows with each turn."""

    job: str
    priority: int = 0
    is_held: bool = False
    turns: int = 0
    arrival: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def rank(self) -> tuple[int, int, int]:
        """The least is next."""
        return -self.priority, self.turns, self.arrival


class FairSlots:
    """At most ``capacity()`` turns at a time.

    The next goes to the waiting job of the highest priority; of several to the one that holds the
    fewest turns, then to the one that has waited longest. But every tenth turn, of those handed
    out while jobs of different priorities wait, goes to the job that has waited longest, whatever
    its priority. A turn costs O(log n) for n jobs that wait.
    """

    def __init__(self, capacity: Callable[[], int]) -> None:
        self._capacity = capacity
        self._taken = 0
        self._lines: dict[str, _Line] = {}
        # The lines that wait and are not held, by arrival: as they come, and as a heap of ranks,
        # in which only those that are their line's of today count.
        self._ready: OrderedDict[str, _Line] = OrderedDict()
        self._heap: list[tuple[tuple[int, int, int], str]] = []
        self._levels: Counter[int] = Counter()
        self._arrivals = itertools.count()
        self._mixed_turns = 0

    @contextlib.asynccontextmanager
    async def turn(self, job: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._line(job)
        line.waiting.append(future)
        self._enlist(line)
        self.refresh()
        try:
            await future
            yield
        finally:
            self._leave(line, future)
            self.refresh()

    def set_priority(self, job: str, priority: int) -> None:
        """From the next turn on; 0 until this is called."""
        line = self._line(job)
        if line.priority == priority:
            return
        is_ready = line.job in self._ready
        self._count(line, -is_ready)
        line.priority = priority
        # It keeps its place among those that wait.
        self._count(line, is_ready)
        self._push(line)

    def hold(self, job: str) -> None:
        """Hand out no further turns to the job, until :meth:`release`."""
        line = self._line(job)
        line.is_held = True
        self._delist(line)

    def release(self, job: str) -> None:
        """The job may take turns again."""
        line = self._line(job)
        line.is_held = False
        self._enlist(line)
        self.refresh()

    def is_held(self, job: str) -> bool:
        """Whether the job gets no turns."""
        return job in self._lines and self._lines[job].is_held

    def forget(self, job: str) -> None:
        """The job has no more use for turns: its priority is 0 again, and it is not held."""
        self._delist(self._line(job))
        del self._lines[job]

    @property
    def demand(self) -> int:
        """The turns that are held or waited for, without those of jobs that get none."""
        waiting = (len(line.waiting) for line in self._lines.values() if not line.is_held)
        return self._taken + sum(waiting)

    def refresh(self) -> None:
        """Hand out what turns there are; to be called too when the capacity has grown."""
        while self._ready and self._taken < self._capacity():
            line = self._choose()
            future = line.waiting.popleft()
            self._delist(line)
            if not future.done():
                self._taken += 1
                line.turns += 1
                future.set_result(None)
            self._enlist(line)

    def _choose(self) -> _Line:
        if len(self._levels) > 1:
            self._mixed_turns += 1
            if self._mixed_turns % PATIENT_TURN == 0:
                return next(iter(self._ready.values()))
        while True:
            rank, job = self._heap[0]
            line = self._ready.get(job)
            if line is not None and line.rank == rank:
                return line
            heapq.heappop(self._heap)

    def _line(self, job: str) -> _Line:
        return self._lines.setdefault(job, _Line(job))

    def _leave(self, line: _Line, future: asyncio.Future[None]) -> None:
        if future.done() and not future.cancelled():
            self._taken -= 1
            line.turns -= 1
            self._push(line)
            return
        with contextlib.suppress(ValueError):
            line.waiting.remove(future)
        if not line.waiting:
            self._delist(line)

    def _enlist(self, line: _Line) -> None:
        if line.is_held or not line.waiting or line.job in self._ready:
            return
        line.arrival = next(self._arrivals)
        self._ready[line.job] = line
        self._count(line, 1)
        self._push(line)

    def _delist(self, line: _Line) -> None:
        if self._ready.pop(line.job, None) is not None:
            self._count(line, -1)

    def _count(self, line: _Line, more: int) -> None:
        self._levels[line.priority] += more
        if not self._levels[line.priority]:
            del self._levels[line.priority]

    def _push(self, line: _Line) -> None:
        """Its rank has changed."""
        if line.job not in self._ready:
            return
        heapq.heappush(self._heap, (line.rank, line.job))
        if len(self._heap) > 2 * len(self._ready) + _SLACK:
            self._heap = [(line.rank, job) for job, line in self._ready.items()]
            heapq.heapify(self._heap)
