"""The first layer of a block's networks: one wide matrix, and steps that are put together.

The rows of the coming mini-batches are known, and the same for every trial of a block. Let V be
the weights before them, written W = s V with a scale s for each trial, k = 1 - eta lambda / n,
and D_i the errors of step i times eta / m. Then with s_j = k^j s and E_i = D_i / s_(i+1),

    W_j = s_j (V - sum_{i<j} X_i' E_i),   X_j W_j = s_j (X_j V - sum_{i<j} (X_j X_i') E_i).

The products with V become one for all these rows, the products X_j X_i' are shared by the block,
V is written once, and the decay costs nothing (the scale is Bottou's, "Stochastic gradient
descent tricks", 2012; dense linear algebra defers rank-k updates likewise: LAPACK's blocked
factorizations). Biases join the product as the errors of a row of ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from packtrain.training.blocks import Block
from packtrain.training.joint import Layout, multiply, subtract
from packtrain.training.kernel import Floats, Networks
from packtrain.training.shown_rows import ShownRows
from packtrain.training.updates import Stepper

# Rows that share one product: of [784, 30, 10] on an EPYC 7003, more cost as much in the
# products between rows as they save elsewhere.
WINDOW_ROWS = 100
# Of the gradient, so much is made and applied at a time, while it is in the caches.
SLAB_BYTES = 128 * 1024
# A scale below this is multiplied into the weights.
LEAST_SCALE = 2.0**-20


def window_rows(batch: int) -> int:
    """Rows of the mini-batches of ``batch`` rows that share one product."""
    return batch * max(1, WINDOW_ROWS // batch)


class Window:
    """The rows of some mini-batches, (rows, inputs), and the products between them.

    ``table`` is a joint array of 1 + rows: first the biases (the errors of a row of ones), then
    for each row its weighted inputs, which its errors replace.
    """

    def __init__(
        self, layout: Layout, rows: int, inputs: int, batch: int, dtype: DTypeLike
    ) -> None:
        self.x = np.empty((rows, inputs), dtype)
        self.table = layout.zeros(1 + rows, dtype)
        self._gram = np.empty((rows, rows), dtype)
        # By the first row of each mini-batch (m rows): the products of its rows with the row of
        # ones and with all rows before it, (m, 1 + first).
        self._between = {
            first: np.ones((min(batch, rows - first), 1 + first), dtype)
            for first in range(0, rows, batch)
        }
        self.done = 0

    def take(self, rows: ShownRows, places: slice) -> None:
        """Take the rows at ``places``, in their order."""
        rows.take(places, self.x)
        if len(self._between) > 1:
            np.matmul(self.x, self.x.T, out=self._gram)
        for first, between in self._between.items():
            between[:, 1:] = self._gram[first : first + len(between), :first]
        self.done = 0

    def between(self) -> Floats:
        """The products of the next mini-batch with what comes before it in the table."""
        return self._between[self.done]

    def before(self) -> Floats:
        """The biases and the errors of the mini-batches that are done."""
        return self.table[:, : 1 + self.done]

    def present(self) -> Floats:
        """The part of the table that belongs to the next mini-batch."""
        first = 1 + self.done
        return self.table[:, first : first + len(self.between())]


class FirstLayer:
    """Weights (B, n_in, n_out) and biases (B, n_out) of the first layer of ``networks`` and
    their velocities, in joint arrays."""

    def __init__(self, block: Block, layout: Layout, networks: Networks) -> None:
        self._layout = layout
        weights = networks.weights[0]
        self._dtype = weights.dtype
        self._weights = layout.load(weights)
        self._biases = layout.load(networks.biases[0][:, np.newaxis])
        self._velocities, self._bias_velocities = None, None
        if block.has_momentum:
            self._velocities = layout.load(networks.weight_velocities[0])
            self._bias_velocities = layout.load(networks.bias_velocities[0][:, np.newaxis])
        self._is_deferred = block.is_linear
        self._keep = layout.across(1 - block.decay, 1, np.float64)
        self._decays = bool((self._keep != 1).any())
        self._scale = np.ones_like(self._keep)
        self._windows: dict[int, Window] = {}
        self._window: Window | None = None
        self._stepper = Stepper.of(block, lambda c, fill: layout.across(c, fill, self._dtype))
        self._slab = max(1, SLAB_BYTES // (layout.width * self._dtype.itemsize))
        self._gradient = np.empty((self._slab, layout.width), self._dtype)
        self._scratch = np.empty_like(self._gradient)

    def weights(self) -> Floats:
        """(B, n_in, n_out), a copy."""
        return self._layout.unload(self._weights)

    def biases(self) -> Floats:
        """(B, n_out), a copy."""
        return self._layout.unload(self._biases)[:, 0]

    def velocities(self) -> tuple[Floats, Floats]:
        """Those of weights and biases, copies, where the block has momentum."""
        assert self._velocities is not None
        assert self._bias_velocities is not None
        unload = self._layout.unload
        return unload(self._velocities), unload(self._bias_velocities)[:, 0]

    def rows_together(self, batch: int) -> int:
        """Rows of the mini-batches of ``batch`` rows that :meth:`begin` takes at a time."""
        return window_rows(batch) if self._is_deferred else batch

    def begin(self, rows: ShownRows, places: slice, batch: int) -> None:
        """Take the rows at ``places`` for the next steps, of ``batch`` rows each."""
        count = places.stop - places.start
        if count not in self._windows:
            inputs = self._weights.shape[1]
            window = Window(self._layout, count, inputs, batch, self._dtype)
            self._windows[count] = window
        self._window = window = self._windows[count]
        window.take(rows, places)
        if self._is_deferred:
            multiply(window.x, self._weights, window.table[:, 1:], self._layout)
            self._note_biases(window)

    def _note_biases(self, window: Window) -> None:
        np.divide(self._biases, -self._scale, out=window.table[:, :1], casting="same_kind")

    def weigh(self, out: Floats) -> None:
        """The weighted inputs of the next step's rows, in ``out``, a joint array."""
        window = self._open_window()
        if not self._is_deferred:
            self.forward(window.x, out, slice(None))
            return
        if window.done == 0:
            np.subtract(window.present(), window.before(), out=out)
        else:
            multiply(window.between(), window.before(), out, self._layout)
            np.subtract(window.present(), out, out=out)
        if self._decays:
            np.multiply(out, self._scale.astype(self._dtype), out=out)

    def errors(self) -> Floats:
        """Where the errors of these rows, times eta / m, belong between :meth:`weigh` and
        :meth:`step`: a joint array, with zeros in its margins."""
        return self._open_window().present()

    def step(self) -> None:
        """One step, of the errors that now lie in :meth:`errors`."""
        window, errors = self._open_window(), self.errors()
        gradient = np.add.reduce(errors, axis=1, keepdims=True)
        self._stepper.step_biases(self._biases, self._bias_velocities, gradient)
        if self._is_deferred:
            if self._decays:
                np.multiply(self._scale, self._keep, out=self._scale)
                np.multiply(errors, (1 / self._scale).astype(self._dtype), out=errors)
            self._note_biases(window)
        else:
            self._step_weights(window.x, errors)
        window.done += errors.shape[1]

    def finish(self) -> None:
        """Write all steps since :meth:`begin` into the weights."""
        window, self._window = self._open_window(), None
        if not self._is_deferred:
            return
        subtract(window.x.T, window.table[:, 1:], self._weights, self._layout)
        if self._decays:
            small = self._scale < LEAST_SCALE
            if small.any():
                self._fold(small)

    def end_epoch(self) -> None:
        """Make the weights what they are."""
        if self._decays:
            self._fold(self._scale != 1)

    def _fold(self, which: NDArray[np.bool_]) -> None:
        scale = np.where(which, self._scale, 1).astype(self._dtype)
        np.multiply(self._weights, scale, out=self._weights)
        self._scale[which] = 1

    def _open_window(self) -> Window:
        assert self._window is not None, "begin was not called"
        return self._window

    def _step_weights(self, x: Floats, errors: Floats) -> None:
        for group, weights in enumerate(self._weights):
            stepper = self._stepper.at(group)
            for first in range(0, len(weights), self._slab):
                slab = slice(first, first + self._slab)
                w = weights[slab]
                v = None if self._velocities is None else self._velocities[group, slab]
                gradient, scratch = self._gradient[: len(w)], self._scratch[: len(w)]
                part = errors[group : group + 1]
                multiply(x[:, slab].T, part, gradient[np.newaxis], self._layout)
                stepper.step_weights(w, v, gradient, scratch)

    def forward(self, x: Floats, out: Floats, groups: slice) -> None:
        """The weighted inputs of rows x (r, n_in) in these groups, in a joint array."""
        multiply(x, self._weights[groups], out, self._layout)
        np.add(out, self._biases[groups], out=out)

    def are_finite(self) -> NDArray[np.bool_]:
        """Whether all weights and biases are finite, (B,)."""
        sums = np.add.reduce(self._weights, axis=1, keepdims=True)
        np.add(sums, self._biases, out=sums)
        finite = np.isfinite(self._layout.unload(sums)).all(axis=(1, 2))
        if not finite.all():
            # A sum of finite numbers may overflow.
            finite = np.isfinite(self.weights()).all(axis=(1, 2))
            finite &= np.isfinite(self.biases()).all(axis=1)
        return np.asarray(finite)
