"""A database that can't be connected to: one caller at a time finds out whether it is back, and the
others are told at once."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

import psycopg

T = TypeVar("T")


class Outage:
    """What connecting to one server came to last, whoever tried. A server that hangs, or whose name
    nobody resolves, is told of after seconds: all that come meanwhile would wait for a thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        # Why the last attempt failed; None: it did not.
        self._why: str | None = None
        self._is_probed = False

    def connect(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` returns. Raises psycopg.OperationalError: its own, or, where another
        attempt is to find out whether the database is back, that of the one before."""
        is_probe = self._begin()
        try:
            connection = attempt()
        except psycopg.OperationalError as error:
            with self._lock:
                self._why = str(error)
            raise
        else:
            with self._lock:
                self._why = None
            return connection
        finally:
            if is_probe:
                with self._lock:
                    self._is_probed = False

    def _begin(self) -> bool:
        """Whether this attempt is the one that finds out for all."""
        with self._lock:
            if self._why is None:
                return False
            if self._is_probed:
                raise psycopg.OperationalError(self._why)
            self._is_probed = True
            return True
