"""A PostgreSQL of a scenario's own, to be killed, hung and started again."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
from tests.chaos.harness import NotRun
from tests.chaos.processes import descendant_ids, send, wait_until
from tests.postgresql import OwnPostgres, find_programs


class ChaosDatabase:
    """A database for ``--store``, and the processes that it is."""

    def __init__(self, postgres: OwnPostgres) -> None:
        self.postgres = postgres
        self.url = postgres.make_database()
        self._is_alive = True

    def kill(self) -> None:
        """kill -9 of all its processes, the one that starts them first of all."""
        if self._is_alive:
            self._is_alive = False
            killed = self._send_all(signal.SIGKILL)
            # Its memory is its own until the last one is gone.
            wait_until(lambda: not any(send(process, 0) for process in killed), 30)

    def hang(self) -> None:
        """Its processes do nothing; the system takes connections for them all the same."""
        self._send_all(signal.SIGSTOP)

    def wake(self) -> None:
        """After :meth:`hang`."""
        self._send_all(signal.SIGCONT)

    def start(self, **environment: str) -> None:
        """After :meth:`kill`; it takes connections when this returns."""
        self.postgres.start(**environment)
        self._is_alive = True

    def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query, values).fetchall()

    def replicas(self) -> dict[str, str]:
        """The address of each replica that is a member, by its id."""
        found = self.read("SELECT id, name FROM replicas")
        return {replica: name.rpartition(" ")[2] for replica, name in found}

    def owners(self) -> dict[str, str | None]:
        """The id of the replica that owns each job, by the job's id."""
        return dict(self.read("SELECT job_id, owner FROM jobs"))

    def _send_all(self, number: int) -> list[int]:
        first = self.postgres.process_id
        processes = [first, *descendant_ids(first)]
        for process in processes:
            send(process, number)
        return processes


@contextlib.contextmanager
def chaos_database() -> Iterator[ChaosDatabase]:
    """Raises NotRun where this machine has no PostgreSQL."""
    programs = find_programs()
    if programs is None:
        raise NotRun("it needs the programs of PostgreSQL (Debian: postgresql)")
    database = ChaosDatabase(OwnPostgres(programs))
    try:
        yield database
    finally:
        database.kill()
        database.postgres.remove()
