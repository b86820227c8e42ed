"""What [784, 100, 100, 10] with Adam takes as bare NumPy calls: the limit for any program that is
written with NumPy.

    python benchmarks/bare_adam.py

Some networks side by side, ReLU and softmax, mini-batches of 32 of 1,000 rows and the cost and the
accuracy of 1,000 others each epoch, as the trainer's benchmark has them: without checks, choices,
state, or a result that is kept.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from typing import Any

import numpy as np

UNITS, BATCH, ROWS, MEASURED = 100, 32, 1000, 200
SLAB_BYTES = 512 * 1024
REPEATS = 9
BETA1, BETA2 = np.array(0.9, np.float32), np.array(0.999, np.float32)
RATE, EPSILON = np.array(1e-3, np.float32), np.array(1e-8, np.float32)


class Networks:
    """``count`` networks: first layers side by side, (784, count * 100), the others stacked."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.count, width = count, count * UNITS
        self.x, self.shown = rng.random((2, ROWS, 784), dtype=np.float32)
        self.y = np.eye(10, dtype=np.float32)[rng.integers(0, 10, ROWS)]
        self.classes = rng.integers(0, 10, ROWS)
        shapes = [(784, width), (count, UNITS, UNITS), (count, UNITS, 10)]
        shapes += [(1, width), (count, 1, UNITS), (count, 1, 10)]
        self.parameters = [0.05 * rng.standard_normal(s).astype(np.float32) for s in shapes]
        self.moments = [[np.zeros_like(p), np.zeros_like(p)] for p in self.parameters]
        self.gradients = [np.empty_like(p) for p in self.parameters]
        self.scratch = [np.empty_like(p) for p in self.parameters]
        self.slab = max(1, SLAB_BYTES // (4 * width))
        self.zeros = np.zeros(width, np.float32)
        self.buffers = {rows: self._make_buffers(rows) for rows in (BATCH, ROWS % BATCH, MEASURED)}

    def _make_buffers(self, rows: int) -> list[Any]:
        width = self.count * UNITS
        shapes = [(rows, width), (self.count, rows, UNITS), (self.count, rows, 10)]
        shapes += [*shapes[:2], (rows, 784)]
        made: list[Any] = [np.empty(shape, np.float32) for shape in shapes]
        return [*made, np.empty(shapes[0], np.bool_), np.empty(shapes[1], np.bool_)]

    def _by_network(self, joint: Any) -> Any:
        return joint.reshape(len(joint), self.count, UNITS).transpose(1, 0, 2)

    def forward(self, x: Any) -> None:
        """The rows' activations and weighted inputs, in the buffers of so many rows."""
        a1, a2, z3, *_ = self.buffers[len(x)]
        w1, w2, w3, b1, b2, b3 = self.parameters
        np.matmul(x, w1, out=a1)
        np.add(a1, b1, out=a1)
        np.maximum(a1, self.zeros, out=a1)
        np.matmul(self._by_network(a1), w2, out=a2)
        np.add(a2, b2, out=a2)
        np.maximum(a2, self.zeros[:UNITS], out=a2)
        np.matmul(a2, w3, out=z3)
        np.add(z3, b3, out=z3)

    def step(self, rows: Any) -> None:
        """One mini-batch."""
        a1, a2, z3, d1, d2, x, above1, above2 = self.buffers[len(rows)]
        np.take(self.x, rows, axis=0, out=x, mode="clip")
        self.forward(x)
        np.subtract(z3, z3.max(axis=-1, keepdims=True), out=z3)
        np.exp(z3, out=z3)
        np.divide(z3, z3.sum(axis=-1, keepdims=True), out=z3)
        np.subtract(z3, self.y[rows], out=z3)
        np.multiply(z3, np.float32(1 / len(rows)), out=z3)
        _, w2, w3, *_ = self.parameters
        g1, g2, g3, h1, h2, h3 = self.gradients
        np.matmul(z3, w3.swapaxes(1, 2), out=d2)
        np.multiply(d2, np.greater(a2, 0, out=above2), out=d2)
        np.matmul(d2, w2.swapaxes(1, 2), out=self._by_network(d1))
        np.multiply(d1, np.greater(a1, 0, out=above1), out=d1)
        np.matmul(a2.swapaxes(1, 2), z3, out=g3)
        np.matmul(self._by_network(a1).swapaxes(1, 2), d2, out=g2)
        np.add.reduce(z3, axis=1, keepdims=True, out=h3)
        np.add.reduce(d2, axis=1, keepdims=True, out=h2)
        np.add.reduce(d1, axis=0, keepdims=True, out=h1)
        for index in range(1, 6):
            self._descend(index, slice(None), self.gradients[index])
        for first in range(0, 784, self.slab):
            part = slice(first, min(first + self.slab, 784))
            gradient = g1[: part.stop - first]
            np.matmul(x[:, part].T, d1, out=gradient)
            self._descend(0, part, gradient)

    def _descend(self, index: int, part: slice, g: Any) -> None:
        p = self.parameters[index][part]
        m, s = (kept[part] for kept in self.moments[index])
        t = self.scratch[index][: len(p)]
        np.multiply(m, BETA1, out=m)
        np.add(m, g, out=m)
        np.multiply(s, BETA2, out=s)
        np.multiply(g, g, out=t)
        np.add(s, t, out=s)
        np.sqrt(s, out=t)
        np.add(t, EPSILON, out=t)
        np.divide(m, t, out=g)
        np.multiply(g, RATE, out=g)
        np.subtract(p, g, out=p)

    def measure(self) -> None:
        """The cost and the accuracy of the other rows."""
        z3 = self.buffers[MEASURED][2]
        for first in range(0, ROWS, MEASURED):
            classes = self.classes[first : first + MEASURED]
            self.forward(self.shown[first : first + MEASURED])
            top = z3.max(axis=-1, keepdims=True)
            logarithm = np.log(np.exp(z3 - top).sum(axis=-1)) + top[..., 0]
            (logarithm - z3[:, np.arange(MEASURED), classes]).sum(axis=1)
            (z3.argmax(axis=-1) == classes).sum(axis=1)


def step_seconds(count: int, repeats: int = REPEATS) -> float:
    """The least seconds of a step of one of ``count`` networks, with its share of measuring."""
    networks, rng, taken = Networks(count), np.random.default_rng(1), []
    for _ in range(repeats + 1):
        order = rng.permutation(ROWS)
        began = time.perf_counter()
        for first in range(0, ROWS, BATCH):
            networks.step(order[first : first + BATCH])
        networks.measure()
        taken.append(time.perf_counter() - began)
    return min(taken[1:]) / (count * -(-ROWS // BATCH))


def main() -> None:
    for count in (1, 4, 8):
        print(f"{count} networks: {step_seconds(count) * 1e6:.0f} us a trial-step", flush=True)


if __name__ == "__main__":
    main()
