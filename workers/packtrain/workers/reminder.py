"""When to tell people of a trouble that lasts."""

from __future__ import annotations

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 600.0


class Reminder:
    """At once where it is new, and then at intervals that double, until it has passed."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._interval = FIRST_SECONDS
        self._again_at = 0.0

    def is_due(self, trouble: str, now: float) -> bool:
        """Whether to tell of it now; it is taken as told then."""
        if trouble in self._told and now < self._again_at:
            return False
        self._told.add(trouble)
        self._again_at = now + self._interval
        self._interval = min(2 * self._interval, LONGEST_SECONDS)
        return True

    def clear(self) -> None:
        """It has passed."""
        self._told.clear()
        self._interval = FIRST_SECONDS
