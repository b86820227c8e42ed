"""What to train, as typed objects that mirror the contract's JobSpec.

Where a field is None the server's default holds; the contract names it. Any field but
``metrics``, ``measure_every``, ``data_type`` and ``search`` takes a domain of
:mod:`packtrain.client.domains` in place of a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from numpy.typing import ArrayLike

from packtrain.client.domains import Domain
from packtrain.client.errors import SpecError
from packtrain.client.learning_rates import LearningRateRange
from packtrain.client.origins import FromModel
from packtrain.client.selections import DatasetSelection, InlineDataset, Synthetic, check_word

Activation = Literal["sigmoid", "tanh", "relu", "identity", "softmax"]
Distribution = Literal["normal", "uniform"]
DataType = Literal["float32", "float64"]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The layers. ``hidden`` are the widths of the hidden layers, first to last."""

    hidden: Sequence[int] = ()
    hidden_activation: Activation | None = None
    output_activation: Activation | None = None
    outputs: int | None = None

    def __post_init__(self) -> None:
        check_word("network.hidden_activation", self.hidden_activation, Activation)
        check_word("network.output_activation", self.output_activation, Activation)


@dataclass(frozen=True)
class Quadratic:
    """1/(2n) sum |y - a|^2."""


@dataclass(frozen=True)
class CrossEntropy:
    """-1/n sum sum_j [y ln a + (1 - y) ln(1 - a)]; sigmoid output, targets 0..1."""


@dataclass(frozen=True)
class LogLikelihood:
    """-1/n sum ln a_y; softmax output, class labels."""


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


@dataclass(frozen=True, kw_only=True)
class Regularization:
    """What keeps a network from overfitting; the three combine.

    ``l2`` and ``l1`` are the lambdas, 0 or more; ``dropout`` is the share of each hidden layer's
    neurons that a training step leaves out, 0 or more and below 1.
    """

    l2: float | None = None
    l1: float | None = None
    dropout: float | None = None


@dataclass(frozen=True, kw_only=True)
class SGD:
    """v <- momentum v - eta gradient; w <- w + v. ``learning_rate`` is eta, above 0."""

    learning_rate: float | None = None
    momentum: float | None = None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every combination, exactly once.

    ``points`` values are taken from each uniform and log-uniform interval, ends included; it is
    required where there is one. A normal domain has no grid.
    """

    points: int | None = None


@dataclass(frozen=True, kw_only=True)
class RandomSearch:
    """``trials`` independent draws; trial k's values depend on the job's seed and k alone."""

    trials: int


Cost: TypeAlias = Quadratic | CrossEntropy | LogLikelihood
Initialization: TypeAlias = (
    ScaledGaussian | UnitGaussian | Xavier | He | Constant | GivenArrays | FromModel
)


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What to train.

    ``dataset`` is the name of one that the server holds, a :class:`DatasetSelection`, a
    synthetic or inline one, or a pair (x, y) of arrays. ``network`` may be given as the widths
    of its hidden layers. ``metrics`` are names that the server offers (``server_info``),
    measured after every ``measure_every`` epochs and after the last. A specification with
    domains but no ``search`` is searched by a grid where all domains can be listed.
    """

    dataset: str | DatasetSelection | Synthetic | InlineDataset | tuple[ArrayLike, ArrayLike]
    network: Network | Sequence[int] | None = None
    cost: Cost | None = None
    initialization: Initialization | None = None
    regularization: Regularization | None = None
    optimizer: SGD | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    data_type: DataType | None = None
    metrics: Sequence[str] = ()
    measure_every: int | None = None
    search: Grid | RandomSearch | LearningRateRange | None = None

    def __post_init__(self) -> None:
        check_word("data_type", self.data_type, DataType)
        for field in ("data_type", "metrics", "measure_every", "search"):
            if isinstance(getattr(self, field), Domain):
                raise SpecError(field, "is the same for all trials and takes no domain")
        if isinstance(self.metrics, str):
            raise SpecError("metrics", f"expected a list of names, not the text {self.metrics!r}")
