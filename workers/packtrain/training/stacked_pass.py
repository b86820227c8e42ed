"""Buffers of the stacked kernel for one pass of some rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import NEEDS_Z
from packtrain.training.joint import WIDE, Layout
from packtrain.training.kernel import Floats, Rows
from packtrain.training.spec import Signature

# Bytes of the first layer's activations of a group of trials that are measured at a time, were
# its matrix as wide as they get.
MEASURED_BYTES = 640 * 1024


def rows_per_pass(signature: Signature) -> int:
    """Rows that are measured at a time: a function of the signature, because the order of sums
    follows from it."""
    width = max(WIDE.widest, signature.sizes[1])
    row = width * np.dtype(signature.data_type).itemsize
    return int(np.clip(MEASURED_BYTES // row // 20 * 20, 20, 500))


class StackedPass:
    """Buffers for a pass of ``rows`` rows through the networks in some groups of the layout:
    joint arrays (groups, rows, width) for the first layer where it is hidden, (groups, each,
    rows, neurons) for the others.

    Contiguous for any number of trials, because NumPy's loops may round differently where an
    array is strided. ``by_trial`` and ``shown`` are views (groups, each, rows, neurons) of what
    each hidden layer gives, and of what dropout lets the next one see of it.
    """

    def __init__(self, signature: Signature, layout: Layout, rows: int, groups: int) -> None:
        dtype, outputs = np.dtype(signature.data_type), signature.sizes[-1]
        self._layout, self._is_deep = layout, len(signature.sizes) > 2
        self.y = np.empty((rows, outputs), dtype)
        self.row_weights: Floats | None = None

        def joint() -> Floats:
            return np.zeros((groups, rows, layout.width), dtype)

        def layers() -> list[Floats]:
            stacked = [np.empty((groups, layout.each, rows, n), dtype) for n in signature.sizes[1:]]
            return [joint(), *stacked[1:]] if self._is_deep else stacked

        self.a = layers()
        # Weighted inputs of hidden layers: activations replace them where they can.
        keeps = signature.hidden_activation in NEEDS_Z
        self.weighed = [np.zeros_like(a) for a in self.a[:-1]] if keeps else self.a[:-1]
        self.joint = self.weighed[0] if self._is_deep else joint()
        self.z = np.empty_like(self.a[-1])
        self.delta = layers()
        self.scratch = layers()
        self.by_trial = self._views(self.a[:-1])
        self.shown = self.by_trial
        self.masks: list[Floats] = []
        self.mask_views: list[Floats] = []
        self.dropped: list[Floats] = []
        self.pass_through(slice(0, groups))

    def take_targets(self, rows: Rows, places: NDArray[np.intp]) -> None:
        """Those of the rows at ``places``, and what they count."""
        # mode="clip" lets NumPy write straight into the buffer; the rows are in range.
        np.take(rows.y, places, axis=0, out=self.y, mode="clip")
        self.row_weights = None if rows.weights is None else rows.weights[places]

    def pass_through(self, groups: slice) -> None:
        """Take the groups that the next pass is for."""
        self.groups, each = groups, self._layout.each
        self.trials = slice(groups.start * each, min(groups.stop * each, self._layout.trials))

    def _views(self, hidden: list[Floats]) -> list[Floats]:
        return [self._layout.by_trial(a) if a.ndim == 3 else a for a in hidden]

    def make_masks(self) -> None:
        self.dropped = [np.empty_like(a) for a in self.a[:-1]]
        self.shown = self._views(self.dropped)
        self.masks = [np.ones_like(a) for a in self.a[:-1]]
        self.mask_views = self._views(self.masks)

    def total(self, values: Floats, layer: int) -> NDArray[np.float64]:
        if layer == 1 and self._is_deep:
            values = np.ascontiguousarray(self._layout.by_trial(values))
        return sum_trials(self._of_trials(values))

    def count_rows(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.count_nonzero(self._of_trials(marks), axis=1), np.float64)

    def count_rows_by_output(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return self.count_rows(marks)

    def _of_trials(self, values: NDArray[Any]) -> NDArray[Any]:
        count = self.trials.stop - self.trials.start
        return values.reshape(-1, *values.shape[2:])[:count]


def sum_trials(values: Floats) -> NDArray[np.float64]:
    """The sum of each trial's part of (B, ...), (B,)."""
    # Over one contiguous axis, so that the order of the sum doesn't depend on the trials.
    flat = values.reshape(len(values), -1)
    return np.asarray(np.add.reduce(flat, axis=1), np.float64)
