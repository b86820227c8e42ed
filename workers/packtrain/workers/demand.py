"""How many workers there is work for."""

from __future__ import annotations

from collections import deque

PEAK_SECONDS = 30.0
"""Demand that falls is believed after so long: between two segments it falls for a moment, and a
node takes a minute to come back. A worker that was not needed for so long is let go."""


class Demand:
    """The most that was wanted within the last while; 1 at the least, so that there is always a
    worker whose speed is known and which trains at once."""

    def __init__(self) -> None:
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
        """The most since ``PEAK_SECONDS`` ago."""
        # A demand lasts until the next one: that one's time is the end of this one.
        while len(self._told) > 1 and self._told[1][0] < now - PEAK_SECONDS:
            self._told.popleft()
        return max(1, self._told[0][1]) if self._told else 1
