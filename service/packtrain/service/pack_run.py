"""A pack on its way: where it is, who is left in it, and what its next segment should be."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from packtrain.service.checkpoint_clock import CheckpointClock, describe_signature, state_bytes
from packtrain.service.planner import Part, TrialGroup, pack_of, segment_epochs_limit
from packtrain.service.recordings import Recording
from packtrain.service.records import EndedTrials, Failure, MetricsRecorded, PackRecord
from packtrain.service.states import TrialState
from packtrain.training import Plateau, Speed, initial_seconds
from packtrain.workers import Segment, SegmentResult, Snapshot, Source

# Long enough that handing over costs a hundredth, short enough to follow, cancel and share.
SEGMENT_SECONDS = 1.0
# A pack that trains less long is not saved, unless an operator wants it otherwise.
LEAST_SAVE_SECONDS = 5.0
# The first metrics should come at once.
_FIRST_SEGMENT_SECONDS = 0.05
# The last one may be so much longer, that no short one comes after it.
_LAST_SHARE = 1.5
# After workers died over a segment the next one is so much shorter, and each after it twice as long.
_SHORTER = 8


@dataclass(frozen=True, eq=False)
class Heirs:
    """Trials of a pack, the epoch that they go on from, and where the rows are that they go on
    from; None: no state is held."""

    trials: NDArray[np.int32]
    epoch: int
    source: Source | None


class PackRun:
    """Not durable: made anew from the pack's record, and then again from epoch 0, unless it goes
    on from what other packs hold, or from checkpoints.

    ``is_rebuildable``: its trials' histories are their own, so that a lost state is had again by
    training the pack from a checkpoint or from epoch 0, and what is recorded need not be trained
    again to be compared. A state may be saved ``least_save_seconds`` after the last time;
    ``is_saved``: it was before.
    """

    def __init__(
        self,
        uid: str,
        record: PackRecord,
        group: TrialGroup,
        ended: Mapping[int, TrialState],
        model_path: Path,
        speed: Speed,
        heirs: Sequence[Heirs] = (),
        *,
        is_rebuildable: bool = True,
        least_save_seconds: float = LEAST_SAVE_SECONDS,
        is_saved: bool = False,
    ) -> None:
        self.is_rebuildable = is_rebuildable
        self.failure: Failure | None = None
        self.index = record.index
        self.recorded = record.epochs
        self.started = record.started
        self.total = group.pack.signature.epochs
        self.until = self.total if record.until is None else record.until
        self.arithmetics = record.arithmetics
        self.generation = record.generation
        self._is_closed = record.is_closed
        self._uid = uid
        self._key = _name_state(uid, record)
        self._group = group
        self._model_path = model_path
        self._trials = trials_left(record.trials, ended)
        self._can_end_early = _can_end_early(group)
        self._epoch = 0
        self._attempt = 0
        # Where the rows of the trials are held, in their order.
        self._sources: tuple[Source, ...] = ()
        # The trials of the state that is held under the run's own key; None: there is none.
        self._held_trials: NDArray[np.int32] | None = None
        self._borrowed: set[str] = set()
        self._may_restore = is_saved
        self._wants_restoring = is_rebuildable
        # Those that have ended stay, at no cost: the model at the end holds them too.
        self._has_ended = np.array([t in ended for t in self._trials.tolist()], np.bool_)
        # As the store has it, which the training may have to find out anew.
        self._is_known = self._has_ended.copy()
        if heirs and all(part.source is not None for part in heirs):
            self.go_on_from(heirs)
        begun = pack_of(group, self._trials, begins=False)
        self._least_save_seconds = least_save_seconds
        self.clock = self._make_clock()
        self._initial_seconds = initial_seconds(speed, begun)
        self._epoch_seconds = group.epoch_seconds(speed, begun)
        self._target_seconds = SEGMENT_SECONDS if self.started else _FIRST_SEGMENT_SECONDS
        self._most_epochs = self.total

    def _make_clock(self) -> CheckpointClock:
        pack = pack_of(self._group, self._trials, begins=False)
        return CheckpointClock(state_bytes(pack), self._least_save_seconds)

    @property
    def is_over(self) -> bool:
        """No trial is left, or all epochs are trained up to where trials are compared; recorded
        is enough for that where the pack can be rebuilt, but not from a checkpoint, which makes
        it worthwhile to have the state."""
        compares = self.is_rebuildable and self.until < self.total and not self._may_restore
        at = max(self._epoch, self.recorded) if compares else self._epoch
        return bool(self._has_ended.all()) or at >= self.until

    @property
    def state_key(self) -> str:
        """Names the pack's state in the engine; another one after each new beginning."""
        return f"{self._key}/{self._attempt}"

    @property
    def held_keys(self) -> set[str]:
        """The keys of the states that the engine holds for it."""
        return {self.state_key, *self._borrowed}

    @property
    def signature(self) -> str:
        """What a checkpoint must agree with."""
        return describe_signature(self._group.pack)

    @property
    def trials(self) -> NDArray[np.int32]:
        """Those that train, (K,), in the order of their rows."""
        return self._trials

    @property
    def wants_restoring(self) -> bool:
        """Whether it is to begin, and may have been trained before."""
        return self._wants_restoring and self._epoch == 0 and self.recorded > 0

    @property
    def going(self) -> NDArray[np.int32]:
        """The trials that have not ended."""
        return self._trials[~self._has_ended]

    def find_heirs(
        self, trials: NDArray[np.int32], origins: NDArray[np.int32] | None = None
    ) -> Heirs | None:
        """Those of ``trials`` whose ``origins`` (K,), the trials that they go on from, are here;
        None where none is. ``origins`` None: each goes on from itself."""
        origins = trials if origins is None else origins
        here = np.isin(origins, self._trials)
        if not here.any():
            return None
        if self._epoch < self.until:
            return Heirs(trials[here], self.until, None)
        order = np.argsort(self._trials)
        rows = order[np.searchsorted(self._trials, origins[here], sorter=order)]
        (held,) = self._sources
        places = rows if held.rows is None else held.rows[rows]
        return Heirs(trials[here], self.until, Source(held.pack_key, places))

    @property
    def is_divisible(self) -> bool:
        """Whether it may go on as two packs. A closed one is trained again only for what others
        went on from, as the store has it."""
        return len(self.going) > 1 and not self._is_closed

    def halve(self) -> list[NDArray[np.intp]]:
        """Its rows as two parts, ascending, in each of which some trial has not ended: whoever has
        ended waits for the others' model."""
        going, ended = np.flatnonzero(~self._has_ended), np.flatnonzero(self._has_ended)
        count = min(max(1, len(self._trials) // 2 - len(ended)), len(going) - 1)
        return [np.sort(np.concatenate([ended, going[:count]])), going[count:]]

    def trials_of(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The trials in these rows, ascending."""
        return np.sort(self._trials[rows])

    def take(self, record: PackRecord, rows: NDArray[np.intp]) -> PackRun:
        """A run of the pack ``record``, which goes on with these rows, ascending, of this one from
        where this one is."""
        part = copy.copy(self)
        part.index, part.generation = record.index, record.generation
        part._key, part._attempt = _name_state(self._uid, record), 0
        part._model_path = self._model_path.with_name(f"{record.index}.safetensors")
        part._trials = self._trials[rows]
        part._has_ended, part._is_known = self._has_ended[rows], self._is_known[rows]
        part._sources = _select_rows(self._sources, rows)
        # It holds nothing of its own yet; a checkpoint of this one has its trials too.
        part._held_trials, part._borrowed = None, set()
        share = len(rows) / len(self._trials)
        part._initial_seconds = self._initial_seconds * share
        part._epoch_seconds = self._epoch_seconds * share
        part.clock = part._make_clock()
        part.clock.inherit(self.clock.left)
        return part

    def abandon(self, failure: Failure) -> None:
        """Its trials have failed."""
        self.failure = failure
        self._has_ended[:] = True

    def next_segment(self) -> Segment:
        """What the engine shall do next."""
        epochs = self._next_epochs()
        last = self._epoch + epochs >= self.until
        # A pack that is closed at a rung leaves the networks of those that ended before.
        # What is recorded to its end has left them before.
        writes = self._can_end_early or (last and self.until == self.total)
        writes = writes and self.recorded < self.until
        return Segment(
            pack_key=self.state_key,
            pack=pack_of(self._group, self._trials, begins=self._epoch == 0),
            data=self._group.data,
            start_epoch=self._epoch,
            epochs=epochs,
            record_after=self.recorded,
            sources=self._sources,
            expected_seconds=(
                (self._initial_seconds if self._epoch == 0 else 0.0) + epochs * self._epoch_seconds
            ),
            model_path=self._model_path if writes else None,
            model_if_ended=not last,
            trial_indices=self._trials if writes else None,
        )

    def shorten(self) -> bool:
        """Workers died over the next segment: let it have fewer epochs, and those after it at
        first; False where it has one."""
        epochs = self._next_epochs()
        self._most_epochs = max(1, epochs // _SHORTER)
        return epochs > 1

    def begin_again(self) -> None:
        """The engine lost the state: go back to a checkpoint or epoch 0. What was recorded stays
        so."""
        self._epoch = 0
        self._sources = ()
        self._held_trials = None
        self._attempt += 1
        self._wants_restoring = self.is_rebuildable
        self.clock.go_back()

    def go_on_from(self, heirs: Sequence[Heirs]) -> None:
        """All of its trials are held elsewhere, at one epoch, one part after the other."""
        trials = np.concatenate([part.trials for part in heirs])
        order = np.argsort(self._trials)
        rows = order[np.searchsorted(self._trials, trials, sorter=order)]
        self._trials = trials
        self._has_ended, self._is_known = self._has_ended[rows], self._is_known[rows]
        self._sources = tuple(part.source for part in heirs if part.source is not None)
        self._epoch = heirs[0].epoch
        self._wants_restoring = False

    def note_saved(self, seconds: float) -> None:
        """There is a checkpoint, which took so long to be written."""
        self._may_restore = True
        self.clock.save(seconds)

    def go_without(self) -> None:
        """There is no checkpoint to go on from."""
        self._may_restore = self._wants_restoring = False

    def borrow(self, key: str) -> None:
        """The engine holds a state for it under ``key``, to begin from."""
        self._borrowed.add(key)

    def give_back(self) -> set[str]:
        """The keys of what it borrowed, once it has begun."""
        borrowed, self._borrowed = self._borrowed, set()
        return borrowed

    def snapshot(self) -> Snapshot | None:
        """The state to be saved; None where the engine holds none of its own."""
        if self._held_trials is None:
            return None
        return Snapshot(self._sources[0].pack_key, self._epoch, self._held_trials, self.signature)

    def advance(self, segment: Segment, result: SegmentResult) -> Recording | None:
        """Take a segment's result in; what is to be recorded of it, if anything."""
        self._epoch += segment.epochs
        self._learn_seconds(segment, result)
        self.clock.train(result.seconds)
        self._held_trials = self._trials
        self._target_seconds = SEGMENT_SECONDS
        self._most_epochs = min(2 * self._most_epochs, self.total)
        if result.arithmetic not in self.arithmetics:
            self.arithmetics += (result.arithmetic,)
        trials, metrics = self._trials, result.metrics
        alive = metrics.diverged_at == 0
        rows = None if alive.all() else np.flatnonzero(alive)
        self._sources = (Source(segment.pack_key, rows),)
        self._trials = trials[alive]
        has_stopped = metrics.stopped_at > 0
        over = has_stopped & (metrics.stopped_at <= self.recorded)
        # Their rule had stopped them at what was the last epoch, before it moved.
        late = over & ~self._is_known
        self._has_ended = has_stopped[alive]
        self._is_known = (self._is_known | has_stopped)[alive]
        if self._epoch <= self.recorded and not late.any():
            return None
        values = metrics.values[~over] if over.any() else metrics.values
        recording = Recording(
            pack_index=self.index,
            generation=self.generation,
            from_epoch=self.recorded,
            to_epoch=max(self._epoch, self.recorded),
            block=MetricsRecorded(trials[~over], metrics.first_epoch, metrics.names, values),
            diverged_at=metrics.diverged_at[~over],
            stopped_at=metrics.stopped_at[~over],
            late=EndedTrials(TrialState.SUCCEEDED, trials[late], metrics.stopped_at[late], None),
            arithmetics=self.arithmetics,
            is_last=self._epoch >= self.total,
        )
        self.recorded = recording.to_epoch
        return recording

    def _learn_seconds(self, segment: Segment, result: SegmentResult) -> None:
        """From now on go by what was measured, where that was mostly epochs."""
        initial = self._initial_seconds if segment.start_epoch == 0 else 0.0
        if result.seconds > 2 * initial:
            self._epoch_seconds = max((result.seconds - initial) / segment.epochs, 1e-7)

    def _next_epochs(self) -> int:
        left = self.until - self._epoch
        epochs = max(1, int(self._target_seconds / self._epoch_seconds))
        if left <= _LAST_SHARE * epochs:
            epochs = left
        limit = segment_epochs_limit(self._group, len(self._trials))
        return min(epochs, left, limit, self._most_epochs)


def _name_state(uid: str, record: PackRecord) -> str:
    return f"{uid}/{record.index}/{record.generation}"


def _select_rows(sources: Sequence[Source], rows: NDArray[np.intp]) -> tuple[Source, ...]:
    """These rows, ascending, of the sources, one below the other."""
    found: list[Source] = []
    first = 0
    for source in sources:
        if source.rows is None:  # the only one, and all of it
            return (Source(source.pack_key, rows),)
        end = first + len(source.rows)
        mine = rows[(rows >= first) & (rows < end)] - first
        if len(mine):
            found.append(Source(source.pack_key, source.rows[mine]))
        first = end
    return tuple(found)


def trials_left(trials: NDArray[np.int32], ended: Mapping[int, TrialState]) -> NDArray[np.int32]:
    """The trials that train: all that a rule has stopped too, until all have ended, because the
    pack's model, which is written then, holds their weights."""
    if all(trial in ended for trial in trials.tolist()):
        return trials[:0]
    left = [t for t in trials.tolist() if ended.get(t) in (None, TrialState.SUCCEEDED)]
    return np.array(left, np.int32)


def _can_end_early(group: TrialGroup) -> bool:
    signature, schedules = group.pack.signature, group.pack.trials.schedules
    plateaus = any(isinstance(schedule.shape, Plateau) for schedule in schedules)
    return bool(signature.patience or signature.target or plateaus)


def count_segments(part: Part, trials: int, seconds: float) -> int:
    """About how many segments a pack of so many of the part's trials takes, which trains for so
    long."""
    epochs = part.until - part.begin
    first = 0
    if part.begin == 0 and epochs > 1 and seconds > _LAST_SHARE * _FIRST_SEGMENT_SECONDS:
        first, seconds = 1, seconds - _FIRST_SEGMENT_SECONDS
    by_size = math.ceil(epochs / segment_epochs_limit(part.group, trials))
    by_seconds = math.ceil(seconds / SEGMENT_SECONDS - (_LAST_SHARE - 1))
    return first + min(epochs, max(1, by_size, by_seconds))
