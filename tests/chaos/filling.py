"""Fills a store with thousands of jobs, each a copy of one that ran."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from packtrain.service.states import JobState
from packtrain.service.store import Database, schema

_AT_A_TIME = 500
# What a job that was not begun has of its own.
_NOT_BEGUN = {
    "state": JobState.QUEUED.value,
    "revision": 1,
    "started": None,
    "ended": None,
    "trial_epochs": 0,
    "succeeded": 0,
    "diverged": 0,
    "last_sequence": 1,
    "owner": None,
}
_PACK_NOT_BEGUN = {"epochs": 0, "started": False, "is_closed": False, "arithmetics": "[]"}


def copy_job(url: str, job_id: str, count: int, models: Path, *, ended: bool) -> None:
    """So many copies of a job that has ended: as it is, with its models, or, not ``ended``, as it
    was when it was created."""
    database = Database(url)
    try:
        for first in range(0, count, _AT_A_TIME):
            uids = [uuid.uuid4().hex for _ in range(min(_AT_A_TIME, count - first))]
            asyncio.run(database.write(lambda c, uids=uids: _copy(c, job_id, uids, ended=ended)))
            if ended:
                original = asyncio.run(database.read(lambda c: _uid_of(c, job_id)))
                for uid in uids:
                    shutil.copytree(models / original, models / uid)
    finally:
        database.close()


def count_metrics(database: Database) -> int:
    """The records of metrics of all jobs."""
    query = select(func.count()).where(schema.events.c.kind == "metrics")
    return int(database.read_blocking(lambda c: c.execute(query).scalar_one()))


def count_states(database: Database) -> dict[str, int]:
    """How many jobs there are of each state."""
    query = select(schema.jobs.c.state, func.count()).group_by(schema.jobs.c.state)
    return database.read_blocking(lambda c: dict(c.execute(query).tuples().all()))


def _uid_of(connection: Connection, job_id: str) -> str:
    query = select(schema.jobs.c.uid).where(schema.jobs.c.job_id == job_id)
    return str(connection.execute(query).scalar_one())


def _copy(connection: Connection, job_id: str, uids: list[str], *, ended: bool) -> None:
    uid = _uid_of(connection, job_id)
    (job,) = _rows(connection, schema.jobs, schema.jobs.c.uid == uid)
    last = connection.execute(select(func.max(schema.jobs.c.order))).scalar_one()
    changed = {} if ended else _NOT_BEGUN
    jobs = [
        job | changed | {"uid": new, "job_id": f"copy-{new}", "order": last + 1 + i}
        for i, new in enumerate(uids)
    ]
    connection.execute(insert(schema.jobs), jobs)
    for table in (schema.packs, schema.events, schema.trials):
        rows = _rows(connection, table, table.c.job_uid == uid)
        if not ended and table is schema.packs:
            rows = [row | _PACK_NOT_BEGUN for row in rows]
        if not ended and table is schema.events:
            rows = [row for row in rows if row["sequence"] == 1]
        if not ended and table is schema.trials:
            continue
        connection.execute(insert(table), [r | {"job_uid": new} for new in uids for r in rows])


def _rows(connection: Connection, table: Any, where: Any) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(select(table).where(where))]
