"""What drivers raise, as what a call is refused with."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from packtrain.service.errors import StoreFullError, StoreUnavailableError

# PostgreSQL: two transactions that would wait for each other, or could not have been serial.
_REPEATABLE = frozenset({"40001", "40P01"})
_DISK_FULL = "53100"
# SQLite: what its connections share, a file beside the database, has no room either.
_SQLITE_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})


def is_repeatable(error: DBAPIError) -> bool:
    """Whether the transaction was undone for another's sake alone: it can be run again."""
    return _sqlstate(error) in _REPEATABLE


def explain(error: DBAPIError) -> StoreUnavailableError | None:
    """What to tell of a store that can't be used now; None where the program is wrong."""
    if _is_full(error):
        return StoreFullError(
            "STORE_FULL",
            "the store's disk is full: nothing can be changed until there is room again, and all "
            "that is stored can be read",
            retry_seconds=10.0,
        )
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return StoreUnavailableError(
            "STORE_UNAVAILABLE",
            f"the store can't be used: {first_line(error)}",
            retry_seconds=1.0,
        )
    return None


def first_line(error: DBAPIError) -> str:
    """What the driver says, without its hints and the statement."""
    return (str(error.orig).splitlines() or [type(error.orig).__name__])[0].rstrip(" .:")


def _is_full(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) in _SQLITE_FULL
    return _sqlstate(error) == _DISK_FULL


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
