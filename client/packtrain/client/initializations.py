"""Where weights and biases start. Every number takes a domain too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from numpy.typing import ArrayLike

from packtrain.client.errors import SpecError
from packtrain.client.selections import check_word

Distribution = Literal["normal", "uniform"]


@dataclass(frozen=True)
class ScaledGaussian:
    """Weights N(0, 1/n_in), biases N(0, 1) (Nielsen, chapter 3)."""


@dataclass(frozen=True)
class UnitGaussian:
    """Weights and biases N(0, 1) (Nielsen, chapter 1)."""


@dataclass(frozen=True)
class Xavier:
    """Weights of variance 2 / (n_in + n_out), biases 0 (Glorot and Bengio, 2010)."""

    distribution: Distribution | None = None

    def __post_init__(self) -> None:
        check_word("initialization.xavier.distribution", self.distribution, Distribution)


@dataclass(frozen=True)
class He:
    """Weights of variance 2 / n_in, biases 0 (He et al., 2015)."""

    distribution: Distribution | None = None

    def __post_init__(self) -> None:
        check_word("initialization.he.distribution", self.distribution, Distribution)


@dataclass(frozen=True)
class LeCun:
    """Weights of variance 1 / n_in, biases 0 (LeCun et al., 1998)."""

    distribution: Distribution | None = None

    def __post_init__(self) -> None:
        check_word("initialization.lecun.distribution", self.distribution, Distribution)


@dataclass(frozen=True, kw_only=True)
class Orthogonal:
    """Weights with orthonormal rows or columns, whichever are fewer, times ``gain`` (not 0);
    biases 0 (Saxe et al., 2014)."""

    gain: float | None = None


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Every weight and every bias the same number."""

    weight: float | None = None
    bias: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenArrays:
    """These weights, (n_in, n_out) a layer, and biases, (n_out,) a layer."""

    weights: Sequence[ArrayLike]
    biases: Sequence[ArrayLike]

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.biases):
            raise SpecError(
                "initialization.arrays",
                f"expected weights and biases of as many layers, "
                f"not {len(self.weights)} and {len(self.biases)}",
            )


Initialization: TypeAlias = (
    ScaledGaussian | UnitGaussian | Xavier | He | LeCun | Orthogonal | Constant | GivenArrays
)
