"""The bare arithmetic of a network with Adam: that it runs, and learns what it is shown."""

from __future__ import annotations

import numpy as np
from benchmarks import bare_adam


def test_it_takes_time() -> None:
    assert bare_adam.step_seconds(2, repeats=1) > 0


def test_its_networks_learn() -> None:
    networks = bare_adam.Networks(2)
    rows = np.arange(bare_adam.BATCH)
    before = networks.parameters[2].copy()
    for _ in range(60):
        networks.step(rows)
    x = networks.buffers[len(rows)][5]
    networks.forward(x)
    guesses = networks.buffers[len(rows)][2].argmax(axis=-1)
    assert (guesses == networks.y[rows].argmax(axis=1)).mean() > 0.8
    assert not np.array_equal(before, networks.parameters[2])
