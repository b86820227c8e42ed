"""Jobs to store, and what their segments record: what the tests of the store share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packtrain.service.records import EndedTrials, JobRecord, MetricsRecorded, NewJob, NewPack
from packtrain.service.states import TrialState
from packtrain.service.store import OwnedJob, Store

NAMES = ("training_cost", "training_accuracy")
ALL = 1 << 40
# The replica that owns the jobs here.
ME = "me"
CORES = ("NumPy 2 on one kind of core",)


def ints(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def new_job(job_id: str, *packs: NDArray[np.int32], epochs: int = 10) -> NewJob:
    packs = packs or (ints(0, 1, 2), ints(3, 4))
    count = sum(len(p) for p in packs)
    return NewJob(
        job_id=job_id,
        uid=f"uid-{job_id}",
        spec=b"spec",
        plan=b"plan",
        trials=count,
        trial_epochs_total=count * epochs,
        metrics=NAMES,
        layer_sizes=(2, 1),
        datasets=("d1",),
        packs=tuple(NewPack(trials=p, metrics=NAMES) for p in packs),
    )


def block(trials: NDArray[np.int32], first: int, last: int, at: float = 0.0) -> MetricsRecorded:
    """Values at + trial + epoch / 100, and their negatives."""
    epochs = np.arange(first, last + 1)
    values = at + trials[:, None] + epochs[None, :] / 100
    return MetricsRecorded(trials, first, NAMES, np.stack([values, -values], 2).astype(np.float32))


def ended(state: TrialState, metrics: MetricsRecorded, *rows: int) -> EndedTrials:
    last = metrics.first_epoch + metrics.values.shape[1] - 1
    chosen = np.array(rows)
    epochs = np.full(len(rows), last, np.int32)
    return EndedTrials(state, metrics.trials[chosen], epochs, metrics.values[chosen, -1])


def own(store: Store, uid: str) -> OwnedJob:
    return store.owned_job(uid, ME)


async def create(store: Store, job_id: str, *packs: NDArray[np.int32]) -> JobRecord:
    return await store.create_job(new_job(job_id, *packs), None, ME)


async def record(
    store: Store, uid: str, pack: int, trials: NDArray[np.int32], start: int, end: int
) -> None:
    epochs = (end - start) * len(trials)
    await own(store, uid).record_segment(
        pack, 0, start, end, block(trials, start + 1, end), [], epochs, CORES
    )
