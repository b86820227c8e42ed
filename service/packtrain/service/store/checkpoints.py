"""Which checkpoints count: a file that is not written down here does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.records import CheckpointRecord
from packtrain.service.states import ENDED_JOB_STATES
from packtrain.service.store import schema

_C, _J, _P = schema.checkpoints.c, schema.jobs.c, schema.packs.c

# Of each pack: the last one, and the one before, should the last turn out to be spoilt.
KEPT = 2


def add_checkpoint(
    connection: Connection, uid: str, generation: int, checkpoint: CheckpointRecord
) -> list[str]:
    """See OwnedJob.add_checkpoint."""
    index = checkpoint.pack_index
    pack = connection.execute(
        select(_P.epochs)
        .join(schema.jobs, _J.uid == _P.job_uid)
        .where(
            _P.job_uid == uid,
            _P.pack_index == index,
            _P.generation == generation,
            _P.epochs >= checkpoint.epoch,
            _P.is_closed.is_(False),
            _J.state.not_in([state.value for state in ENDED_JOB_STATES]),
        )
    ).one_or_none()
    if pack is None:
        raise IllegalTransitionError(
            "CHECKPOINT_OUTDATED", f"pack {index} has no epoch {checkpoint.epoch} to go on from"
        )
    mine = [c for c in list_checkpoints(connection, uid) if c.pack_index == index]
    others = [c for c in mine if c.epoch != checkpoint.epoch]
    outdated = [c for c in mine if c not in others[: KEPT - 1]]
    remove_checkpoints(connection, uid, outdated)
    connection.execute(
        insert(schema.checkpoints).values(
            job_uid=uid,
            pack_index=index,
            epoch=checkpoint.epoch,
            name=checkpoint.name,
            size_bytes=checkpoint.size_bytes,
            digest=checkpoint.digest,
        )
    )
    return [c.name for c in outdated]


def list_checkpoints(connection: Connection, uid: str) -> list[CheckpointRecord]:
    """See Store.list_checkpoints."""
    query = select(schema.checkpoints).where(_C.job_uid == uid)
    found = connection.execute(query.order_by(_C.epoch.desc(), _C.pack_index))
    return [_to_checkpoint(row) for row in found]


def _to_checkpoint(row: Row[Any]) -> CheckpointRecord:
    return CheckpointRecord(row.pack_index, row.epoch, row.name, row.size_bytes, row.digest)


def remove_checkpoints(
    connection: Connection, uid: str, checkpoints: Sequence[CheckpointRecord]
) -> None:
    """See OwnedJob.remove_checkpoints."""
    for checkpoint in checkpoints:
        connection.execute(
            delete(schema.checkpoints).where(_C.job_uid == uid, _C.name == checkpoint.name)
        )


def remove_all(connection: Connection, uid: str) -> None:
    """Those of a job that has ended."""
    connection.execute(delete(schema.checkpoints).where(_C.job_uid == uid))


def checkpoints_in_use(connection: Connection) -> dict[str, set[str]]:
    """See Store.checkpoints_in_use."""
    active = select(_J.uid).where(_J.state.not_in([s.value for s in ENDED_JOB_STATES]))
    found: dict[str, set[str]] = defaultdict(set)
    for uid in connection.execute(active).scalars():
        found[uid] = set()
    for row in connection.execute(select(_C.job_uid, _C.name)):
        found[row.job_uid].add(row.name)
    return dict(found)
