"""Connections to PostgreSQL: bounded in number, in time, and in how long they wait for others."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError

from packtrain.service.store.engines import ORIGIN, Engines
from packtrain.service.store.outage import Outage

RV = TypeVar("RV")

_WRITERS = 4
_READERS = 6
_CONNECT_SECONDS = 3
# What the largest statement may take, such as the deletion of a job of a million trials.
_STATEMENT_SECONDS = 15.0
# A server that has not said anything by then has been stopped, or is beyond a broken network.
_ANSWER_SECONDS = _STATEMENT_SECONDS + 2.0
# Whether it is there at all it can say sooner.
_PING_SECONDS = 2.0

_LIMITS = {
    "statement_timeout": "15s",
    # Others hold a job for milliseconds: longer, and its holder is in trouble.
    "lock_timeout": "5s",
    # A process that was stopped within a transaction would hold its job for ever.
    "idle_in_transaction_session_timeout": "15s",
}
# On, as it is by default: what has committed outlives a loss of power.
_WRITING = _LIMITS | {
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
}
_READING = _LIMITS | {
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "on",
}
_MIGRATING = {"default_transaction_isolation": "read committed", "statement_timeout": "0"}


def is_postgresql(url: str) -> bool:
    """Whether the URL is one of libpq's."""
    return url.startswith(("postgresql://", "postgres://"))


def is_understood(url: str) -> bool:
    """Whether it can be read, by libpq too: what these say of one that can't may tell of its
    password."""
    try:
        urlsplit(url)
        conninfo_to_dict(url)
    except (ValueError, psycopg.ProgrammingError):
        return False
    return True


def open_postgresql(url: str) -> Engines:
    """Engines on the database of a URL as libpq takes it."""
    # Who else listens to the same database tells by it what this process has told itself already.
    origin = {ORIGIN: uuid.uuid4().hex}
    outage = Outage()
    writer = _make_bounded(url, _WRITERS, _WRITING, outage)
    reader = _make_bounded(url, _READERS, _READING, outage)
    migrator = _make_engine(url, 1, _MIGRATING, psycopg.Connection, outage)
    return Engines(
        writer=writer.execution_options(**origin),
        writers=_WRITERS,
        reader=reader,
        readers=_READERS,
        migrator=migrator,
    )


def connection_parameters(url: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """What psycopg connects with: the URL's own words count more than ours, but for ``settings``
    of the session."""
    ours: dict[str, Any] = {
        "application_name": "packtrain",
        "connect_timeout": _CONNECT_SECONDS,
        # A server whose machine is gone is given up after some seconds.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 8_000,
    }
    theirs = conninfo_to_dict(url)
    words = [f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items()]
    options = " ".join([str(theirs.get("options") or ""), *words]).strip()
    return ours | theirs | {"options": options}


class BoundedConnection(psycopg.Connection[Any]):
    """Closes itself where the server does not answer: libpq would wait for ever."""

    _is_pinging = False

    def wait(self, gen: PQGen[RV], *args: Any, **options: Any) -> RV:
        """See psycopg. Raises OperationalError after _ANSWER_SECONDS."""
        return super().wait(self._wait_patiently(gen), *args, **options)

    def ping(self) -> None:
        """Raises psycopg.Error where the server does not answer within _PING_SECONDS."""
        self._is_pinging = True
        try:
            # Outside of any transaction.
            self.autocommit = True
            self.execute("")
            self.autocommit = False
        finally:
            self._is_pinging = False

    def _wait_patiently(self, gen: PQGen[RV]) -> PQGen[RV]:
        patience = _PING_SECONDS if self._is_pinging else _ANSWER_SECONDS
        until = monotonic() + patience
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and monotonic() > until:
                    self.close()
                    raise psycopg.OperationalError(f"no answer for {patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _make_bounded(
    url: str, connections: int, settings: Mapping[str, str], outage: Outage
) -> Engine:
    engine = _make_engine(url, connections, settings, BoundedConnection, outage)
    event.listen(engine, "checkout", _replace_broken)
    return engine


def _replace_broken(connection: BoundedConnection, _record: Any, _proxy: Any) -> None:
    """One that broke while nobody used it is replaced before it fails a call; so are the others
    that were there then."""
    try:
        connection.ping()
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def _make_engine(
    url: str,
    connections: int,
    settings: Mapping[str, str],
    kind: type[psycopg.Connection[Any]],
    outage: Outage,
) -> Engine:
    connect = partial(kind.connect, **connection_parameters(url, settings))
    return create_engine(
        "postgresql+psycopg://",
        creator=partial(outage.connect, connect),
        pool_size=connections,
        max_overflow=0,
        use_native_hstore=False,
    )
