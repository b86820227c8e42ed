"""The processes that serve one store together, and which jobs each of them owns.

A replica's id is random and never used again, which makes a job's owner its fence: whoever owned it
before can write no more, whatever it believes. A replica that is not in the table owns nothing, so
that to remove it is to give away all its jobs at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, Select, delete, func, insert, or_, select, update

from packtrain.service.errors import NotOwnerError
from packtrain.service.records import ReplicaRecord
from packtrain.service.states import ACTIVE_JOB_STATES, JobState
from packtrain.service.store import schema
from packtrain.service.store.clock import DatabaseTime
from packtrain.service.store.database import Database
from packtrain.service.store.log import to_time

_J, _R = schema.jobs.c, schema.replicas.c
# Jobs that were begun come first, then by their priority and their order.
TURN = (_J.state == JobState.QUEUED.value, _J.priority.desc(), _J.order)
_TRAINABLE = tuple(s.value for s in ACTIVE_JOB_STATES - {JobState.PAUSED})


class Replicas:
    """All methods may raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def join(
        self, replica_id: str, name: str, demand: int | None, *, alone: bool = False
    ) -> None:
        """A process begins to serve. ``alone``: no other can be alive, so that all jobs are
        nobody's until it claims them."""
        await self._database.write(
            partial(join_replica, replica_id=replica_id, name=name, demand=demand, alone=alone)
        )

    async def renew(self, replica_id: str, demand: int | None) -> list[ReplicaRecord] | None:
        """One more beat; all replicas, by id, or None where this one was removed."""
        return await self._database.write(
            partial(renew_replica, replica_id=replica_id, demand=demand)
        )

    async def remove(self, replica_id: str, beats: int | None = None) -> bool:
        """Its jobs are nobody's. Where ``beats`` is given, only if it has not lived on since it
        was seen with them; whether it was removed."""
        return await self._database.write(
            partial(remove_replica, replica_id=replica_id, beats=beats)
        )

    async def claim(self, replica_id: str, uids: Sequence[str]) -> set[str]:
        """Own those of these jobs that are nobody's still, the first in turn, up to the replica's
        share of all jobs that can train; returned are those that it got."""
        return await self._database.write(
            partial(claim_jobs, replica_id=replica_id, uids=tuple(uids))
        )


def living() -> Select[tuple[str]]:
    """The ids of all replicas, for use within a statement."""
    return select(_R.id)


def check_owner(connection: Connection, uid: str, owner: str) -> None:
    """The fence: nobody else comes to own the job before this transaction has ended. Raises
    NotOwnerError."""
    query = select(_J.owner).where(_J.uid == uid).with_for_update()
    found = connection.execute(query).one_or_none()
    if found is None:
        raise NotOwnerError("JOB_DELETED", "the job was deleted")
    if found.owner != owner:
        raise NotOwnerError("NOT_OWNER", "another replica of the service owns the job now")


def join_replica(
    connection: Connection, replica_id: str, name: str, demand: int | None, alone: bool
) -> None:
    """See Replicas.join."""
    if alone:
        connection.execute(delete(schema.replicas))
    now = DatabaseTime()
    values = {"id": replica_id, "name": name, "beats": 0, "demand": demand}
    connection.execute(insert(schema.replicas).values(started=now, renewed=now, **values))


def renew_replica(
    connection: Connection, replica_id: str, demand: int | None
) -> list[ReplicaRecord] | None:
    """See Replicas.renew."""
    values = {_R.beats: _R.beats + 1, _R.renewed: DatabaseTime(), _R.demand: demand}
    renewed = update(schema.replicas).where(_R.id == replica_id).values(values)
    if connection.execute(renewed).rowcount == 0:
        return None
    return [
        ReplicaRecord(
            replica_id=row.id,
            name=row.name,
            started=to_time(row.started),
            renewed=to_time(row.renewed),
            beats=row.beats,
            demand=row.demand,
        )
        for row in connection.execute(select(schema.replicas).order_by(_R.id))
    ]


def remove_replica(connection: Connection, replica_id: str, beats: int | None) -> bool:
    """See Replicas.remove."""
    removal = delete(schema.replicas).where(_R.id == replica_id)
    if beats is not None:
        removal = removal.where(_R.beats == beats)
    return connection.execute(removal).rowcount > 0


def claim_jobs(connection: Connection, replica_id: str, uids: tuple[str, ...]) -> set[str]:
    """See Replicas.claim."""
    # Whoever claims, or writes as the owner before, is not waited for: the next look finds the rest.
    free = (
        select(_J.uid)
        .where(_J.uid.in_(uids), or_(_J.owner.is_(None), _J.owner.not_in(living())))
        .order_by(*TURN)
        .limit(_unused_share(connection, replica_id))
        .with_for_update(skip_locked=True)
    )
    found = connection.execute(free).scalars().all()
    connection.execute(update(schema.jobs).where(_J.uid.in_(found)).values(owner=replica_id))
    return set(found)


def _unused_share(connection: Connection, replica_id: str) -> int:
    """How many more jobs the replica may own, that all may have equally many; none where it was
    removed itself."""
    ids = set(connection.execute(select(_R.id)).scalars())
    if replica_id not in ids:
        return 0
    trainable = select(func.count()).where(_J.state.in_(_TRAINABLE))
    total = connection.execute(trainable).scalar_one()
    mine = connection.execute(trainable.where(_J.owner == replica_id)).scalar_one()
    return max(0, -(-total // len(ids)) - mine)
