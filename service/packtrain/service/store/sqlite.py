"""Connections to SQLite: a file in the data directory."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from packtrain.service.store.engines import Engines

_READERS = 4


def open_sqlite(url: str) -> Engines:
    """Engines on the file of a URL such as ``sqlite:////data/packtrain.db``."""
    # One writer alone: SQLite's WAL-reset bug (up to 3.51.2) needs two that checkpoint.
    # Its transactions take the lock first of all: what they read is what they write to.
    writer = _make_engine(url, 1, "BEGIN IMMEDIATE")
    reader = _make_engine(url, _READERS, "BEGIN")
    return Engines(writer=writer, writers=1, reader=reader, readers=_READERS, migrator=writer)


def _make_engine(url: str, connections: int, begin: str) -> Engine:
    engine = create_engine(url, pool_size=connections, max_overflow=0)

    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", begin_transaction)
    return engine


def _configure(connection: Any, _record: Any) -> None:
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
