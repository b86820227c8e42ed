"""What the arithmetic of two tiny networks takes as bare NumPy calls: the limit for any program
that is written with NumPy, measured on arrays that fit the caches.

    python benchmarks/bare_arithmetic.py

Each function does, for each epoch of each trial, one full-batch step in float32 and the figures
that the trainer's benchmark records, without a library around it: no checks, no state, no results
kept but the last.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from collections.abc import Callable
from typing import Any

import numpy as np

# Trials at a time, so that all arrays of the loop fit 512 KB.
NEURON_TRIALS, XOR_TRIALS = 8192, 1024
REPEATS = 3


def neuron_seconds(trials: int, epochs: int) -> float:
    """The least seconds of a sigmoid neuron with one input and one row, quadratic cost, its
    output and its cost."""
    return _fastest(trials, NEURON_TRIALS, lambda count: _train_neurons(count, epochs))


def xor_seconds(trials: int, epochs: int) -> float:
    """The least seconds of [2, 3, 1] sigmoid networks on four rows, cross-entropy and its value."""
    return _fastest(trials, XOR_TRIALS, lambda count: _train_xor(count, epochs))


def _fastest(trials: int, most: int, train: Callable[[int], None]) -> float:
    parts = [len(part) for part in np.array_split(np.arange(trials), -(-trials // most))]
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for count in parts:
            train(count)
        taken.append(time.perf_counter() - start)
    return min(taken)


def _sigmoid(z: Any, out: Any) -> None:
    np.negative(z, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.divide(1, out, out=out)


def _train_neurons(count: int, epochs: int) -> None:
    rng = np.random.default_rng(0)
    w, b, rate = rng.random((3, count), dtype=np.float32)
    a, error, scratch, output, cost = np.empty((5, count), np.float32)
    x, y = np.float32(1), np.float32(0)
    np.multiply(w, x, out=a)
    np.add(a, b, out=a)
    _sigmoid(a, a)
    for _ in range(epochs):
        np.subtract(a, y, out=error)
        np.subtract(1, a, out=scratch)
        np.multiply(scratch, a, out=scratch)
        np.multiply(error, scratch, out=error)
        np.multiply(error, rate, out=error)
        np.subtract(b, error, out=b)
        np.multiply(error, x, out=error)
        np.subtract(w, error, out=w)
        # The pass that measures this epoch is the forward pass of the next.
        np.multiply(w, x, out=a)
        np.add(a, b, out=a)
        _sigmoid(a, a)
        np.copyto(output, a)
        np.subtract(a, y, out=scratch)
        np.multiply(scratch, scratch, out=scratch)
        np.multiply(scratch, 0.5, out=cost)


def _train_xor(count: int, epochs: int) -> None:
    rng = np.random.default_rng(0)
    made = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 3), (3,), (3, 1), (1,)))
    w1, b1, w2, b2 = (np.repeat(values[..., np.newaxis], count, axis=-1) for values in made)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([0, 1, 1, 0], np.float32).reshape(4, 1, 1)
    rate = rng.random(count, dtype=np.float32)
    a1, d1, s1 = np.empty((3, 4, 3, count), np.float32)
    z2, a2, d2, s2, lost = np.empty((5, 4, 1, count), np.float32)
    g1, h1, g2, h2 = (np.empty_like(values) for values in (w1, b1, w2, b2))
    cost = np.empty((1, count), np.float32)

    def forward() -> None:
        np.einsum("ri,ijl->rjl", x, w1, out=a1)
        np.add(a1, b1, out=a1)
        _sigmoid(a1, a1)
        np.einsum("ril,ijl->rjl", a1, w2, out=z2)
        np.add(z2, b2, out=z2)
        _sigmoid(z2, a2)

    forward()
    for _ in range(epochs):
        np.subtract(a2, y, out=d2)
        np.multiply(d2, rate, out=d2)
        np.einsum("ril,rjl->ijl", a1, d2, out=g2)
        np.add.reduce(d2, axis=0, out=h2)
        np.einsum("rjl,ijl->ril", d2, w2, out=d1)
        np.subtract(1, a1, out=s1)
        np.multiply(s1, a1, out=s1)
        np.multiply(d1, s1, out=d1)
        np.einsum("ri,rjl->ijl", x, d1, out=g1)
        np.add.reduce(d1, axis=0, out=h1)
        for values, step in ((w1, g1), (b1, h1), (w2, g2), (b2, h2)):
            np.subtract(values, step, out=values)
        forward()
        # max(z, 0) - y z + ln(1 + exp(-|z|)), its logarithm with what rounding to 1 + x lost.
        np.abs(z2, out=d2)
        np.negative(d2, out=d2)
        np.exp(d2, out=d2)
        np.add(d2, 1, out=s2)
        np.subtract(s2, 1, out=lost)
        np.subtract(d2, lost, out=lost)
        np.divide(lost, s2, out=lost)
        np.log(s2, out=d2)
        np.add(d2, lost, out=d2)
        np.multiply(z2, y, out=s2)
        np.subtract(d2, s2, out=d2)
        np.maximum(z2, 0, out=s2)
        np.add(d2, s2, out=d2)
        np.add.reduce(d2, axis=0, out=cost)
        np.divide(cost, 4, out=cost)


def main() -> None:
    trials = 10_000
    neuron = neuron_seconds(trials, 100) / (100 * trials) * 1e9
    xor = xor_seconds(trials, 50) / (50 * trials) * 1e9
    print(f"a neuron, its output and cost: {neuron:.1f} ns a trial-epoch")
    print(f"[2, 3, 1] on four rows, its cost: {xor:.1f} ns a trial-step")


if __name__ == "__main__":
    main()
