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

from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike, NDArray

from packtrain.training.blocks import Block
from packtrain.training.joint import ALONE, Layout, multiply, subtract
from packtrain.training.kernel import Floats, Networks
from packtrain.training.norms import bound_norms, square_sums
from packtrain.training.shown_rows import ShownRows
from packtrain.training.updates import Coefficients, Stepper

# Rows that share one product: of [784, 30, 10] on an EPYC 7003, more cost as much in the
# products between rows as they save elsewhere.
WINDOW_ROWS = 100
# Of the gradient, so much is made and applied at a time, while it is in the caches: with Adam,
# [784, 100, 100, 10] took 425, 381, 364 and 369 us a trial-step with 128, 256, 512 and 1,024 KB.
SLAB_BYTES = 512 * 1024
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
    their moments, in joint arrays."""

    def __init__(self, block: Block, layout: Layout, networks: Networks) -> None:
        self._layout = layout
        weights = networks.weights[0]
        self._dtype = weights.dtype
        self._weights = layout.load(weights)
        self._biases = layout.load(networks.biases[0][:, np.newaxis])
        self._bias_moments = [layout.load(m[0][:, np.newaxis]) for m in networks.bias_moments]
        self._is_deferred = block.is_linear
        self._decays = self._is_deferred and bool(block.l2.any())
        self._scale = layout.across(np.ones(len(block)), 1, np.float64)
        # 1 - eta lambda / n above each trial's columns, of the coefficients that it was made of.
        self._keep = np.ones_like(self._scale)
        self._columns: Coefficients | None = None
        self._windows: dict[int, Window] = {}
        self._window: Window | None = None
        self._stepper = Stepper(block, self._dtype, partial(layout.across, dtype=self._dtype))
        self._max_norm = layout.across(block.max_norm, np.inf, np.float64)
        self._has_max_norm = block.has_max_norm
        # Clipping needs the whole gradient before the first step.
        self._keeps_gradient = block.has_clip_norm
        if self._keeps_gradient:
            self._gradient = layout.zeros(weights.shape[1], self._dtype)
        self._is_alone = layout.arrangement is ALONE and not self._keeps_gradient
        # Not by the width of this block's matrices: BLAS may add otherwise in the last rows of a
        # product, and where a slab ends must not depend on how many trials there are.
        widest = max(layout.arrangement.widest, layout.units)
        slab = max(1, SLAB_BYTES // (widest * self._dtype.itemsize))
        ends = (*range(0, weights.shape[1], slab), weights.shape[1])
        self._slabs = [slice(*pair) for pair in pairwise(ends)]
        # By matrix and slab, because a moment may change places with what is spare.
        moments = [layout.load(m[0]) for m in networks.weight_moments]
        self._moments = [
            [[m[group, part] for m in moments] for part in self._slabs]
            for group in range(layout.groups)
        ]
        # Of a slab of so many rows, the gradient and scratch.
        self._spare = {
            rows: [np.empty((rows, layout.width), self._dtype) for _ in range(2)]
            for rows in {part.stop - part.start for part in self._slabs}
        }

    def weights(self) -> Floats:
        """(B, n_in, n_out), a copy."""
        return self._layout.unload(self._weights)

    def biases(self) -> Floats:
        """(B, n_out), a copy."""
        return self._layout.unload(self._biases)[:, 0]

    def moments(self) -> list[tuple[Floats, Floats]]:
        """Those of weights and biases, copies."""
        unload, found = self._layout.unload, []
        for kind, of_biases in enumerate(self._bias_moments):
            slabs = [[moments[kind] for moments in group] for group in self._moments]
            joint = np.stack([np.concatenate(group) for group in slabs])
            found.append((unload(joint), unload(of_biases)[:, 0]))
        return found

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
        """Where the errors of these rows belong between :meth:`weigh` and :meth:`step`, over m
        and times the rule's factor: a joint array, with zeros in its margins."""
        return self._open_window().present()

    def gradient_squares(self) -> NDArray[np.float64]:
        """The sum of squares of the gradient of these errors, (B,), of weights and biases."""
        window, errors = self._open_window(), self.errors()
        multiply(window.x.T, errors, self._gradient, self._layout)
        biases = np.add.reduce(errors, axis=1, keepdims=True)
        unload = self._layout.unload
        return square_sums(unload(self._gradient)) + square_sums(unload(biases))

    def scale_errors(self, factors: NDArray[np.float64]) -> None:
        """Multiply each trial's errors, and the gradient that was made of them, by (B,)."""
        across = self._layout.across(factors, 1, self._dtype)
        errors = self.errors()
        np.multiply(errors, across, out=errors)
        np.multiply(self._gradient, across, out=self._gradient)

    def step(self, columns: Coefficients) -> None:
        """One step, of the errors that now lie in :meth:`errors`."""
        window, errors = self._open_window(), self.errors()
        laid = self._stepper.laid(columns)
        gradient = np.add.reduce(errors, axis=1, keepdims=True)
        scratch = np.empty_like(gradient)
        self._stepper.step_biases(laid, self._biases, self._bias_moments, gradient, scratch)
        if self._is_deferred:
            if self._decays:
                if columns is not self._columns:
                    self._keep = self._layout.across(columns.keep, 1, np.float64)
                    self._columns = columns
                np.multiply(self._scale, self._keep, out=self._scale)
                np.multiply(errors, (1 / self._scale).astype(self._dtype), out=errors)
            self._note_biases(window)
        else:
            self._step_weights(laid, window.x, errors)
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

    def _step_weights(self, laid: Coefficients, x: Floats, errors: Floats) -> None:
        for group, weights in enumerate(self._weights):
            c = laid.at(group)
            for slab, moments in zip(self._slabs, self._moments[group], strict=True):
                w, spare = weights[slab], self._spare[slab.stop - slab.start]
                if self._keeps_gradient:
                    gradient, scratch = self._gradient[group, slab], spare[1]
                    self._stepper.step_weights(c, w, moments, gradient, scratch)
                    continue
                part, out = errors[group : group + 1], spare[0][np.newaxis]
                multiply(x[:, slab].T, part, out, self._layout)
                if self._is_alone:
                    self._stepper.step_alone(c, w, moments, spare)
                else:
                    self._stepper.step_weights(c, w, moments, *spare)
            if self._has_max_norm:
                bound_norms(weights, self._max_norm[group], axis=0)

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
