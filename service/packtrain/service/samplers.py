"""Samplers: points of the unit cube, trial by trial; a coordinate is a parameter's.

What they draw is part of what a job's row implies (docs/adr/0003): another SciPy that draws
otherwise would change trials that are under way, and fails a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# One Philox counter gives four 64-bit words; draws are taken one counter a trial, so that
# trial k's can be reached without drawing those before it.
_WORDS = 4
# Beyond 32 bits, SciPy's sequence can't be entered in the middle.
_SOBOL_BITS = 32
MAX_SOBOL_PARAMETERS = 21_201

# (trials, parameters), each of [0, 1).
Cube = NDArray[np.float64]


@dataclass(frozen=True)
class Random:
    """``trials`` independent draws: a coordinate depends on (seed, path, k) alone."""

    trials: int

    def cube(self, paths: Sequence[str], seed: int, first: int, stop: int) -> Cube:
        """The points of the trials first <= k < stop."""
        cube = np.empty((stop - first, len(paths)))
        for i, path in enumerate(paths):
            cube[:, i] = draw_units(f"search:{seed}:{path}", first, stop, 1)[:, 0]
        return cube


@dataclass(frozen=True)
class Sobol:
    """A Sobol sequence, scrambled: a point depends on (seed, number of parameters, k) alone."""

    trials: int

    def cube(self, paths: Sequence[str], seed: int, first: int, stop: int) -> Cube:
        """The points of the trials first <= k < stop."""
        from scipy.stats import qmc  # a second and 30 MB that other searches need not spend

        sequence = qmc.Sobol(len(paths), bits=_SOBOL_BITS, rng=_generator("sobol", seed))
        if first:
            sequence.fast_forward(first)
        # SciPy warns where the first draw is of no power of two.
        count = stop - first
        return np.asarray(sequence.random(1 << (count - 1).bit_length())[:count], np.float64)


@dataclass(frozen=True)
class LatinHypercube:
    """One point in each of ``trials`` slices of every coordinate: a point depends on (seed,
    number of parameters, trials, k)."""

    trials: int

    def cube(self, paths: Sequence[str], seed: int, first: int, stop: int) -> Cube:
        """The points of the trials first <= k < stop."""
        from scipy.stats import qmc  # as above

        hypercube = qmc.LatinHypercube(len(paths), rng=_generator("latin_hypercube", seed))
        # A slice is open at its lower end, so that the last may reach 1.
        points = np.minimum(hypercube.random(self.trials)[first:stop], np.nextafter(1.0, 0.0))
        return np.asarray(points, np.float64)


Sampler = Random | Sobol | LatinHypercube


def draw_units(
    label: str, first: int, stop: int, count: Literal[1, 2, 3, 4]
) -> NDArray[np.float64]:
    """``count`` uniform draws from [0, 1) for the trials first <= k < stop, (K, count): trial k's
    depend on the label and k alone."""
    philox = np.random.Philox(key=_key(label), counter=[first, 0, 0, 0])
    words = philox.random_raw(_WORDS * (stop - first)).reshape(-1, _WORDS)[:, :count]
    # 53 bits make every double of [0, 1) that is a multiple of 2^-53.
    return np.asarray((words >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _generator(algorithm: str, seed: int) -> np.random.Generator:
    entropy = _key(f"search:{algorithm}:{seed}").tolist()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def _key(text: str) -> NDArray[np.uint64]:
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], np.uint64)
