"""Transactions on a database, off the event loop: on SQLite, or on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from packtrain.service.store.engines import ORIGIN
from packtrain.service.store.failures import explain, is_repeatable
from packtrain.service.store.migrate import migrate
from packtrain.service.store.notices import OnChange, hear_notices
from packtrain.service.store.postgresql import is_postgresql, open_postgresql
from packtrain.service.store.sqlite import open_sqlite
from packtrain.service.store.threads import BoundedThreads
from packtrain.workers import failpoints

T = TypeVar("T")

_ATTEMPTS = 5


class Database:
    """Transactions as functions of a connection. One may run more than once: it leaves nothing
    behind but what it writes."""

    def __init__(self, url: str) -> None:
        """On ``sqlite:///PATH``, or on a URL of PostgreSQL as libpq takes it."""
        self._url = url
        self._engines = open_postgresql(url) if is_postgresql(url) else open_sqlite(url)
        self._writers = BoundedThreads(self._engines.writers, "store-writer")
        self._readers = BoundedThreads(self._engines.readers, "store-reader")

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use it at the same time."""
        return is_postgresql(self._url)

    def migrate(self) -> None:
        """Bring the schema to today's. Blocks; raises StoreOpenError."""
        migrate(self._engines.migrator)

    async def write(
        self,
        transaction: Callable[[Connection], T],
        then: Callable[[T | None], None] | None = None,
    ) -> T:
        """Run a transaction that may change something; it is durable when this returns. ``then``
        is called with what it returned, or with None where it failed, even if the caller is gone.

        Raises StoreUnavailableError: whether it has committed is not known, and repeating it is
        safe, as every transition is guarded by the state that it leaves.
        """
        return await self._writers.run(partial(_transact, self._engines.writer, transaction), then)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on a snapshot. Raises StoreUnavailableError."""
        return await self._readers.run(partial(_transact, self._engines.reader, query))

    def read_blocking(self, query: Callable[[Connection], T]) -> T:
        """As :meth:`read`, for a thread that may wait."""
        return self._readers.run_blocking(partial(_transact, self._engines.reader, query))

    async def hear(self, on_change: OnChange) -> None:
        """Call ``on_change`` with the uid of each job that another process has changed, and with
        None where any may have been; until cancelled. A file of SQLite has one process alone."""
        if self.is_shared:
            origin = self._engines.writer.get_execution_options()[ORIGIN]
            await hear_notices(self._url, origin, on_change)
        else:
            await asyncio.Event().wait()

    def close(self) -> None:
        """Wait for what is under way, and close all connections."""
        self._writers.close()
        self._readers.close()
        self._engines.dispose()


def _transact(engine: Engine, function: Callable[[Connection], T]) -> T:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with engine.begin() as connection:
                result = function(connection)
                _pass_failpoint(function, "before_commit")
            _pass_failpoint(function, "after_commit")
        except DBAPIError as error:
            if is_repeatable(error) and attempt < _ATTEMPTS:
                # Two that met should not meet again.
                time.sleep(random.uniform(0, 0.02 * attempt))  # noqa: S311
                continue
            if (told := explain(error)) is not None:
                raise told from error
            raise
        else:
            return result
    raise AssertionError("the last attempt returns or raises")


def _pass_failpoint(function: Callable[[Connection], object], moment: str) -> None:
    """A point of a transaction, which a partial of its function is, or of one within it."""
    if failpoints.is_armed() and isinstance(function, partial):
        named = function.keywords.get("transaction", function)
        if isinstance(named, partial):
            failpoints.hit(f"store.{named.func.__name__}.{moment}", _broken)


def _broken() -> Exception:
    return OperationalError("", None, Exception("disk I/O error"))
