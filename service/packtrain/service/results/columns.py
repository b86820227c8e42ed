"""A job's trials as columns: what filters, orders and comparisons are computed from.

100,000 trials with ten metrics are 4 MB, and sorting them takes some 10 ms: no index of the
database could serve an order by any metric, nor would recording stay as cheap beside one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from packtrain.service.hints import did_you_mean
from packtrain.service.records import Event, MetricsRecorded, TrialsChanged
from packtrain.service.states import UNRANKED_TRIAL_STATES, TrialState

STATES: tuple[TrialState, ...] = tuple(TrialState)
STATE_CODES: dict[TrialState, int] = {state: code for code, state in enumerate(STATES)}
GOING = np.array([STATE_CODES[TrialState.QUEUED], STATE_CODES[TrialState.RUNNING]])
PARAMETERS = "parameters."
_UNRANKED = np.array([STATE_CODES[state] for state in UNRANKED_TRIAL_STATES])


@dataclass(frozen=True, eq=False)
class Numbers:
    """A number of each trial: ``values`` (trials,), NaN where a trial has none."""

    values: NDArray[np.floating] | NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Words:
    """A text of each trial: ``codes`` (trials,) are indices of ``words``, -1 where it has none."""

    codes: NDArray[np.integer]
    words: tuple[str, ...]


Column = Numbers | Words


@dataclass(frozen=True, eq=False)
class TrialColumns:
    """All trials of a job after event ``sequence`` of its log.

    ``states``, ``epochs`` and ``packs`` are (trials,), the states as codes of :data:`STATES`, the
    packs -1 where a trial is in none;
    ``values`` is (trials, metrics) float32, what was measured last, NaN where nothing was.
    ``parameters`` are by path.
    """

    sequence: int
    metrics: tuple[str, ...]
    states: NDArray[np.int8]
    epochs: NDArray[np.int32]
    packs: NDArray[np.int32]
    values: NDArray[np.float32]
    parameters: Mapping[str, Column] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        own = self.states.nbytes + self.epochs.nbytes + self.packs.nbytes + self.values.nbytes
        return own + sum(
            c.values.nbytes if isinstance(c, Numbers) else c.codes.nbytes
            for c in self.parameters.values()
        )

    def has_ended(self, row: int) -> bool:
        """Whether nothing leads out of the trial's state."""
        return int(self.states[row]) not in GOING

    def metric(self, name: str) -> NDArray[np.float32]:
        """A metric of all trials, (trials,)."""
        return np.asarray(self.values[:, self.metrics.index(name)])

    def ranked_metric(self, name: str) -> NDArray[np.float32]:
        """A metric as trials are compared by it, (trials,): NaN for one that DIVERGED or FAILED,
        which is never the best."""
        is_unranked = np.isin(self.states, _UNRANKED)
        return np.where(is_unranked, np.float32(np.nan), self.metric(name))

    def find_key(self, name: str) -> Column | None:
        """The column to order by a field: of a metric the ranked one, else as :meth:`find`."""
        return Numbers(self.ranked_metric(name)) if name in self.metrics else self.find(name)

    def names(self) -> list[str]:
        """Every field that :meth:`find` knows."""
        paths = [f"{PARAMETERS}{path}" for path in self.parameters]
        return ["index", "state", "epochs", *self.metrics, *paths]

    def find(self, name: str) -> Column | None:
        """The column of a field; None where there is none of that name."""
        if name == "index":
            return Numbers(np.arange(len(self.states)))
        if name == "state":
            return Words(self.states, tuple(state.name for state in STATES))
        if name == "epochs":
            return Numbers(self.epochs)
        if name in self.metrics:
            return Numbers(self.metric(name))
        return self.parameters.get(name.removeprefix(PARAMETERS)) if "." in name else None

    def advanced(self, events: Iterable[Event]) -> TrialColumns:
        """After these further events of the log, too."""
        found = replace(
            self, states=self.states.copy(), epochs=self.epochs.copy(), values=self.values.copy()
        )
        sequence = self.sequence
        blocks: list[MetricsRecorded] = []
        for event in events:
            sequence = event.sequence
            if isinstance(event.body, MetricsRecorded):
                blocks.append(event.body)
                found._take_in(event.body)
            elif isinstance(event.body, TrialsChanged):
                found.states[event.body.trials] = STATE_CODES[event.body.state]
                found.epochs[event.body.trials] = event.body.epochs
                if event.body.state is TrialState.DIVERGED:
                    found._take_ends(event.body, blocks)
        return replace(found, sequence=sequence)

    def _take_in(self, block: MetricsRecorded) -> None:
        # After a trial's end its part of a block holds nothing.
        going = np.isin(self.states[block.trials], GOING)
        trials, values = block.trials[going], block.values[going]
        self.epochs[trials] = block.first_epoch + values.shape[1] - 1
        measured, last = last_measured(values)
        self.put(trials[measured], block.names, last)

    def _take_ends(self, ended: TrialsChanged, blocks: Sequence[MetricsRecorded]) -> None:
        """The values of the epoch in which trials diverged, though all of them be NaN: those
        before look as if nothing had happened. They come with the block that told it."""
        for block in blocks:
            within = self.epochs[block.trials] - block.first_epoch
            is_there = (within >= 0) & (within < block.values.shape[1])
            rows = np.flatnonzero(is_there & np.isin(block.trials, ended.trials))
            self.put(block.trials[rows], block.names, block.values[rows, within[rows]])

    def put(
        self, trials: NDArray[np.integer], names: Sequence[str], values: NDArray[np.float32]
    ) -> None:
        """Set these metrics of these trials to ``values`` (trials, names)."""
        for place, name in enumerate(names):
            self.values[trials, self.metrics.index(name)] = values[:, place]


def last_measured(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Of a block (trials, epochs, metrics): the rows of which anything was measured, and their
    values at the last epoch where it was, (rows, metrics)."""
    if not values.size:
        return np.zeros(0, np.intp), np.zeros((0, values.shape[2]), np.float32)
    measured: NDArray[np.bool_] = np.any(~np.isnan(values), axis=2)
    rows = np.flatnonzero(np.any(measured, axis=1))
    last = measured.shape[1] - 1 - measured[rows, ::-1].argmax(axis=1)
    return rows, values[rows, last]


def unknown_field(name: str, names: Iterable[str]) -> str:
    """What to say of a name that is none of these."""
    known = list(names)
    return f"there is no {name!r}{did_you_mean(name, known) or ';'} there are {', '.join(known) or 'none'}"
