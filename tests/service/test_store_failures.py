"""A database that is gone, does not answer, cuts a commit, or is full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from sqlalchemy import Connection, text
from tests.postgresql import Postgres
from tests.postgresql_proxy import Proxy, proxy_before
from tests.service.stored_jobs import (
    ALL,
    ME,
    create,
    ints,
    new_job,
    own,
    record,
)

from packtrain.service.errors import (
    STATUS_CODES,
    IllegalTransitionError,
    StoreFullError,
    StoreUnavailableError,
)
from packtrain.service.records import RequestKey
from packtrain.service.store import Database, Store, threads


@pytest.fixture
async def proxy(postgres: Postgres) -> AsyncIterator[Proxy]:
    async with proxy_before(postgres.empty_database()) as running:
        yield running


@pytest.fixture
async def far(proxy: Proxy) -> AsyncIterator[Store]:
    """A store behind the proxy."""
    database = Database(proxy.url)
    yield Store(database)
    await asyncio.to_thread(database.close)


async def test_a_database_that_is_gone_comes_back(far: Store, proxy: Proxy) -> None:
    await create(far, "a")
    await proxy.close()
    begun = time.monotonic()
    calls = [far.get_job("a") for _ in range(50)] + [create(far, f"b{i}") for i in range(50)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in found} == {StoreUnavailableError}
    assert {outcome.retry_seconds for outcome in found} == {1.0}
    assert all("\n" not in outcome.message for outcome in found)
    assert time.monotonic() - begun < 10
    await proxy.open()
    begun = time.monotonic()
    assert (await far.get_job("a")).job_id == "a"
    await create(far, "c")
    assert time.monotonic() - begun < 5


async def test_connections_that_broke_while_idle_fail_no_call(far: Store, proxy: Proxy) -> None:
    await asyncio.gather(*(create(far, name) for name in "abcd"))
    await asyncio.gather(*(far.get_job(name) for name in "abcd"))
    await proxy.close()
    await proxy.open()
    await asyncio.gather(*(far.get_job(name) for name in "abcd"))
    await create(far, "e")


async def test_a_database_that_says_nothing_is_given_up(
    far: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.store.postgresql._ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(threads, "WAIT_SECONDS", 0.5)
    await create(far, "a")
    proxy.freeze()
    begun = time.monotonic()
    found = await asyncio.gather(*(far.get_job("a") for _ in range(40)), return_exceptions=True)
    assert {type(outcome) for outcome in found} == {StoreUnavailableError}
    assert {outcome.reason for outcome in found} == {"STORE_UNAVAILABLE", "STORE_BUSY"}
    # Those that asked, and then connected anew in vain (connect_timeout, 3 s).
    assert time.monotonic() - begun < 10
    # From then on one at a time finds out whether it is back, and nobody waits for it.
    calls = [asyncio.ensure_future(far.get_job("a")) for _ in range(40)]
    refused, probing = await asyncio.wait(calls, timeout=1)
    assert len(probing) == 1
    assert {call.exception().reason for call in refused} == {"STORE_UNAVAILABLE"}
    with pytest.raises(StoreUnavailableError):
        await probing.pop()
    proxy.thaw()
    assert (await far.get_job("a")).job_id == "a"


async def test_connections_that_say_nothing_are_found_before_they_are_used(
    far: Store, proxy: Proxy
) -> None:
    await create(far, "a")
    proxy.freeze()
    begun = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await create(far, "b")
    # The ping (2 s) and the attempt to connect (3 s): far less than a statement may take (17 s).
    assert time.monotonic() - begun < 9
    proxy.thaw()
    await create(far, "b")


async def test_what_waits_for_the_store_is_bounded(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_MOST_WAITING", 5)
    monkeypatch.setattr(threads, "WAIT_SECONDS", 0.3)
    held = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def hold(_: Connection) -> None:
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(asyncio.shield(held), 10), loop).result()

    holding = [asyncio.ensure_future(database.read(hold)) for _ in range(10)]
    await asyncio.sleep(0)
    found = await asyncio.gather(*(store.all_uids() for _ in range(20)), return_exceptions=True)
    held.set_result(None)
    refused = [outcome for outcome in found if isinstance(outcome, StoreUnavailableError)]
    assert len(refused) >= 10
    await asyncio.gather(*holding, return_exceptions=True)
    assert await store.all_uids() == set()


async def test_repeating_after_a_cut_commit_is_safe(far: Store, proxy: Proxy) -> None:
    key = RequestKey("r", "CreateJob", "digest")
    proxy.commits_to_cut = 1
    with pytest.raises(StoreUnavailableError):
        await far.create_job(new_job("a"), key, ME)
    job = await far.create_job(new_job("another"), key, ME)
    assert (job.job_id, proxy.commits_to_cut) == ("a", 0)
    proxy.commits_to_cut = 1
    with pytest.raises(StoreUnavailableError):
        await own(far, job.uid).start_pack(0)
    await own(far, job.uid).start_pack(0)
    proxy.commits_to_cut = 1
    with pytest.raises(StoreUnavailableError):
        await record(far, job.uid, 0, ints(0, 1, 2), 0, 1)
    with pytest.raises(IllegalTransitionError, match="not at epoch 0"):
        await record(far, job.uid, 0, ints(0, 1, 2), 0, 1)
    await record(far, job.uid, 0, ints(0, 1, 2), 1, 2)
    blocks = await far.read_events(job.uid, 0, ALL, metrics_only=True)
    assert [e.body.first_epoch for e in blocks] == [1, 2]


async def test_listeners_wake_where_nobody_waits_for_the_commit(store: Store) -> None:
    job = await create(store, "a")
    with store.listen(job.uid) as changed:
        call = asyncio.ensure_future(store.cancel_job("a", None))
        await asyncio.sleep(0.001)
        call.cancel()
        async with asyncio.timeout(5):
            await changed.wait()


async def test_two_that_wait_for_each_other_both_end(
    open_database: Callable[[], Database],
) -> None:
    store = Store(open_database())
    await create(store, "a")
    await create(store, "b")
    databases = [open_database(), open_database()]
    met = [0]

    def touch(first: str, second: str) -> Callable[[Connection], None]:
        def transaction(connection: Connection) -> None:
            update = text("UPDATE jobs SET priority = priority + 1 WHERE job_id = :name")
            connection.execute(update, {"name": first})
            met[0] += 1
            until = time.monotonic() + 0.5
            while met[0] < 2 and time.monotonic() < until:
                time.sleep(0.01)
            connection.execute(update, {"name": second})

        return transaction

    await asyncio.gather(databases[0].write(touch("a", "b")), databases[1].write(touch("b", "a")))
    assert [(await store.get_job(name)).priority for name in "ab"] == [2, 2]


async def test_a_full_disk_is_told_and_reads_go_on(store: Store, database: Database) -> None:
    job = await create(store, "a")
    await own(store, job.uid).start_pack(0)

    def fill(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(
                text("DO $$ BEGIN RAISE 'no room' USING ERRCODE = 'disk_full'; END $$")
            )
        else:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.execute(text(f"PRAGMA max_page_count={pages}"))
            connection.execute(text("CREATE TABLE filler AS SELECT zeroblob(1000000)"))

    with pytest.raises(StoreFullError, match="disk is full") as caught:
        await database.write(fill)
    assert STATUS_CODES[type(caught.value)] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (caught.value.reason, caught.value.retry_seconds) == ("STORE_FULL", 10.0)
    assert (await store.get_job("a")).job_id == "a"

    def make_room(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA max_page_count=1000000"))

    await database.write(make_room)
    await record(store, job.uid, 0, ints(0, 1, 2), 0, 1)
