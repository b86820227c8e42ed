"""One writer and a few readers on a database, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import OperationalError

from packtrain.service.errors import StoreUnavailableError
from packtrain.workers import failpoints

T = TypeVar("T")

_READERS = 4


class Database:
    """Transactions as functions of a connection: writes in one thread, one after the other."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, pool_size=_READERS + 1, max_overflow=0)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        # One writer alone: SQLite's WAL-reset bug (up to 3.51.2) needs two that checkpoint.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")

    def migrate(self) -> None:
        """Bring the schema to today's. Blocks."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        """Run a transaction that may change something; it is durable when this returns."""
        return await self._run(self._writer, transaction)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on a snapshot."""
        return await self._run(self._readers, query)

    def read_blocking(self, query: Callable[[Connection], T]) -> T:
        """As :meth:`read`, for a thread that may wait."""
        return self._readers.submit(self._transact, query).result()

    async def _run(self, executor: ThreadPoolExecutor, function: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, self._transact, function)

    def _transact(self, function: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                result = function(connection)
                _pass_failpoint(function, "before_commit")
            _pass_failpoint(function, "after_commit")
        except OperationalError as error:
            raise StoreUnavailableError(
                "STORE_UNAVAILABLE", f"the store can't be used: {error.orig}", retry_seconds=1.0
            ) from error
        else:
            return result

    def close(self) -> None:
        """Wait for what is under way, and close all connections."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()


def _pass_failpoint(function: Callable[[Connection], object], moment: str) -> None:
    """A point of a transaction, which a partial of its function is."""
    if failpoints.is_armed() and isinstance(function, partial):
        failpoints.hit(f"store.{function.func.__name__}.{moment}", _broken)


def _broken() -> Exception:
    return OperationalError("", None, Exception("disk I/O error"))


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # Left to itself the driver begins no transaction for reads, nor for what changes tables:
    # two reads would see two states, and a migration that is cut off would stay so in part.
    connection.isolation_level = None
    cursor = connection.cursor()
    # FULL: what was acknowledged outlives a loss of power, at 0.3 ms a commit.
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=10000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
