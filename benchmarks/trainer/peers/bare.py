"""The machine's limit for tiny networks: their arithmetic as bare NumPy calls."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bare_arithmetic import neuron_seconds, xor_seconds
from benchmarks.trainer.shapes import Data, Shape

NAME = "bare NumPy arithmetic"
SECONDS = {"neuron": neuron_seconds, "xor": xor_seconds}


def pack_sizes(shape: Shape) -> tuple[int, ...]:
    return (10_000,) if shape.name in SECONDS else ()


def prepare(shape: Shape, data: Data, pack: int, epochs: int) -> Callable[[], object]:
    """A call that tells the seconds of ``epochs`` epochs of ``pack`` networks."""
    return lambda: SECONDS[shape.name](pack, epochs)
