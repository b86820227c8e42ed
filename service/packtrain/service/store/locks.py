"""What a transaction holds from before its first read to its end, so that nobody else changes what
it goes by.

Every transaction that changes something begins with these, in this order: the request, the
creation of jobs, one job (here, or as jobs.get_job reads it for a change). SQLite has one writer at
a time, and needs none of them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from packtrain.service.states import JobState
from packtrain.service.store import schema

_J = schema.jobs.c

# The first of the two numbers of an advisory lock of PostgreSQL; the second tells what of its kind.
_SCHEMA, _CREATION, _REQUEST = 7_261_001, 7_261_002, 7_261_003


def hold_schema(connection: Connection) -> None:
    """The tables' definitions."""
    _hold(connection, _SCHEMA, func.hashtext(""))


def hold_creation(connection: Connection) -> None:
    """The names and the order of jobs: those who make jobs come one after the other."""
    _hold(connection, _CREATION, func.hashtext(""))


def hold_request(connection: Connection, request_id: str) -> None:
    """Whether there was a request of this id."""
    _hold(connection, _REQUEST, func.hashtext(request_id))


def hold_job(connection: Connection, uid: str) -> JobState | None:
    """The job's row, and with it all that is the job's; its state, or None: there is none."""
    query = select(_J.state).where(_J.uid == uid).with_for_update()
    state = connection.execute(query).scalar_one_or_none()
    return None if state is None else JobState(state)


def _hold(connection: Connection, kind: int, which: ColumnElement[Any]) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(kind, which)))
