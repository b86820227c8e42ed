"""Sets that are made by a formula: functions of their seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from packtrain.service.datasets.arrays import SplitArrays
from packtrain.service.datasets.errors import DatasetViolation, InvalidDatasetError

MAX_ROWS = 1_000_000
MAX_FEATURES = 1_000

# Turns of each spiral, and its radius at the end: the arms are then 0.67 apart, so that noise
# of 0.1 leaves the classes apart.
_SPIRAL_TURNS = 1.5
_SPIRAL_RADIUS = 2.0


class SyntheticKind(StrEnum):
    """The kinds of synthetic sets."""

    XOR = "xor"
    MOONS = "moons"
    SPIRALS = "spirals"
    LINEAR = "linear"


@dataclass(frozen=True)
class SyntheticSet:
    """A synthetic set, its defaults filled in. ``features`` is 2 but for LINEAR; ``noise`` is a
    standard deviation."""

    kind: SyntheticKind
    rows: int
    noise: float
    seed: int
    features: int

    @classmethod
    def resolve(
        cls,
        kind: SyntheticKind,
        rows: int | None,
        noise: float | None,
        seed: int,
        features: int | None,
    ) -> SyntheticSet:
        """With the defaults of the contract for None. Raises InvalidDatasetError."""
        is_xor, is_linear = kind is SyntheticKind.XOR, kind is SyntheticKind.LINEAR
        made = cls(
            kind,
            (4 if is_xor else 200) if rows is None else rows,
            (0.0 if is_xor else 0.1) if noise is None else noise,
            seed,
            (5 if features is None else features) if is_linear else 2,
        )
        made._check()
        return made

    def _check(self) -> None:
        checks = {
            "rows": (1 <= self.rows <= MAX_ROWS, f"expected 1 to {MAX_ROWS}"),
            "noise": (0 <= self.noise < math.inf, "expected 0 or more"),
            "seed": (0 <= self.seed < 1 << 64, "expected 0 to 2^64 - 1"),
            "features": (1 <= self.features <= MAX_FEATURES, f"expected 1 to {MAX_FEATURES}"),
        }
        found = [
            DatasetViolation(name, f"{expected}, not {getattr(self, name)}")
            for name, (is_right, expected) in checks.items()
            if not is_right
        ]
        if found:
            raise InvalidDatasetError.of("INVALID_SYNTHETIC_DATASET", found)

    @property
    def size_bytes(self) -> int:
        """The bytes that it will have."""
        return self.rows * (self.features * 8 + (8 if self.kind is SyntheticKind.LINEAR else 4))

    def make(self) -> SplitArrays:
        """Its rows. Classes take turns, so that any range of rows is balanced."""
        key = np.array([self.seed, int.from_bytes(self.kind.encode()[:8])], dtype=np.uint64)
        draw = np.random.Generator(np.random.Philox(key=key))
        if self.kind is SyntheticKind.LINEAR:
            return self._make_linear(draw)
        turn = np.arange(self.rows)
        if self.kind is SyntheticKind.XOR:
            corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
            inputs, labels = corners[turn % 4], np.array([0, 1, 1, 0])[turn % 4]
        else:
            labels = turn % 2
            curve = _half_circles if self.kind is SyntheticKind.MOONS else _spirals
            inputs = curve(draw.random(self.rows), labels)
        inputs = inputs + self.noise * draw.standard_normal(inputs.shape)
        return SplitArrays("train", inputs, labels.astype(np.int32))

    def _make_linear(self, draw: np.random.Generator) -> SplitArrays:
        coefficients, intercept = draw.standard_normal(self.features), draw.standard_normal()
        inputs = draw.standard_normal((self.rows, self.features))
        # Not a matrix product: its last bits depend on the processor.
        targets = (inputs * coefficients).sum(axis=1) + intercept
        targets = targets + self.noise * draw.standard_normal(self.rows)
        return SplitArrays("train", inputs, targets.reshape(-1, 1))


Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Labels = np.ndarray[tuple[int, ...], np.dtype[np.int_]]


def _half_circles(along: Floats, labels: Labels) -> Floats:
    """The curves of scikit-learn's ``make_moons``: the second hangs into the first."""
    angle = np.pi * along
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    return np.where(labels[:, None] == 0, upper, lower)


def _spirals(along: Floats, labels: Labels) -> Floats:
    """Archimedes' spirals, the second the first turned by half a circle (after Lang and
    Witbrock, 1988). The square root spreads the rows evenly along the arm."""
    share = np.sqrt(along)
    angle = 2 * np.pi * _SPIRAL_TURNS * share + np.pi * labels
    radius = _SPIRAL_RADIUS * share
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
