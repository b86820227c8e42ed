"""The database's clock: one for all who write to it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class DatabaseTime(FunctionElement[int]):
    """UTC microseconds since 1970, as an expression of a statement."""

    type = BigInteger()
    inherit_cache = True


@compiles(DatabaseTime, "sqlite")
def _on_sqlite(_element: DatabaseTime, _compiler: Any, **_: Any) -> str:
    # In milliseconds, which is what SQLite's "now" has.
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000"


@compiles(DatabaseTime, "postgresql")
def _on_postgresql(_element: DatabaseTime, _compiler: Any, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
