"""Costs and their errors at the output layer (Nielsen, chapter 3).

Both work on any layout of the trial axis: ``axis`` is where the outputs lie. Arrays of the
network are (trials, rows, outputs) or (rows, outputs, trials); the targets broadcast to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import differentiate
from packtrain.training.spec import Activation, Cost, CostKind

# The output activation that a cost demands, where it does.
REQUIRED_OUTPUT: dict[CostKind, Activation] = {
    CostKind.CROSS_ENTROPY: Activation.SIGMOID,
    CostKind.LOG_LIKELIHOOD: Activation.SOFTMAX,
}


def output_error(
    cost: Cost,
    activation: Activation,
    z: NDArray[Any],
    a: NDArray[Any],
    y: NDArray[Any],
    row_weights: NDArray[Any] | None,
    out: NDArray[Any],
    scratch: NDArray[Any],
    axis: int,
) -> None:
    """The error delta = dC/dz of each row, in ``out``.

    Cross-entropy with sigmoid and log-likelihood with softmax (rows of y sum to 1): a - y.
    Quadratic: (a - y) f'(z), for softmax through its Jacobian.
    """
    np.subtract(a, y, out=out)
    if cost.kind is not CostKind.QUADRATIC:
        return
    if activation is Activation.SOFTMAX:
        np.multiply(out, a, out=scratch)
        np.subtract(out, np.add.reduce(scratch, axis=axis, keepdims=True), out=out)
        np.multiply(out, a, out=out)
    else:
        derivative = differentiate(activation, a, scratch)
        if derivative is not None:
            np.multiply(out, derivative, out=out)


def elementwise_cost(
    cost: Cost,
    z: NDArray[Any],
    a: NDArray[Any],
    y: NDArray[Any],
    out: NDArray[Any],
    scratch: NDArray[Any],
    axis: int,
) -> None:
    """Each output's part of each row's cost, in ``out``: their sum over n is the bare cost.

    Cross-entropy and log-likelihood are computed from z, so that no logarithm of 0 arises.
    """
    match cost.kind:
        case CostKind.QUADRATIC:
            np.subtract(a, y, out=out)
            np.multiply(out, out, out=out)
            np.multiply(out, 0.5, out=out)
        case CostKind.CROSS_ENTROPY:
            # -y ln a - (1 - y) ln(1 - a) = max(z, 0) - y z + ln(1 + exp(-|z|))
            np.abs(z, out=out)
            np.negative(out, out=out)
            np.exp(out, out=out)
            _log1p(out, scratch)
            np.multiply(z, y, out=scratch)
            np.subtract(out, scratch, out=out)
            np.maximum(z, 0, out=scratch)
            np.add(out, scratch, out=out)
        case CostKind.LOG_LIKELIHOOD:
            np.subtract(z, np.maximum.reduce(z, axis=axis, keepdims=True), out=out)
            np.exp(out, out=scratch)
            logarithm = np.log(np.add.reduce(scratch, axis=axis, keepdims=True))
            np.subtract(logarithm, out, out=out)
            np.multiply(out, y, out=out)


def _log1p(x: NDArray[Any], scratch: NDArray[Any]) -> None:
    """ln(1 + x) in place, for x from 0 to 1, to an error of about one unit in the last place.

    np.log1p has no vector code; a logarithm of w = fl(1 + x) has, and what w lost is x - (w - 1),
    exactly (HP-15C Advanced Functions Handbook, 1982): ln(1 + x) = ln w + (x - (w - 1)) / w.
    """
    np.add(x, 1, out=scratch)
    lost = np.subtract(scratch, 1)
    np.subtract(x, lost, out=lost)
    np.divide(lost, scratch, out=lost)
    np.log(scratch, out=scratch)
    np.add(scratch, lost, out=x)
