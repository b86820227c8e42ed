"""What other processes on the same PostgreSQL tell of jobs that they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import structlog
from sqlalchemy import Connection, func, select

from packtrain.service.store.engines import ORIGIN
from packtrain.service.store.postgresql import connection_parameters
from packtrain.workers import Reminder

log = structlog.get_logger()

_CHANNEL = "packtrain_jobs"
# Should a notice be lost for whatever reason, it is found so much later.
_POLL_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_RECONNECT_SECONDS = 1.0

# The uid of a job that was changed; None: any may have been.
OnChange = Callable[[str | None], None]


def announce(connection: Connection, uid: str) -> None:
    """Tell all processes of the job's change, as soon as the transaction has committed."""
    if connection.dialect.name == "postgresql":
        notice = f"{connection.get_execution_options().get(ORIGIN, '')} {uid}"
        connection.execute(select(func.pg_notify(_CHANNEL, notice)))


async def hear_notices(url: str, origin: str, on_change: OnChange) -> None:
    """Call ``on_change`` for what processes of another ``origin`` announce, until cancelled: with
    None wherever a notice may have been lost, and every _POLL_SECONDS."""
    reminder = Reminder()
    while True:
        try:
            parameters = connection_parameters(url, {})
            connecting = psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            async with await connecting as connection:
                await _ask(connection, f"LISTEN {_CHANNEL}")
                reminder.clear()
                while True:
                    on_change(None)
                    await _hear(connection, origin, on_change)
        except (psycopg.Error, OSError, TimeoutError) as error:
            words = str(error).splitlines() or [type(error).__name__]
            if reminder.is_due(words[0], asyncio.get_running_loop().time()):
                log.warning("notices_interrupted", error=words[0])
            await asyncio.sleep(_RECONNECT_SECONDS)


async def _hear(connection: psycopg.AsyncConnection[Any], origin: str, on_change: OnChange) -> None:
    async for notice in connection.notifies(timeout=_POLL_SECONDS):
        sender, _, uid = notice.payload.partition(" ")
        if sender != origin:
            on_change(uid)
    # Nothing heard may also mean that nobody is there.
    await _ask(connection, "SELECT 1")


async def _ask(connection: psycopg.AsyncConnection[Any], statement: LiteralString) -> None:
    asking = asyncio.ensure_future(connection.execute(statement))
    try:
        await asyncio.wait({asking}, timeout=_ANSWER_SECONDS)
        if not asking.done():
            raise TimeoutError(f"no answer for {_ANSWER_SECONDS:g} s")
        asking.result()
    finally:
        if not asking.done():
            # In this order: told to stop before, psycopg would wait for the server's consent.
            await connection.close()
            asking.cancel()
