"""From every schema that there was to today's, with what was stored then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from tests.postgresql import Postgres
from tests.service.stored_jobs import ALL, CORES, ME, NAMES, create, ints, record

from packtrain.service.records import MetricsRecorded
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import Database, Store, StoreOpenError
from packtrain.service.store import migrate as migration

REVISIONS = [s.revision for s in ScriptDirectory(str(migration._MIGRATIONS)).walk_revisions()]

# Of the first schema; what later ones add has values for rows that were there.
JOB = {
    "uid": "uid-old",
    "order": 1,
    "job_id": "old",
    "spec": b"spec",
    "plan": b"plan",
    "state": "running",
    "revision": 7,
    "created": 1_700_000_000_000_000,
    "trials": 3,
    "trial_epochs": 6,
    "trial_epochs_total": 30,
    "succeeded": 0,
    "diverged": 1,
    "failed": 0,
    "cancelled": 0,
    "metrics": '["training_cost", "training_accuracy"]',
    "layer_sizes": "[2, 1]",
    "datasets": '["d1"]',
    "last_sequence": 2,
}
PACK = {
    "job_uid": "uid-old",
    "pack_index": 0,
    "trials": ints(0, 1, 2).tobytes(),
    "metrics": ",".join(NAMES),
    "epochs": 2,
    "started": True,
}
TRIAL = {
    "job_uid": "uid-old",
    "trial_index": 1,
    "pack_index": 0,
    "state": "diverged",
    "epochs": 2,
    "final": np.zeros(2, "<f4").tobytes(),
}
EVENTS = [
    {"job_uid": "uid-old", "sequence": 1, "time": 1, "kind": "job", "state": "queued"},
    {
        "job_uid": "uid-old",
        "sequence": 2,
        "time": 2,
        "kind": "metrics",
        "trials": ints(0, 1, 2).tobytes(),
        "first_epoch": 1,
        "metrics": ",".join(NAMES),
        "values": np.arange(12, dtype="<f4").tobytes(),
    },
]
REQUEST = {"request_id": "r", "method": "m", "digest": "d", "job_uid": "uid-old", "time": 1 << 60}


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.make_database()


@pytest.fixture
def engine(new_url: str) -> Iterator[Engine]:
    """To do in the database what no program of today does."""
    made = create_engine(new_url.replace("postgresql://", "postgresql+psycopg://"))
    yield made
    made.dispose()


def insert(connection: Connection, table: str, row: dict[str, object]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_schema_becomes_todays_with_what_is_in_it(
    new_url: str, engine: Engine, revision: str
) -> None:
    migration.migrate(engine, revision)
    with engine.begin() as connection:
        insert(connection, "jobs", JOB)
        insert(connection, "packs", PACK)
        insert(connection, "trials", TRIAL)
        for event in EVENTS:
            insert(connection, "events", event)
        insert(connection, "requests", REQUEST)
    await check_goes_on(new_url)


async def check_goes_on(url: str) -> None:
    """The job of long ago is there, and trains on."""
    database = Database(url)
    try:
        await asyncio.to_thread(database.migrate)
        store = Store(database)
        job = await store.get_job("old")
        assert (job.state, job.labels, job.priority, job.generation) == (
            JobState.RUNNING,
            {},
            0,
            0,
        )
        assert job.counts[TrialState.DIVERGED] == 1
        assert job.counts[TrialState.STOPPED] == 0
        (pack,) = await store.list_packs(job.uid)
        assert (pack.epochs, pack.until, pack.is_closed, pack.arithmetics) == (2, None, False, ())
        await store.replicas.join(ME, "here", 1, alone=True)
        assert await store.replicas.claim(ME, [job.uid]) == {job.uid}
        await record(store, job.uid, 0, ints(0, 2), 2, 3)
        events = await store.read_events(job.uid, 0, ALL)
        assert [e.sequence for e in events] == [1, 2, 3]
        block = events[1].body
        assert isinstance(block, MetricsRecorded)
        assert block.values.reshape(-1).tolist() == list(range(12))
        trials = await store.list_trials(job, 0, 10, [])
        assert [t.state for t in trials] == [
            TrialState.RUNNING,
            TrialState.DIVERGED,
            TrialState.RUNNING,
        ]
        assert trials[0].arithmetics == CORES
        assert (await create(store, "new")).order == 2
    finally:
        await asyncio.to_thread(database.close)


async def test_servers_that_start_at_once_migrate_once(new_url: str) -> None:
    databases = [Database(new_url) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(d.migrate) for d in databases))
    await create(Store(databases[3]), "a")
    assert (await Store(databases[0]).get_job("a")).job_id == "a"
    for database in databases:
        await asyncio.to_thread(database.close)


def test_a_newer_schema_is_refused(new_url: str, engine: Engine) -> None:
    migration.migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database = Database(new_url)
    with pytest.raises(StoreOpenError, match=r"^its schema is 9999, .*start the newer version"):
        database.migrate()
    database.close()
