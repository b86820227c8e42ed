"""A PostgreSQL for tests: the one of PACKTRAIN_TEST_DATABASE_URL, or one of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from packtrain.service.store import Database
from packtrain.service.store.schema import metadata


class Postgres:
    """A server on which this user may make databases."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: list[str] = []
        self._shared: str | None = None

    def empty_database(self) -> str:
        """The URL of the one database whose tables all tests use, one after the other."""
        if self._shared is None:
            self._shared = self.make_database()
            database = Database(self._shared)
            database.migrate()
            database.close()
        # It stays the store that it is.
        tables = ", ".join(name for name in metadata.tables if name != "identity")
        self.execute(f"TRUNCATE {tables}", self._shared)
        return self._shared

    def make_database(self) -> str:
        """The URL of a new database, without any table."""
        name = f"packtrain_test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        self._made.append(name)
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop_databases(self) -> None:
        for name in reversed(self._made):
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.clear()

    def execute(self, statement: str, url: str | None = None) -> None:
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            connection.execute(statement)


# Who started it may be killed: then its end of the pipe is closed too, and nothing stays behind.
_GUARD = """
read -r _ || true
pg_ctl stop --mode=immediate --silent || true
cd /
rm -rf "$folder"
"""


class OwnPostgres(Postgres):
    """In a temporary folder, on a port of this machine alone, for as long as this process lives."""

    def __init__(self, programs: Path) -> None:
        # PostgreSQL does not run as root; Debian's package brings a user of its own.
        self._user = "postgres" if os.getuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="packtrain-postgresql-"))
        if self._user:
            shutil.chown(self._folder, self._user)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        super().__init__(f"postgresql://packtrain@127.0.0.1:{port}/postgres")
        self._options = f"-p {port} -h 127.0.0.1 -k {self._folder} -c max_connections=200"
        self._environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PGDATA": str(self._folder / "data"),
            "folder": str(self._folder),
        }
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD],
            user=self._user,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # A Ctrl-C at the terminal is not for it: it has to outlive the tests.
            start_new_session=True,
        )
        self._run("initdb", "--username=packtrain", "--auth=trust", "--encoding=UTF8", "--no-sync")
        self.start()

    def start(self, **environment: str) -> None:
        """At first, or after a crash; it takes connections when this returns."""
        self._run(
            "pg_ctl", "start", "--wait", "--log=log", f"--options={self._options}", **environment
        )

    @property
    def process_id(self) -> int:
        """That of the one that starts the others."""
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    def remove(self) -> None:
        """As a crash would end it, but for shared memory, if it runs; then its files."""
        self._guard.communicate()

    def _run(self, program: str, *options: str, **environment: str) -> None:
        done = subprocess.run(
            [program, *options],
            user=self._user,
            cwd=self._folder,
            env=self._environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


def find_programs() -> Path | None:
    """Where Debian's package or this user's PATH has them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None


def start_postgres() -> Postgres | None:
    """None where this machine has none."""
    if url := os.environ.get("PACKTRAIN_TEST_DATABASE_URL"):
        return Postgres(url)
    programs = find_programs()
    return OwnPostgres(programs) if programs else None
