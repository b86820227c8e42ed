"""Activations a = f(z) and their derivatives, in place, for any layout of the trial axis.

``axis`` is the axis along which a layer's neurons lie; only softmax needs it. Nothing here
allocates but softmax's row figures, and nothing repairs infinities: they make a trial diverge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.spec import Activation

# What counts as saturated: the share of its range that is within 5 % of an end.
SATURATION_MARGIN = 0.05


def activate(activation: Activation, z: NDArray[Any], out: NDArray[Any], axis: int) -> None:
    """Write f(z) into ``out``, which may be ``z``."""
    match activation:
        case Activation.SIGMOID:
            # exp(-z) overflows to infinity for very negative z, and 1/infinity is the right 0.
            np.negative(z, out=out)
            np.exp(out, out=out)
            np.add(out, 1, out=out)
            np.divide(1, out, out=out)
        case Activation.TANH:
            np.tanh(z, out=out)
        case Activation.RELU:
            np.maximum(z, 0, out=out)
        case Activation.IDENTITY:
            if out is not z:
                np.copyto(out, z)
        case Activation.SOFTMAX:
            np.subtract(z, np.maximum.reduce(z, axis=axis, keepdims=True), out=out)
            np.exp(out, out=out)
            np.divide(out, np.add.reduce(out, axis=axis, keepdims=True), out=out)


def differentiate(
    activation: Activation, a: NDArray[Any], out: NDArray[Any]
) -> NDArray[Any] | None:
    """f'(z), told from a = f(z), in ``out``; None where it is 1 everywhere.

    Softmax has no derivative of its own per neuron: see
    :func:`packtrain.training.costs.output_error`.
    """
    match activation:
        case Activation.SIGMOID:
            np.subtract(1, a, out=out)
            np.multiply(out, a, out=out)
        case Activation.TANH:
            np.multiply(a, a, out=out)
            np.subtract(1, out, out=out)
        case Activation.RELU:
            np.sign(a, out=out)
        case Activation.IDENTITY:
            return None
        case Activation.SOFTMAX:
            raise ValueError("softmax can't be the activation of a hidden layer")
    return out


def mark_saturated(activation: Activation, a: NDArray[Any], out: NDArray[Any]) -> None:
    """1 in ``out`` where a neuron hardly learns, else 0.

    Sigmoid and softmax: a < 0.05 or a > 0.95; tanh: the same share of its range, so
    abs(a) > 0.9; ReLU: a = 0; identity: never.
    """
    match activation:
        case Activation.SIGMOID | Activation.SOFTMAX:
            np.subtract(a, 0.5, out=out)
            np.abs(out, out=out)
            np.greater(out, 0.5 - SATURATION_MARGIN, out=out)
        case Activation.TANH:
            np.abs(a, out=out)
            np.greater(out, 1 - 2 * SATURATION_MARGIN, out=out)
        case Activation.RELU:
            np.less_equal(a, 0, out=out)
        case Activation.IDENTITY:
            out[...] = 0
