"""The database under the store: what it reads, what outlives it, and its schema."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, select
from tests.service.stored_jobs import (
    ALL,
    create,
    ints,
    own,
    record,
)

from packtrain.service.store import Database, Store, schema


async def test_a_read_sees_one_state(store: Store) -> None:
    await create(store, "a")
    seen = threading.Event()
    written = threading.Event()

    def count_twice(connection: Connection) -> tuple[int, int]:
        query = select(func.count()).select_from(schema.jobs)
        first = connection.execute(query).scalar_one()
        seen.set()
        assert written.wait(10)
        return first, connection.execute(query).scalar_one()

    reading = asyncio.ensure_future(store._database.read(count_twice))
    await asyncio.to_thread(seen.wait, 10)
    await create(store, "b")
    written.set()
    assert await reading == (1, 1)


async def test_goes_on_where_it_was_closed(open_database: Callable[[], Database]) -> None:
    before = Store(open_database())
    job = await create(before, "a")
    await own(before, job.uid).start_pack(0)
    await record(before, job.uid, 0, ints(0, 1, 2), 0, 2)
    kept = await before.get_job("a")
    log = await before.read_events(job.uid, 0, ALL)
    before.close()
    after = Store(open_database())
    assert await after.get_job("a") == kept
    again = await after.read_events(job.uid, 0, ALL)
    assert [(e.sequence, e.time) for e in again] == [(e.sequence, e.time) for e in log]
    await record(after, job.uid, 0, ints(0, 1, 2), 2, 3)


async def test_the_migrations_make_the_schema(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, schema.metadata))

    assert await database.read(differences) == []
