"""Fair turns at the engine's workers: jobs side by side each get the same number."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable


class FairSlots:
    """At most ``capacity()`` turns at a time; the job with the fewest goes next, the one that
    waited longest first where several have equally few."""

    def __init__(self, capacity: Callable[[], int]) -> None:
        self._capacity = capacity
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def turn(self, job: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job, deque()).append(future)
        self.refresh()
        try:
            await future
            yield
        finally:
            self._leave(job, future)
            self.refresh()

    def _leave(self, job: str, future: asyncio.Future[None]) -> None:
        if future.done() and not future.cancelled():
            self._held[job] -= 1
            if not self._held[job]:
                del self._held[job]
        elif job in self._waiting:
            with contextlib.suppress(ValueError):
                self._waiting[job].remove(future)
            if not self._waiting[job]:
                del self._waiting[job]

    def refresh(self) -> None:
        """Hand out what turns there are; to be called too when the capacity has grown."""
        while self._waiting and self._held.total() < self._capacity():
            job = min(self._waiting, key=lambda j: self._held[j])
            queue = self._waiting[job]
            future = queue.popleft()
            if queue:
                self._waiting.move_to_end(job)
            else:
                del self._waiting[job]
            if not future.done():
                self._held[job] += 1
                future.set_result(None)
