"""Products of layers whose last axis are trials: r rows, i inputs, j outputs of a layer, l lanes.

NumPy's einsum multiplies and adds in one pass, and its innermost loop runs along the lanes, so
that each trial's sum is added in the same order whatever the number of trials. Where there is but
one term, a plain product needs no pass to clear ``out``. What a layer is shown is (r, i, l), or
(r, i, 1) where all trials see the same.
"""

from __future__ import annotations

import numpy as np

from packtrain.training.kernel import Floats


def weigh(shown: Floats, weights: Floats, out: Floats) -> None:
    """Sum over i of shown[r, i] weights[i, j], in ``out`` (r, j, l)."""
    if len(weights) == 1:
        np.multiply(shown, weights[0], out=out)
    else:
        np.einsum("ril,ijl->rjl", shown, weights, out=out)


def weigh_back(delta: Floats, weights: Floats, out: Floats) -> None:
    """Sum over j of delta[r, j] weights[i, j], in ``out`` (r, i, l)."""
    if weights.shape[1] == 1:
        np.multiply(delta, weights[:, 0], out=out)
    else:
        np.einsum("rjl,ijl->ril", delta, weights, out=out)


def correlate(shown: Floats, delta: Floats, out: Floats) -> None:
    """Sum over r of shown[r, i] delta[r, j], in ``out`` (i, j, l)."""
    if len(delta) == 1:
        np.multiply(shown[0][:, np.newaxis], delta[0], out=out)
    else:
        np.einsum("ril,rjl->ijl", shown, delta, out=out)


def add_rows(delta: Floats, out: Floats) -> None:
    """Sum over r of delta[r, j], in ``out`` (j, l)."""
    if len(delta) == 1:
        np.copyto(out, delta[0])
    else:
        np.add.reduce(delta, axis=0, out=out)
