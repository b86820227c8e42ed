"""Activations a = f(z) and their derivatives, in place, for any layout of the trial axis.

``axis`` is the axis along which a layer's neurons lie; only softmax needs it. Arrays that are
written are of the shape of ``z``. Nothing here repairs infinities: they make a trial diverge.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from packtrain.training.spec import Activation

# The slope of a leaky ReLU below 0 (Maas et al., 2013).
LEAK = 0.01

# Those whose derivative can't be told from a, because they fall before they rise.
NEEDS_Z = frozenset({Activation.GELU, Activation.SILU})

# Those that only an output layer can have.
OUTPUT_ONLY = frozenset({Activation.SOFTMAX, Activation.EXPONENTIAL})

# Below this, starting on each row anew costs more than a row of zeros saves.
LONG_ROW = 64

# What counts as saturated: the share of its range that is within 5 % of an end, or less than
# 0.05 away from the end of an activation that has one end.
SATURATION_MARGIN = 0.05

# Where a < 0 rises above -0.05 on its way to 0 as z falls: the solution of f(z) = -0.05 that is
# farther from 0.
_FLAT_BELOW = {Activation.GELU: -1.948861041, Activation.SILU: -4.485335545}


def activate(activation: Activation, z: NDArray[Any], out: NDArray[Any], axis: int) -> None:
    """Write f(z) into ``out``, which may be ``z`` itself where f is not in :data:`NEEDS_Z`."""
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
            np.maximum(z, _zero_beside(z), out=out)
        case Activation.LEAKY_RELU:
            np.maximum(z, np.multiply(z, LEAK), out=out)
        case Activation.ELU:
            below = _exp_less_one(np.minimum(z, 0))
            np.maximum(z, 0, out=out)
            np.add(out, below, out=out)
        case Activation.GELU:
            ndtr(z, out=out)
            np.multiply(out, z, out=out)
        case Activation.SILU:
            activate(Activation.SIGMOID, z, out, axis)
            np.multiply(out, z, out=out)
        case Activation.SOFTPLUS:
            # ln(1 + exp(z)) = max(z, 0) + ln(1 + exp(-|z|))
            beyond = np.abs(z)
            np.negative(beyond, out=beyond)
            np.exp(beyond, out=beyond)
            log1p(beyond, np.empty_like(beyond))
            np.maximum(z, 0, out=out)
            np.add(out, beyond, out=out)
        case Activation.EXPONENTIAL:
            np.exp(z, out=out)
        case Activation.IDENTITY:
            if out is not z:
                np.copyto(out, z)
        case Activation.SOFTMAX:
            np.subtract(z, np.maximum.reduce(z, axis=axis, keepdims=True), out=out)
            np.exp(out, out=out)
            np.divide(out, np.add.reduce(out, axis=axis, keepdims=True), out=out)


def differentiate(
    activation: Activation, z: NDArray[Any] | None, a: NDArray[Any], out: NDArray[Any]
) -> NDArray[Any] | None:
    """f'(z), told from a = f(z), in ``out``; None where it is 1 everywhere.

    Only the activations in :data:`NEEDS_Z` look at ``z``, which may be None for the others.
    Where f has a kink, at 0, f' is that of z < 0. Softmax has no derivative of its own per
    neuron: see :func:`packtrain.training.costs.output_error`.
    """
    match activation:
        case Activation.SIGMOID:
            np.subtract(1, a, out=out)
            np.multiply(out, a, out=out)
        case Activation.TANH:
            np.multiply(a, a, out=out)
            np.subtract(1, out, out=out)
        case Activation.RELU:
            np.greater(a, 0, out=out)
        case Activation.LEAKY_RELU:
            np.sign(a, out=out)
            np.maximum(out, LEAK, out=out)
        case Activation.ELU:
            np.minimum(a, 0, out=out)
            np.add(out, 1, out=out)
        case Activation.GELU:
            _differentiate_gelu(_needed(z), out)
        case Activation.SILU:
            # s + a (1 - s), where s is the sigmoid of z
            activate(Activation.SIGMOID, _needed(z), out, -1)
            rest = np.subtract(1, out)
            np.multiply(rest, a, out=rest)
            np.add(out, rest, out=out)
        case Activation.SOFTPLUS:
            np.negative(a, out=out)
            np.exp(out, out=out)
            np.subtract(1, out, out=out)
        case Activation.EXPONENTIAL:
            np.copyto(out, a)
        case Activation.IDENTITY:
            return None
        case Activation.SOFTMAX:
            raise ValueError("softmax can't be the activation of a hidden layer")
    return out


def mark_saturated(
    activation: Activation, z: NDArray[Any] | None, a: NDArray[Any], out: NDArray[Any]
) -> None:
    """1 in ``out`` where a neuron hardly learns, else 0.

    Sigmoid and softmax: a < 0.05 or a > 0.95; tanh: the same share of its range, so
    abs(a) > 0.9; ReLU: a = 0; ELU: a < -0.95; softplus and exponential: a < 0.05; GELU and SiLU,
    which need ``z``: a > -0.05 left of their dip; leaky ReLU and identity: never, because they
    have no end.
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
        case Activation.ELU:
            np.less(a, SATURATION_MARGIN - 1, out=out)
        case Activation.SOFTPLUS | Activation.EXPONENTIAL:
            np.less(a, SATURATION_MARGIN, out=out)
        case Activation.GELU | Activation.SILU:
            np.less(_needed(z), _FLAT_BELOW[activation], out=out)
        case Activation.LEAKY_RELU | Activation.IDENTITY:
            out[...] = 0


def log1p(x: NDArray[Any], scratch: NDArray[Any]) -> None:
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


def _zero_beside(z: NDArray[Any]) -> NDArray[Any]:
    """0 to compare ``z`` with: a row of them where rows are long, because NumPy (2.4) compares
    arrays four times as fast as an array with a number."""
    return np.zeros(z.shape[-1] if z.shape[-1] >= LONG_ROW else (), z.dtype)


def _exp_less_one(z: NDArray[Any]) -> NDArray[Any]:
    """exp(z) - 1 for z <= 0, in place, with no digit lost near 0.

    np.expm1 has no vector code; the hyperbolic tangent has, and with t = tanh(z / 2) it is
    2 t / (1 - t).
    """
    np.multiply(z, 0.5, out=z)
    np.tanh(z, out=z)
    rest = np.subtract(1, z)
    np.divide(z, rest, out=z)
    np.multiply(z, 2, out=z)
    return z


def _differentiate_gelu(z: NDArray[Any], out: NDArray[Any]) -> None:
    """P(z) + z p(z), with the normal distribution's function P and density p."""
    density = np.multiply(z, z)
    np.multiply(density, -0.5, out=density)
    np.exp(density, out=density)
    np.multiply(density, z, out=density)
    np.multiply(density, 1 / math.sqrt(2 * math.pi), out=density)
    ndtr(z, out=out)
    np.add(out, density, out=out)


def _needed(z: NDArray[Any] | None) -> NDArray[Any]:
    if z is None:
        raise ValueError("GELU and SiLU need their weighted inputs z")
    return z
