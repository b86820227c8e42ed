"""What a pack trains: the signature its trials share, and their numbers as columns.

A pack is K trials of one shape that train as one stacked array. What they must share is the
:class:`Signature`; what may differ from trial to trial is a column of :class:`Trials`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

DataType = Literal["float32", "float64"]


class Activation(StrEnum):
    """What a layer does to its weighted input z."""

    SIGMOID = "sigmoid"
    TANH = "tanh"
    RELU = "relu"
    IDENTITY = "identity"
    SOFTMAX = "softmax"


class Cost(StrEnum):
    """What is minimized (Nielsen, chapter 3)."""

    QUADRATIC = "quadratic"
    CROSS_ENTROPY = "cross_entropy"
    LOG_LIKELIHOOD = "log_likelihood"


class Distribution(StrEnum):
    """The shape of a random distribution of a given variance."""

    NORMAL = "normal"
    UNIFORM = "uniform"


@dataclass(frozen=True)
class ScaledGaussian:
    """Weights N(0, 1/n_in), biases N(0, 1) (Nielsen, chapter 3)."""


@dataclass(frozen=True)
class UnitGaussian:
    """Weights and biases N(0, 1) (Nielsen, chapter 1)."""


@dataclass(frozen=True)
class Xavier:
    """Weights of variance 2 / (n_in + n_out), biases 0 (Glorot and Bengio, 2010)."""

    distribution: Distribution = Distribution.NORMAL


@dataclass(frozen=True)
class He:
    """Weights of variance 2 / n_in, biases 0 (He et al., 2015)."""

    distribution: Distribution = Distribution.NORMAL


@dataclass(frozen=True)
class Constant:
    """Every weight and every bias the same number."""

    weight: float = 0.0
    bias: float = 0.0


@dataclass(frozen=True, eq=False)
class GivenArrays:
    """These weights, (n_in, n_out) a layer, and biases, (n_out,) a layer."""

    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]


Initialization = ScaledGaussian | UnitGaussian | Xavier | He | Constant | GivenArrays


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What the trials of a pack share.

    ``sizes`` are the widths of the layers, inputs first, outputs last (at least two).
    ``metrics`` are names from :data:`packtrain.training.METRICS`, not yet expanded per layer.
    """

    sizes: tuple[int, ...]
    hidden_activation: Activation
    output_activation: Activation
    batch_size: int
    epochs: int
    data_type: DataType
    metrics: tuple[str, ...]
    measure_every: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """The numbers of K trials, each a column of shape (K,).

    ``seeds`` drive initial weights and dropout; ``order_seeds`` drive the order of the
    mini-batches. ``cost`` and ``initialization`` are indices into ``costs`` and
    ``initializations``. ``learning_rate`` is above 0; ``momentum`` and ``dropout`` are in
    [0, 1); ``l2`` and ``l1`` are the lambdas, 0 or more.
    """

    seeds: NDArray[np.uint64]
    order_seeds: NDArray[np.uint64]
    learning_rate: NDArray[np.float64]
    momentum: NDArray[np.float64]
    l2: NDArray[np.float64]
    l1: NDArray[np.float64]
    dropout: NDArray[np.float64]
    cost: NDArray[np.intp]
    costs: tuple[Cost, ...]
    initialization: NDArray[np.intp]
    initializations: tuple[Initialization, ...]

    def __len__(self) -> int:
        return len(self.seeds)

    def select(self, rows: NDArray[np.intp]) -> Self:
        """The trials of these rows, in this order."""
        names = [f.name for f in fields(self) if f.name not in ("costs", "initializations")]
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True, eq=False)
class Pack:
    """K trials that train as one stacked array."""

    signature: Signature
    trials: Trials

    def __len__(self) -> int:
        return len(self.trials)

    def select(self, rows: NDArray[np.intp]) -> Pack:
        """The pack of these rows alone."""
        return Pack(self.signature, self.trials.select(rows))
