"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.postgresql import OwnPostgres, Postgres, start_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL, for databases of one's own; skips where there is none."""
    server = start_postgres()
    if server is None:
        pytest.skip("neither PACKTRAIN_TEST_DATABASE_URL nor PostgreSQL's programs are here")
    yield server
    if isinstance(server, OwnPostgres):
        server.remove()
    else:
        server.drop_databases()
