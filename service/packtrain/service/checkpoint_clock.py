"""When a pack's state is worth a checkpoint: so seldom that it costs less than 2 % of training."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from packtrain.training import Pack, most_moments

# So many seconds are trained for each second that a checkpoint is written.
TRAINED_PER_WRITTEN = 50.0
# Before the first was measured: about what a disk takes, and an object store at some distance.
_GUESSED_BYTES_PER_SECOND = 100e6
# A disk that is full stays so for a while.
_PAUSE_AFTER_FAILURE_SECONDS = 60.0


class CheckpointClock:
    """Counts the seconds that a pack of ``state_bytes`` trains, until its state is due to be
    saved: ``least_seconds`` after the last time, or 50 times as long as that took to be written.

    A state that is saved before it is due delays the next one by what it was early.
    """

    def __init__(self, state_bytes: int, least_seconds: float) -> None:
        self._least_seconds = least_seconds
        self._write_seconds = state_bytes / _GUESSED_BYTES_PER_SECOND
        self._left = self._pause()
        self._unsaved = 0.0

    def _pause(self) -> float:
        return max(self._least_seconds, TRAINED_PER_WRITTEN * self._write_seconds)

    @property
    def is_due(self) -> bool:
        """Whether the state should be saved now."""
        return self._left <= 0

    @property
    def left(self) -> float:
        """Seconds of training until it is due; 0 or less: it is due."""
        return self._left

    @property
    def is_worth_saving(self) -> bool:
        """Whether what was trained since the last time takes longer than to save it."""
        return self._unsaved > self._write_seconds

    def train(self, seconds: float) -> None:
        """So many seconds more were trained."""
        self._left -= seconds
        self._unsaved += seconds

    def save(self, seconds: float) -> None:
        """The state was saved, which took so many seconds."""
        self._write_seconds = seconds
        self._left = max(self._left, 0.0) + self._pause()
        self._unsaved = 0.0

    def fail(self) -> None:
        """The state could not be saved."""
        self._left = max(self._pause(), _PAUSE_AFTER_FAILURE_SECONDS)

    def go_back(self) -> None:
        """The pack goes on from what was saved."""
        self._unsaved = 0.0

    def inherit(self, left: float) -> None:
        """The pack goes on from others, of which a state is due in so many seconds: rungs that
        follow each other quickly are no reason to save nothing."""
        self._left = min(self._left, left)


def state_bytes(pack: Pack) -> int:
    """About how large the state of a pack is."""
    signature = pack.signature
    numbers = sum((inputs + 1) * outputs for inputs, outputs in pairwise(signature.sizes))
    copies = 1 + most_moments(pack.trials)
    return len(pack) * copies * numbers * np.dtype(signature.data_type).itemsize


def describe_signature(pack: Pack) -> str:
    """What packs must agree in for one to go on from the other's state, in words. The number of
    epochs is no part of it: it may grow."""
    s = pack.signature
    layers = "-".join(map(str, s.sizes))
    return f"{layers} {s.hidden_activation} {s.output_activation} {s.data_type} by {s.batch_size}"
