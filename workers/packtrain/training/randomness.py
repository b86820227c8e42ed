"""Counter-based randomness: a draw is a function of its seed and what it is for.

No generator outlives its use, so a number does not depend on what was drawn before it, on the
pack that a trial sits in, or on where a segment began. The generator is Philox 4x64 (Salmon et
al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Generators = list[list[np.random.Generator]]  # by layer, by trial


class Purpose(IntEnum):
    """What a draw is for. The values are part of every result: never renumber them."""

    INITIALIZATION = 1
    ORDER = 2
    DROPOUT = 3
    AUGMENTATION = 4
    NOISE = 5


def make_generator(
    seed: int, purpose: Purpose, *, layer: int = 0, epoch: int = 0, chunk: int = 0
) -> np.random.Generator:
    """A fresh generator keyed on ``seed`` (0 to 2**64 - 1), purpose, layer, epoch and chunk: the
    number of a part of what would be too much to draw at once."""
    # Philox counts in the counter's lowest word; the others are free to name the use.
    counter = np.array([0, chunk, layer, epoch], dtype=np.uint64)
    key = np.array([seed, purpose], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def order_rows(order_seed: int, epoch: int, rows: int) -> NDArray[np.intp]:
    """The order, (rows,), in which an epoch (from 1) goes through the training rows."""
    generator = make_generator(order_seed, Purpose.ORDER, epoch=epoch)
    return generator.permutation(rows).astype(np.intp, copy=False)


def make_dropout_generators(
    seeds: NDArray[np.uint64], layers: Sequence[int], epoch: int
) -> Generators:
    """For each of ``layers`` a generator per seed; an epoch's masks are drawn step by step."""
    return [
        [make_generator(int(seed), Purpose.DROPOUT, layer=layer, epoch=epoch) for seed in seeds]
        for layer in layers
    ]
