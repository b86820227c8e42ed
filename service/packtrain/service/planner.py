"""From groups of trials of one signature to packs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from packtrain.service.records import NewPack
from packtrain.training import (
    Pack,
    ScaledGaussian,
    Speed,
    epoch_operations,
    epoch_seconds,
    initial_seconds,
    metric_names,
    most_moments,
    segment_memory_bytes,
)
from packtrain.workers import DataSource

# A job of less than this is not worth a second worker: two segments and their records cost more.
_WORTH_A_WORKER_SECONDS = 0.2
# More trials in a pack gain nothing (the trainer sweeps them in blocks) and lose more at a fault.
_MAX_PACK_TRIALS = 16_384
_MAX_PACK_BYTES = 1 << 30
# No segment is shorter than an epoch of its pack: whoever cancels, pauses, stops early or shares
# the workers waits for it, and so do the first metrics. A longer one is cut where its halves, one
# after the other, take no more than so many times as long.
_MAX_EPOCH_SECONDS = 2.0
_CUT_COST = 1.05
_MAX_SEGMENT_METRIC_BYTES = 32 << 20


@dataclass(frozen=True, eq=False)
class TrialGroup:
    """All trials of a job of one signature and one data: ``pack`` row i is trial indices[i].

    ``rows`` and ``validation_rows`` are the numbers of rows that each epoch trains and measures.
    """

    indices: NDArray[np.int32]
    pack: Pack
    data: DataSource
    rows: int
    validation_rows: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what is measured, layers told apart."""
        return metric_names(self.pack.signature)

    @property
    def epoch_operations(self) -> float:
        """Operations of one trial's epoch."""
        return epoch_operations(self.pack.signature, self.rows, self.validation_rows)

    def epoch_seconds(self, speed: Speed, pack: Pack) -> float:
        """About how long a worker takes for an epoch of a pack of its trials."""
        return epoch_seconds(speed, pack, self.rows, self.validation_rows)

    def seconds(self, speed: Speed, pack: Pack) -> float:
        """About how long a worker takes for all epochs of a pack of its trials."""
        epochs = pack.signature.epochs
        return initial_seconds(speed, pack) + epochs * self.epoch_seconds(speed, pack)

    @property
    def operations(self) -> float:
        """Operations of all trials' epochs."""
        return self.epoch_operations * len(self.indices) * self.pack.signature.epochs


@dataclass(frozen=True, eq=False)
class Part:
    """Trials of a group that are at epoch ``begin`` and train to epoch ``until``, where they may
    be compared with others."""

    group: TrialGroup
    trials: NDArray[np.int32]
    begin: int
    until: int

    def seconds(self, speed: Speed, count: int) -> float:
        """About how long a worker takes for ``count`` of them."""
        pack = pack_of(self.group, self.trials[:count], begins=self.begin == 0)
        initial = 0.0 if self.begin else initial_seconds(speed, pack)
        return initial + (self.until - self.begin) * self.group.epoch_seconds(speed, pack)

    def epoch_seconds(self, speed: Speed, count: int) -> float:
        """About how long a worker takes for an epoch of ``count`` of them."""
        return self.group.epoch_seconds(speed, pack_of(self.group, self.trials[:count]))


def cut(
    groups: Sequence[TrialGroup], trials: NDArray[np.int32], begin: int, until: int
) -> list[Part]:
    """Those of ``trials``, which ascend, by group."""
    parts = [(g, trials[np.isin(trials, g.indices, assume_unique=True)]) for g in groups]
    return [Part(group, members, begin, until) for group, members in parts if len(members)]


@dataclass(frozen=True, eq=False)
class PlannedPack:
    """Trials that train as one stacked array, and the part that they are of."""

    part: Part
    trials: NDArray[np.int32]
    memory_bytes: int

    def to_new(self, arithmetics: tuple[str, ...] = ()) -> NewPack:
        """As it is stored; ``arithmetics`` of the workers that brought its trials to here."""
        group, until = self.part.group, self.part.until
        return NewPack(
            trials=self.trials,
            metrics=group.metrics,
            begin=self.part.begin,
            until=until if until < group.pack.signature.epochs else None,
            arithmetics=arithmetics,
            started=self.part.begin > 0,
        )


def pack_of(group: TrialGroup, trials: NDArray[np.int32], *, begins: bool = True) -> Pack:
    """The pack of these trials of the group. It travels with every segment: the arrays that its
    networks begin from are those of its own trials, and only where it ``begins``."""
    pack = group.pack.select(np.searchsorted(group.indices, trials).astype(np.intp))
    table = pack.trials.initializations
    used, which = np.unique(pack.trials.initialization, return_inverse=True)
    entries = tuple(table[i] for i in used) if begins else (ScaledGaussian(),)
    column = which.astype(np.intp) if begins else np.zeros(len(trials), np.intp)
    started = replace(pack.trials, initialization=column, initializations=entries)
    return replace(pack, trials=started)


def memory_bytes(group: TrialGroup, trials: int) -> int:
    """What a worker needs to train so many trials of the group."""
    signature = group.pack.signature
    return segment_memory_bytes(
        signature,
        trials,
        group.rows,
        group.validation_rows,
        moments=most_moments(group.pack.trials),
        epochs=segment_epochs_limit(group, trials),
    )


def segment_epochs_limit(group: TrialGroup, trials: int) -> int:
    """The most epochs of a segment, so that what it measured stays small enough to hand over."""
    bytes_an_epoch = 4 * trials * len(group.metrics)
    return max(1, min(group.pack.signature.epochs, _MAX_SEGMENT_METRIC_BYTES // bytes_an_epoch))


def plan_packs(
    parts: Sequence[Part], workers: int, speed: Speed, most_bytes: int = _MAX_PACK_BYTES
) -> list[PlannedPack]:
    """Cut each part into packs: as few as keep every worker busy, and memory and the
    seconds of an epoch in bounds, at most ``most_bytes`` a pack if its trials can be told apart
    so far."""
    most_bytes = min(most_bytes, _MAX_PACK_BYTES)
    packs: list[PlannedPack] = []
    for part, count in zip(parts, _share_workers(parts, workers, speed), strict=True):
        size = min(math.ceil(len(part.trials) / count), _MAX_PACK_TRIALS)
        while size > 1 and memory_bytes(part.group, size) > most_bytes:
            size = math.ceil(size / 2)
        size = _bound_epoch(part, size, speed)
        cuts = np.array_split(part.trials, math.ceil(len(part.trials) / size))
        packs += [
            PlannedPack(part, trials, memory_bytes(part.group, len(trials))) for trials in cuts
        ]
    return packs


def _bound_epoch(part: Part, size: int, speed: Speed) -> int:
    """The size of packs of the part, of ``size`` trials at most, whose epochs nobody waits for too
    long."""
    seconds = part.epoch_seconds(speed, size)
    while size > 1 and seconds > _MAX_EPOCH_SECONDS:
        half = math.ceil(size / 2)
        of_half = part.epoch_seconds(speed, half)
        if 2 * of_half > _CUT_COST * seconds:
            break
        size, seconds = half, of_half
    return size


def _share_workers(parts: Sequence[Part], workers: int, speed: Speed) -> list[int]:
    """Into how many packs to cut each part: one, or as many workers as its share of the seconds
    is worth."""
    seconds = [part.seconds(speed, len(part.trials)) for part in parts]
    # A pack of one trial has all the overhead of a larger one: only the rest can be shared.
    alone = [part.seconds(speed, 1) for part in parts]
    shared = sum(seconds) - sum(alone)
    busy = min(max(1, workers), math.floor(shared / _WORTH_A_WORKER_SECONDS))
    return [
        min(len(part.trials), max(1, round(busy * mine / sum(seconds))))
        for part, mine in zip(parts, seconds, strict=True)
    ]
