"""Replicas of one store: who is a member, who owns what, and what a late writer is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs
from tests.service.stored_jobs import CORES, block, create, ints, new_job

from packtrain.service import replica as replica_module
from packtrain.service.errors import NotOwnerError, StoreUnavailableError
from packtrain.service.records import CheckpointRecord, Failure, Proposal
from packtrain.service.replica import EXPIRY_SECONDS, RENEW_SECONDS, SUSPEND_SECONDS, Replica
from packtrain.service.states import JobState
from packtrain.service.store import Database, OwnedJob, Replicas, Store, schema
from packtrain.workers import ClusterShare

BROKEN = Failure("BROKEN", "broken")


class Member(Replica):
    """A replica with a clock of its own, and what it was told."""

    def __init__(self, store: Store, name: str, demand: int | None = None) -> None:
        self.seconds = 0.0
        self.told: list[object] = []
        super().__init__(
            store.replicas,
            name,
            shared=True,
            demand=lambda: demand,
            on_change=lambda: self.told.append("change"),
            on_loss=lambda: self.told.append("loss"),
            on_share=self.told.append,
            clock=lambda: self.seconds,
        )

    async def live(self, seconds: float) -> None:
        for _ in range(round(seconds / RENEW_SECONDS)):
            self.seconds += RENEW_SECONDS
            await self.renew()


@pytest.fixture
async def two(store: Store) -> tuple[Member, Member]:
    a, b = Member(store, "a"), Member(store, "b")
    await a.join()
    await b.join()
    return a, b


async def claim(store: Store, replica: Replica, *job_ids: str) -> set[str]:
    assert replica.id is not None
    found = await store.replicas.claim(replica.id, [f"uid-{job_id}" for job_id in job_ids])
    return {uid.removeprefix("uid-") for uid in found}


async def owner_of(store: Store, uid: str) -> str | None:
    return (await store.find_active_jobs([uid]))[uid].owner


WRITES: dict[str, Callable[[OwnedJob], Awaitable[Any]]] = {
    "start_pack": lambda job: job.start_pack(1),
    "record_segment": lambda job: job.record_segment(
        0, 0, 0, 2, block(ints(0, 1, 2), 1, 2), [], 6, CORES
    ),
    "pass_rung": lambda job: job.pass_rung(2, [0], ints(), []),
    "add_proposal": lambda job: job.add_proposal(
        0, Proposal(0, block(ints(0), 1, 1).values[0].astype("f8")), [], 0, {}
    ),
    "add_checkpoint": lambda job: job.add_checkpoint(0, CheckpointRecord(0, 0, "a", 1, "b")),
    "remove_checkpoints": lambda job: job.remove_checkpoints([]),
    "split_pack": lambda job: job.split_pack(0, 0, [ints(0), ints(1, 2)]),
    "fail_pack": lambda job: job.fail_pack(0, 0, BROKEN),
    "finish_job": lambda job: job.finish_job(JobState.FAILED, BROKEN, 0),
    "finish_cancelling": lambda job: job.finish_cancelling(),
}


def test_every_write_is_tried() -> None:
    written = {name for name in vars(OwnedJob) if not name.startswith("_")}
    assert written == set(WRITES)


@pytest.mark.parametrize("name", WRITES)
async def test_whoever_owned_a_job_before_writes_no_more(
    store: Store, two: tuple[Member, Member], name: str
) -> None:
    a, b = two
    job = await store.create_job(new_job("a"), None, a.id)
    late = store.owned_job(job.uid, str(a.id))
    await late.start_pack(0)
    await a.leave()
    assert await claim(store, b, "a") == {"a"}
    before = await store.get_job("a"), await store.list_packs(job.uid)
    with pytest.raises(NotOwnerError) as caught:
        await WRITES[name](late)
    assert caught.value.reason == "NOT_OWNER"
    after = await store.get_job("a"), await store.list_packs(job.uid)
    assert str(after) == str(before)
    await WRITES[name](store.owned_job(job.uid, str(b.id)))


async def test_a_job_has_one_owner_however_many_claim_it(
    store: Store, two: tuple[Member, Member]
) -> None:
    names = [f"j{i}" for i in range(10)]
    for name in names:
        await store.create_job(new_job(name), None)
    taken = await asyncio.gather(*(claim(store, replica, *names) for replica in two))
    assert not taken[0] & taken[1]
    # Each up to its share; whom others were in the way of comes again.
    for replica in two:
        await claim(store, replica, *names)
    owners = [await owner_of(store, f"uid-{name}") for name in names]
    assert sorted(owners.count(replica.id) for replica in two) == [5, 5]


async def test_one_that_leaves_gives_its_jobs_back_at_once(
    store: Store, two: tuple[Member, Member]
) -> None:
    a, b = two
    await store.create_job(new_job("a"), None, a.id)
    assert await claim(store, b, "a") == set()
    await a.leave()
    assert await owner_of(store, "uid-a") is None
    assert await claim(store, b, "a") == {"a"}


async def test_one_that_stands_still_loses_its_jobs_and_hears_of_it(
    store: Store, two: tuple[Member, Member]
) -> None:
    a, b = two
    dead = a.id
    await store.create_job(new_job("a"), None, a.id)
    await b.live(EXPIRY_SECONDS)
    assert await owner_of(store, "uid-a") == dead
    await b.live(RENEW_SECONDS)
    assert "change" in b.told
    assert await claim(store, b, "a") == {"a"}
    # It was only slow: under another id it may begin anew.
    await a.renew()
    assert a.told[0] == "loss"
    assert a.id not in (None, dead)
    assert a.may_train


async def test_steps_of_the_databases_clock_expire_nobody(
    store: Store, database: Database, two: tuple[Member, Member]
) -> None:
    a, b = two
    for hours in (1, -1, 100):
        step = {schema.replicas.c.renewed: schema.replicas.c.renewed + hours * 3_600_000_000}
        await database.write(lambda c, step=step: c.execute(update(schema.replicas).values(step)))
        for _ in range(5):
            await a.live(RENEW_SECONDS)
            await b.live(RENEW_SECONDS)
    assert "loss" not in a.told + b.told
    assert a.may_train
    assert b.may_train


async def test_one_that_cannot_renew_trains_no_more_until_it_can(
    store: Store, two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = two
    kept = a.id
    renew = Replicas.renew

    async def fail(*_: object) -> None:
        raise StoreUnavailableError("STORE_UNAVAILABLE", "gone")

    monkeypatch.setattr(Replicas, "renew", fail)
    a.seconds += SUSPEND_SECONDS - 1
    with pytest.raises(StoreUnavailableError):
        await a.renew()
    assert a.may_train
    a.seconds += 1
    assert not a.may_train
    # Nobody could remove it meanwhile: it goes on with what it has.
    monkeypatch.setattr(Replicas, "renew", renew)
    await a.renew()
    assert a.may_train
    assert a.id == kept
    assert "loss" not in a.told


async def test_one_that_serves_alone_takes_all_over_as_it_joins(store: Store) -> None:
    await Member(store, "before").join()
    await create(store, "a")
    alone = Replica(store.replicas, "alone", shared=False)
    await alone.join()
    assert await claim(store, alone, "a") == {"a"}
    assert alone.may_train


async def test_a_replica_that_was_removed_claims_nothing(
    store: Store, two: tuple[Member, Member]
) -> None:
    a, _ = two
    await store.create_job(new_job("a"), None)
    assert a.id is not None
    assert await store.replicas.remove(a.id)
    assert await claim(store, a, "a") == set()


async def test_it_is_removed_only_with_the_beats_it_was_seen_with(
    store: Store, two: tuple[Member, Member]
) -> None:
    a, _ = two
    assert a.id is not None
    await a.renew()
    assert not await store.replicas.remove(a.id, 0)
    assert await store.replicas.remove(a.id, 1)


async def test_those_that_share_a_cluster_tell_each_other_their_demand(store: Store) -> None:
    a, b, own = Member(store, "a", 7), Member(store, "b", 1), Member(store, "own")
    for member in (a, b, own):
        await member.join()
    for member in (a, b, own):
        await member.renew()
    shares = [m.told[-1] for m in (a, b)]
    assert all(isinstance(share, ClusterShare) for share in shares)
    assert [share.workers(8) for share in shares] == [7, 1]
    assert own.told == []


async def test_times_are_the_databases(store: Store, database: Database) -> None:
    a = Member(store, "a")
    await a.join()
    (record,) = await store.replicas.renew(str(a.id), None) or ()
    assert record.started <= record.renewed
    if database.is_shared:
        now = await database.read(lambda c: c.execute(select(func.now())).scalar_one())
        assert abs((now - record.renewed).total_seconds()) < 5


async def test_an_outage_is_told_seldom_and_its_end_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Member(store, "a")
    await replica.join()
    left, is_over = 50, asyncio.Event()

    async def renew() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise StoreUnavailableError("STORE_UNAVAILABLE", "it is away", retry_seconds=1.0)
        if left < -2:
            is_over.set()

    monkeypatch.setattr(replica_module, "RENEW_SECONDS", 0.001)
    monkeypatch.setattr(replica, "renew", renew)
    with capture_logs() as logs:
        running = asyncio.create_task(replica.run())
        async with asyncio.timeout(10):
            await is_over.wait()
        running.cancel()
    assert [log["event"] for log in logs] == ["replica_not_renewed", "replica_renewed"]
