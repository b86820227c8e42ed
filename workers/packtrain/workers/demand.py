"""How many workers there is work for."""

from __future__ import annotations

from collections import deque


class Demand:
    """The most that was wanted within the last ``memory_seconds``; 1 at the least, so that there is
    always a worker whose speed is known and which trains at once.

    Demand that falls is believed after a while only: between two segments it falls for a moment,
    and a node that was let go takes a minute to come back.
    """

    def __init__(self, memory_seconds: float) -> None:
        self._memory_seconds = memory_seconds
        self._told: deque[tuple[float, int]] = deque()

    def tell(self, count: int, now: float) -> None:
        """So many are wanted from ``now`` (seconds of any clock) on."""
        if self._told and self._told[-1][1] == count:
            return
        # What was wanted less, and before, is no peak again.
        while self._told and self._told[-1][1] < count:
            self._told.pop()
        self._told.append((now, count))

    def peak(self, now: float) -> int:
        """The most up to ``now``, and since a while ago."""
        # A demand lasts until the next one: that one's time is the end of this one.
        while len(self._told) > 1 and self._told[1][0] < now - self._memory_seconds:
            self._told.popleft()
        return max(1, self._told[0][1]) if self._told else 1
