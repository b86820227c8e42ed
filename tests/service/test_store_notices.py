"""What one process changes wakes who listens in another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest
from structlog.testing import capture_logs
from tests.postgresql import Postgres
from tests.postgresql_proxy import Proxy, proxy_before
from tests.service.stored_jobs import (
    create,
    ints,
    own,
    record,
)

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.records import JobUpdate
from packtrain.service.store import Database, Store, notices


class Hearer:
    """What a store hears of others."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = asyncio.Event()
        self.heard: list[str | None] = []

    def _hear(self, uid: str | None) -> None:
        self.heard.append(uid)
        self._changed.set()

    async def wait(self, uid: str | None) -> None:
        """Until it is heard, if it was not since it was waited for before."""
        async with asyncio.timeout(20):
            while uid not in self.heard:
                self._changed.clear()
                await self._changed.wait()
        self.heard.clear()

    @contextlib.asynccontextmanager
    async def hearing(self) -> AsyncIterator[Hearer]:
        task = asyncio.create_task(self._store.hear_others(self._hear))
        try:
            await self.wait(None)
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def two_stores(postgres: Postgres) -> AsyncIterator[tuple[Store, Store, Proxy]]:
    """The first one behind a proxy."""
    url = postgres.empty_database()
    async with proxy_before(url) as proxy:
        databases = Database(proxy.url), Database(url)
        try:
            yield Store(databases[0]), Store(databases[1]), proxy
        finally:
            for database in databases:
                await asyncio.to_thread(database.close)


async def test_listeners_hear_of_what_others_append(postgres: Postgres) -> None:
    async with two_stores(postgres) as (ours, theirs, _):
        hearer = Hearer(ours)
        async with hearer.hearing():
            job = await create(theirs, "a")
            await hearer.wait(job.uid)
            with ours.listen(job.uid) as changed:
                await own(theirs, job.uid).start_pack(0)
                async with asyncio.timeout(5):
                    await changed.wait()
            await record(theirs, job.uid, 0, ints(0, 1, 2), 0, 1)
            await hearer.wait(job.uid)
            # What is no event is heard too.
            await theirs.update_job("a", JobUpdate(priority=3), None)
            await hearer.wait(job.uid)
            await theirs.cancel_job("a", None)
            await own(theirs, job.uid).finish_cancelling()
            await hearer.wait(job.uid)
            await theirs.delete_job("a", "", None)
            await hearer.wait(job.uid)


async def test_what_failed_and_what_is_its_own_is_not_heard(postgres: Postgres) -> None:
    async with two_stores(postgres) as (ours, theirs, _):
        hearer = Hearer(ours)
        async with hearer.hearing():
            mine = await create(ours, "a")
            await ours.cancel_job("a", None)
            with pytest.raises(IllegalTransitionError):
                await own(theirs, mine.uid).start_pack(0)
            other = await create(theirs, "b")
            await hearer.wait(other.uid)
            assert mine.uid not in hearer.heard


async def test_after_a_cut_all_listeners_wake(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.store.notices._RECONNECT_SECONDS", 0.05)
    async with two_stores(postgres) as (ours, theirs, proxy):
        job = await create(theirs, "a")
        hearer = Hearer(ours)
        async with hearer.hearing():
            await proxy.close()
            with ours.listen(job.uid) as changed:
                await own(theirs, job.uid).start_pack(0)
                hearer.heard.clear()
                await proxy.open()
                await hearer.wait(None)
                assert changed.is_set()
            await record(theirs, job.uid, 0, ints(0, 1, 2), 0, 1)
            await hearer.wait(job.uid)


async def test_a_connection_that_is_dead_is_found_out(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.store.notices._RECONNECT_SECONDS", 0.05)
    monkeypatch.setattr("packtrain.service.store.notices._POLL_SECONDS", 0.2)
    monkeypatch.setattr("packtrain.service.store.notices._ANSWER_SECONDS", 0.3)
    async with two_stores(postgres) as (ours, theirs, proxy):
        job = await create(theirs, "a")
        hearer = Hearer(ours)
        async with hearer.hearing():
            proxy.freeze()
            await asyncio.sleep(1)
            hearer.heard.clear()
            proxy.thaw()
            await hearer.wait(None)
            await own(theirs, job.uid).start_pack(0)
            await hearer.wait(job.uid)


async def test_it_stops_while_the_server_says_nothing(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.store.notices._POLL_SECONDS", 0.05)
    async with two_stores(postgres) as (ours, _, proxy):
        async with asyncio.timeout(4), Hearer(ours).hearing():
            proxy.freeze()
            await asyncio.sleep(0.2)  # it asks whether the server is there
        proxy.thaw()


async def test_a_database_that_stays_away_is_told_of_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts, is_enough = 0, asyncio.Event()

    async def refuse(**_: object) -> None:
        nonlocal attempts
        attempts += 1
        if attempts > 50:
            is_enough.set()
        raise psycopg.OperationalError("it is away")

    monkeypatch.setattr(notices, "_RECONNECT_SECONDS", 0.001)
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", refuse)
    with capture_logs() as logs:
        hearing = asyncio.create_task(
            notices.hear_notices("postgresql://someone@127.0.0.1/jobs", "me", lambda _: None)
        )
        async with asyncio.timeout(10):
            await is_enough.wait()
        hearing.cancel()
    assert [log["event"] for log in logs] == ["notices_interrupted"]
