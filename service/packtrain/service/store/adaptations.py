"""What populations changed in their trials."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Row, insert, select

from packtrain.service.records import Adaptation, EventBody, TrialsAdapted
from packtrain.service.store import schema

_A = schema.adaptations.c


def add_adaptations(
    connection: Connection, uid: str, adaptations: Sequence[Adaptation]
) -> list[EventBody]:
    """Keep them; the events that tell of them."""
    if not adaptations:
        return []
    rows = [
        {
            "job_uid": uid,
            "trial_index": adaptation.trial,
            "epoch": adaptation.epoch,
            "copied_trial": adaptation.copied_trial,
            "parameters": json.dumps(adaptation.parameters),
        }
        for adaptation in adaptations
    ]
    connection.execute(insert(schema.adaptations), rows)
    return [TrialsAdapted(tuple(adaptations))]


def list_adaptations(connection: Connection, uid: str) -> list[Adaptation]:
    """See Store.list_adaptations."""
    query = select(schema.adaptations).where(_A.job_uid == uid)
    found = connection.execute(query.order_by(_A.epoch, _A.trial_index))
    return [_to_adaptation(row) for row in found]


def adaptations_by_trial(
    connection: Connection, uid: str, trials: Sequence[int]
) -> Mapping[int, tuple[Adaptation, ...]]:
    """Those of each of these trials, by epoch."""
    of_trials = _A.trial_index.in_(trials)
    query = select(schema.adaptations).where(_A.job_uid == uid, of_trials)
    found: defaultdict[int, tuple[Adaptation, ...]] = defaultdict(tuple)
    for row in connection.execute(query.order_by(_A.trial_index, _A.epoch)):
        found[row.trial_index] += (_to_adaptation(row),)
    return found


def _to_adaptation(row: Row[tuple[object, ...]]) -> Adaptation:
    return Adaptation(row.epoch, row.trial_index, row.copied_trial, json.loads(row.parameters))
