"""The transaction that splits a pack which is too large for a worker."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, update

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.records import NewPack, PackRecord
from packtrain.service.store import schema
from packtrain.service.store.jobs import add_packs
from packtrain.service.store.training import list_packs, require_training

_P, _T = schema.packs.c, schema.trials.c


def split_pack(
    connection: Connection,
    uid: str,
    pack_index: int,
    generation: int,
    parts: tuple[NDArray[np.int32], ...],
) -> list[PackRecord]:
    """See OwnedJob.split_pack."""
    require_training(connection, uid)
    closed = connection.execute(
        update(schema.packs)
        .where(
            _P.job_uid == uid,
            _P.pack_index == pack_index,
            _P.generation == generation,
            _P.is_closed.is_(False),
        )
        .values(is_closed=True)
        .returning(_P.metrics, _P.epochs, _P.until, _P.arithmetics)
    ).one_or_none()
    if closed is None:
        raise IllegalTransitionError(
            "PACK_CHANGED", f"pack {pack_index} is not open in generation {generation}"
        )
    packs = [
        NewPack(
            trials=trials,
            metrics=tuple(closed.metrics.split(",")),
            begin=closed.epochs,
            until=closed.until,
            arithmetics=tuple(json.loads(closed.arithmetics or "[]")),
            started=True,
        )
        for trials in parts
    ]
    first = add_packs(connection, uid, packs)
    for index, trials in enumerate(parts, first):
        # Those that have ended and stay in a pack for its model: that is where it will be.
        connection.execute(
            update(schema.trials)
            .where(
                _T.job_uid == uid,
                _T.pack_index == pack_index,
                _T.trial_index.in_(trials.tolist()),
            )
            .values(pack_index=index)
        )
    return list_packs(connection, uid)[first:]
