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


class Postgres:
    """A server on which this user may make databases."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: list[str] = []
        self._template = ""

    def make_database(self, *, is_empty: bool = False) -> str:
        """The URL of a new database, with today's tables unless it should be empty."""
        if not is_empty and not self._template:
            template = self._create("")
            database = Database(self._url_of(template))
            database.migrate()
            database.close()
            self._template = template
        return self._url_of(self._create("" if is_empty else f"TEMPLATE {self._template}"))

    def drop_databases(self) -> None:
        for name in reversed(self._made):
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.clear()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def _create(self, options: str) -> str:
        name = f"packtrain_test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} {options}")
        self._made.append(name)
        return name

    def _url_of(self, name: str) -> str:
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()


class OwnPostgres(Postgres):
    """In a temporary folder, on a port of this machine alone."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # PostgreSQL does not run as root; Debian's package brings a user of its own.
        self._user = "postgres" if os.getuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="packtrain-postgresql-"))
        if self._user:
            shutil.chown(self._folder, self._user)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._options = f"-p {port} -h 127.0.0.1 -k {self._folder} -c max_connections=200"
        super().__init__(f"postgresql://packtrain@127.0.0.1:{port}/postgres")
        self._run("initdb", "--username=packtrain", "--auth=trust", "--encoding=UTF8", "--no-sync")
        log = self._folder / "log"
        self._run("pg_ctl", "start", "--wait", f"--log={log}", f"--options={self._options}")

    def remove(self) -> None:
        self._run("pg_ctl", "stop", "--mode=immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *options: str) -> None:
        command = [self._programs / program, f"--pgdata={self._folder / 'data'}", *options]
        done = subprocess.run(
            command,
            user=self._user,
            cwd=self._folder,
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
