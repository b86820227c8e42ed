"""The first layer's update, deferred over a few mini-batches.

The rows of the coming mini-batches are known, and the same for every trial of a block; so with
the weights W before them, W_j = k^j W - sum_{i<j} k^(j-1-i) X_i' D_i, where D_i are the scaled
errors of step i and k = 1 - eta lambda / n, and the weighted inputs of step j are

    X_j W_j = k^j (X_j W) - sum_{i<j} k^(j-1-i) (X_j X_i') D_i.

The products with W become one for all these rows, the products X_j X_i' are shared by the block,
and W is written once. It is the same arithmetic in another order: matrix products of 10 rows
run at a third of the machine's peak, those of 50 near it. (Dense linear algebra defers rank-k
updates for the same reason: LAPACK's blocked factorizations.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import blas

from packtrain.training.kernel import Floats
from packtrain.training.spec import Signature

# Rows that are gathered into one product: measured best between 40 and 60 for [784, 30, 10].
DEFERRED_ROWS = 50
MOST_STEPS = 16


def deferred_steps(signature: Signature) -> int:
    """Mini-batches that share one product; 1 where they are large enough by themselves."""
    return max(1, min(DEFERRED_ROWS // signature.batch_size, MOST_STEPS))


class DeferredLayer:
    """The first layer of a block's networks, ``weights`` (B, n_in, n_out), for ``rows`` rows.

    Between :meth:`begin` and :meth:`finish` the weights are those before the first step.
    ``keep`` is k, (B, 1, 1).
    """

    def __init__(self, weights: Floats, keep: Floats, rows: int) -> None:
        count, inputs, outputs = weights.shape
        self._weights, self._keep = weights, keep
        self._x = np.empty((rows, inputs), weights.dtype)
        # The same rows as BLAS multiplies them fastest in the update: a quarter less time.
        self._x_columns = np.empty_like(self._x, order="F")
        self._gram = np.empty((rows, rows), weights.dtype)
        self._z = np.empty((count, rows, outputs), weights.dtype)
        self._errors = np.empty_like(self._z)
        self._power = np.empty_like(keep)
        self._done = 0
        (self._gemm,) = blas.get_blas_funcs(("gemm",), dtype=weights.dtype)
        self._columns = [(d.T, w.T) for d, w in zip(self._errors, weights, strict=True)]

    def begin(self, x: Floats, rows: Any) -> None:
        """Take the rows ``rows`` of ``x``, in their order, as those of the coming steps."""
        # mode="clip" lets NumPy write straight into the buffer; the rows are in range.
        np.take(x, rows, axis=0, out=self._x, mode="clip")
        np.copyto(self._x_columns, self._x)
        np.matmul(self._x, self._weights, out=self._z)
        np.matmul(self._x, self._x.T, out=self._gram)
        self._power[...] = 1
        self._done = 0

    def weigh(self, out: Floats) -> None:
        """The weighted inputs of the next step, without biases, in ``out`` (B, m, n_out)."""
        first, last = self._done, self._done + out.shape[1]
        np.multiply(self._z[:, first:last], self._power, out=out)
        if first:
            out -= np.matmul(self._gram[first:last, :first], self._errors[:, :first])

    def step(self, delta: Floats) -> None:
        """Note the errors of the step, scaled by eta / m, (B, m, n_out)."""
        first, last = self._done, self._done + delta.shape[1]
        self._errors[:, :first] *= self._keep
        self._errors[:, first:last] = delta
        self._power *= self._keep
        self._done = last

    def finish(self) -> None:
        """Write all steps into the weights, in place."""
        powers, x = self._power.ravel().tolist(), self._x_columns
        for power, (errors, weights) in zip(powers, self._columns, strict=True):
            # Positional: (alpha, a, b, beta, c, trans_a, trans_b, overwrite_c).
            self._gemm(-1.0, errors, x, power, weights, 0, 0, 1)
