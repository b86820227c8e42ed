"""Trains and measures the networks of a kernel, epoch by epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packtrain.training.kernel import Kernel, Rows
from packtrain.training.measurement import Meter
from packtrain.training.scores import Columns
from packtrain.training.tape import Tape, Watched, strip


class _Recording:
    """An epoch's tape, its metrics, and the ``is_passed`` that it leaves its kernel with."""

    def __init__(self, tape: Tape, columns: Columns | None, is_passed: bool) -> None:
        self.tape, self.is_passed = tape, is_passed
        watched = columns is None or all(isinstance(c, Watched) for c in columns.values())
        self.is_whole = tape.is_whole and watched
        self.columns = columns and {name: strip(column) for name, column in columns.items()}


class Epochs:
    """The epochs of a kernel. Where they repeat, the second of a kind is recorded, and those
    after it are played."""

    def __init__(self, kernel: Kernel, meter: Meter, rows: Rows) -> None:
        self._kernel, self._meter, self._rows = kernel, meter, rows
        self._do_repeat = kernel.does_repeat(rows)
        self._recordings: dict[tuple[bool, bool], _Recording | None] = {}
        self._rate_share: NDArray[np.float64] | None = None

    def run(self, epoch: int, rate_share: NDArray[np.float64]) -> Columns | None:
        """Train ``epoch`` and measure it where that is due: metric columns, each (B,), by name.
        They are good until the next epoch."""
        kind = self._meter.is_due(epoch), self._kernel.is_passed
        if rate_share is not self._rate_share and not self._is_same(rate_share):
            self._recordings, self._rate_share = {}, rate_share
        if not self._do_repeat or kind not in self._recordings:
            self._recordings[kind] = None
            return self._run(self._kernel, epoch, rate_share)
        recording = self._recordings[kind]
        if recording is None:
            recording = self._record(epoch, rate_share)
            self._recordings[kind] = recording
            self._do_repeat = recording.is_whole
        else:
            recording.tape.play()
        self._kernel.is_passed = recording.is_passed
        return recording.columns

    def _run(self, kernel: Kernel, epoch: int, rate_share: NDArray[np.float64]) -> Columns | None:
        kernel.train_epoch(self._rows, epoch, rate_share)
        return self._meter.measure(kernel) if self._meter.is_due(epoch) else None

    def _is_same(self, rate_share: NDArray[np.float64]) -> bool:
        return self._rate_share is not None and np.array_equal(rate_share, self._rate_share)

    def _record(self, epoch: int, rate_share: NDArray[np.float64]) -> _Recording:
        tape = Tape()
        seen = self._kernel.on(tape)
        columns = self._run(seen, epoch, rate_share)
        tape.finish()
        return _Recording(tape, columns, seen.is_passed)
