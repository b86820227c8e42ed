"""Euclidean norms of what a trial holds, in an order that no other trial has a part in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def square_sums(values: NDArray[Any]) -> NDArray[np.float64]:
    """The sum of squares of each trial's part of (B, ...), (B,)."""
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    return np.asarray(np.vecdot(flat, flat), np.float64)


def are_all_finite(values: NDArray[Any]) -> bool:
    """Whether all numbers of a contiguous array are finite, in one pass and without a new array."""
    flat = values.ravel()
    # One number tells it. That it isn't finite may be an overflow of their squares.
    return math.isfinite(np.dot(flat, flat)) or bool(np.isfinite(flat).all())


def bound_norms(weights: NDArray[Any], bound: NDArray[np.float64], axis: int) -> None:
    """Scale down, in place, the weights that enter a neuron, along ``axis``, to the norm
    ``bound`` where they exceed it (Srivastava et al., 2014)."""
    squares = np.add.reduce(np.multiply(weights, weights), axis=axis, keepdims=True)
    norms = np.sqrt(squares.astype(np.float64))
    # Not below the bound by a rounding, and 0 where all are 0.
    factors = np.divide(bound, norms, out=np.ones_like(norms), where=norms > bound)
    np.multiply(weights, factors.astype(weights.dtype), out=weights)


def clip_factors(squares: NDArray[np.float64], bound: NDArray[np.float64]) -> NDArray[np.float64]:
    """What gradients of these squared norms, (B,), are multiplied by so as not to exceed
    ``bound``, (B,)."""
    norms = np.sqrt(squares)
    return np.divide(bound, norms, out=np.ones_like(norms), where=norms > bound)
