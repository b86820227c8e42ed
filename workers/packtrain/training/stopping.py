"""What a pack does by what it measured: plateaus lessen learning rates, and trials end early.

A trial's rules go by the metrics as they are recorded, in float32, so that what happened can be
told from the record. A value that is not a number is never an improvement.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from packtrain.training.metrics import METRICS
from packtrain.training.spec import Pack, Plateau
from packtrain.training.state import PackState, Watch

Floats64 = NDArray[np.float64]


class Stopping:
    """The rules of a pack, which change its ``state`` in place: its watches, ``rate_share`` and
    ``stopped_at``."""

    def __init__(self, pack: Pack, state: PackState) -> None:
        signature, schedules = pack.signature, pack.trials.schedules
        self._state = state
        self._patience, self._target = signature.patience, signature.target
        self._schedule = pack.trials.schedule
        self._plateaus = [
            (index, schedule.shape)
            for index, schedule in enumerate(schedules)
            if isinstance(schedule.shape, Plateau)
        ]
        self.is_idle = not (self._patience or self._target or self._plateaus)

    def judge(
        self, rows: NDArray[np.intp], values: Mapping[str, NDArray[np.float32]], epoch: int
    ) -> NDArray[np.bool_]:
        """Which of the trials at ``rows`` of the pack end with ``epoch``, (B,), by its metrics,
        (B,) each."""
        ended = np.zeros(len(rows), np.bool_)
        if self._target is not None:
            column = self._column(self._target.metric, values)
            ended |= column >= _sign(self._target.metric) * self._target.value
        if self._patience is not None:
            column = self._column(self._patience.metric, values)
            watch, least = self._state.patience, self._patience.min_delta
            waited = _wait(watch, rows, column, epoch, least)
            ended |= waited >= self._patience.epochs
        for index, plateau in self._plateaus:
            mine = self._schedule[rows] == index
            column = self._column(plateau.metric, values)[mine]
            ended[mine] |= self._lessen(plateau, rows[mine], column, epoch)
        self._state.stopped_at[rows[ended]] = epoch
        return ended

    @staticmethod
    def _column(metric: str, values: Mapping[str, NDArray[np.float32]]) -> Floats64:
        """The metric, turned so that more is better."""
        return _sign(metric) * values[metric].astype(np.float64)

    def _lessen(
        self, plateau: Plateau, rows: NDArray[np.intp], column: Floats64, epoch: int
    ) -> NDArray[np.bool_]:
        state = self._state
        waited = _wait(state.plateau, rows, column, epoch, 0.0)
        tired = rows[waited >= plateau.patience]
        state.rate_share[tired] *= plateau.factor
        state.plateau.since[tired] = epoch
        return np.asarray(state.rate_share[rows] < plateau.least)


def _sign(metric: str) -> float:
    return 1.0 if METRICS[metric].higher_is_better else -1.0


def _wait(
    watch: Watch, rows: NDArray[np.intp], column: Floats64, epoch: int, least: float
) -> NDArray[np.int64]:
    """Note what is better by more than ``least``; the epochs since something was, (B,)."""
    best = watch.best[rows]
    better = (column > best + least) | (np.isnan(best) & ~np.isnan(column))
    watch.best[rows[better]] = column[better]
    # A trial that was never measured waits from here.
    begin = better | (watch.since[rows] == 0)
    watch.since[rows[begin]] = epoch
    return np.asarray(epoch - watch.since[rows], np.int64)
