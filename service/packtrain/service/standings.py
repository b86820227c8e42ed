"""How the trials of a job stand, read off its log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from packtrain.service.early_stopping import Standings
from packtrain.service.objectives import Objective, to_scores
from packtrain.service.records import EventBody, MetricsRecorded, TrialsChanged
from packtrain.service.states import UNRANKED_TRIAL_STATES
from packtrain.service.store import Store

_READ_BYTES = 2 << 20


class StandingsReader:
    """Follows the log of a job: of each trial and objective the last value, the best and the mean
    of all so far; nothing of one that DIVERGED or FAILED, by which nobody is judged. What it holds
    grows with the trials, not with their epochs."""

    def __init__(
        self, store: Store, uid: str, trials: int, objectives: Sequence[Objective]
    ) -> None:
        self._store, self._uid, self._objectives = store, uid, objectives
        self._sequence = 0
        # One reads at a time: brackets come to their rungs side by side.
        self._turn = asyncio.Lock()
        shape = (trials, len(objectives))
        self._last = np.full(shape, -np.inf)
        self._best = np.full(shape, -np.inf)
        self._total = np.zeros(shape)
        self._count = np.zeros(shape)

    async def read(self, trials: NDArray[np.int32], present: NDArray[np.bool_]) -> Standings:
        """How these trials, (K,), stand now; ``present`` are those that reached the rung."""
        async with self._turn:
            while events := await self._store.read_events(self._uid, self._sequence, _READ_BYTES):
                for event in events:
                    self._sequence = event.sequence
                    self._take_in(event.body)
        with np.errstate(invalid="ignore"):
            mean = self._total[trials] / self._count[trials]
        mean[np.isnan(mean)] = -np.inf
        return Standings(present, self._last[trials], self._best[trials], mean)

    def _take_in(self, body: EventBody) -> None:
        if isinstance(body, MetricsRecorded):
            self._add(body)
        elif isinstance(body, TrialsChanged) and body.state in UNRANKED_TRIAL_STATES:
            self._last[body.trials] = self._best[body.trials] = -np.inf
            self._total[body.trials] = self._count[body.trials] = 0.0

    def _add(self, block: MetricsRecorded) -> None:
        columns = [block.names.index(o.metric) for o in self._objectives]
        values = block.values[:, :, columns]
        measured = ~np.isnan(values)
        scores = to_scores(values, self._objectives)
        rows = block.trials
        self._best[rows] = np.maximum(self._best[rows], scores.max(axis=1))
        self._total[rows] += np.where(measured, scores, 0.0).sum(axis=1)
        self._count[rows] += measured.sum(axis=1)
        # The last epoch that was measured, where one was.
        epoch = measured.shape[1] - 1 - measured[:, ::-1].argmax(axis=1)
        last = np.take_along_axis(scores, epoch[:, np.newaxis], axis=1)[:, 0]
        self._last[rows] = np.where(measured.any(axis=1), last, self._last[rows])
