"""What a pack trains: the signature its trials share, and their numbers as columns.

A pack is K trials of one shape that train as one stacked array. What they must share is the
:class:`Signature`; what may differ from trial to trial is a column of :class:`Trials`, or an
index there into a short table of alternatives.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

DataType = Literal["float32", "float64"]


class Activation(StrEnum):
    """What a layer does to its weighted input z: see :mod:`packtrain.training.activations`."""

    SIGMOID = "sigmoid"
    TANH = "tanh"
    RELU = "relu"
    LEAKY_RELU = "leaky_relu"
    ELU = "elu"
    GELU = "gelu"
    SILU = "silu"
    SOFTPLUS = "softplus"
    IDENTITY = "identity"
    EXPONENTIAL = "exponential"
    SOFTMAX = "softmax"


class CostKind(StrEnum):
    """The formula of a cost: see :mod:`packtrain.training.costs`."""

    QUADRATIC = "quadratic"
    CROSS_ENTROPY = "cross_entropy"
    LOG_LIKELIHOOD = "log_likelihood"
    HINGE = "hinge"
    HUBER = "huber"
    ABSOLUTE = "absolute"
    POISSON = "poisson"


@dataclass(frozen=True)
class Cost:
    """What is minimized.

    ``huber_delta``, above 0: where Huber's cost turns from quadratic to linear.
    ``label_smoothing``, in [0, 1): the share of each target that goes to all classes alike.
    ``class_weights``: what the rows of each class count, 0 or more; empty: 1 each.
    """

    kind: CostKind
    huber_delta: float = 1.0
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()

    QUADRATIC: ClassVar[Cost]
    CROSS_ENTROPY: ClassVar[Cost]
    LOG_LIKELIHOOD: ClassVar[Cost]
    HINGE: ClassVar[Cost]
    HUBER: ClassVar[Cost]
    ABSOLUTE: ClassVar[Cost]
    POISSON: ClassVar[Cost]

    def __str__(self) -> str:
        return self.kind.value


for _kind in CostKind:
    setattr(Cost, _kind.name, Cost(_kind))


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
class LeCun:
    """Weights of variance 1 / n_in, biases 0 (LeCun et al., "Efficient backprop", 1998)."""

    distribution: Distribution = Distribution.NORMAL


@dataclass(frozen=True)
class Orthogonal:
    """Weights with orthonormal rows or columns times ``gain``, biases 0 (Saxe et al., 2014)."""

    gain: float = 1.0


@dataclass(frozen=True)
class Constant:
    """Every weight and every bias the same number."""

    weight: float = 0.0
    bias: float = 0.0


@dataclass(frozen=True, eq=False)
class GivenArrays:
    """These weights, (n_in, n_out) a layer, and biases, (n_out,) a layer.

    Where they are of fewer layers than the network, they are its first ones, and ``rest``
    starts the others: transfer.
    """

    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]
    rest: DrawnInitialization = ScaledGaussian()


DrawnInitialization = ScaledGaussian | UnitGaussian | Xavier | He | LeCun | Orthogonal | Constant
Initialization = DrawnInitialization | GivenArrays


class Rule(StrEnum):
    """How weights follow the gradient: see :mod:`packtrain.training.updates`."""

    SGD = "sgd"
    NESTEROV = "nesterov"
    ADAGRAD = "adagrad"
    RMSPROP = "rmsprop"
    ADAM = "adam"
    ADAMW = "adamw"
    NADAM = "nadam"
    LION = "lion"


@dataclass(frozen=True)
class ConstantRate:
    """The learning rate as it is."""


@dataclass(frozen=True)
class StepDecay:
    """Times ``factor`` after every ``every`` epochs (1 or more); ``factor`` in (0, 1]."""

    every: int
    factor: float = 0.5


@dataclass(frozen=True)
class ExponentialDecay:
    """Times ``factor`` in (0, 1] an epoch, in small parts at every step."""

    factor: float


@dataclass(frozen=True)
class PolynomialDecay:
    """From 1 down to ``final`` in [0, 1] over the run: final + (1 - final) (1 - t/T)^power."""

    power: float = 1.0
    final: float = 0.0


@dataclass(frozen=True)
class CosineDecay:
    """From 1 to ``final`` in [0, 1] along half a cosine in ``period`` epochs (0: the whole run),
    then again from 1, each period ``growth`` (1 or more) times the one before
    (Loshchilov and Hutter, 2017)."""

    period: int = 0
    growth: float = 1.0
    final: float = 0.0


@dataclass(frozen=True)
class OneCycle:
    """From ``start`` of the rate up to it during the first ``peak_at`` of the run, then down to
    ``final`` of it, both along half a cosine (Smith and Topin, 2018)."""

    peak_at: float = 0.3
    start: float = 0.04
    final: float = 0.0001


@dataclass(frozen=True)
class Plateau:
    """Times ``factor`` in (0, 1) whenever ``metric`` has not improved for ``patience`` epochs
    (1 or more); the trial stops when the product falls below ``least`` (Nielsen, chapter 3:
    halve after 10, stop at 1/128)."""

    metric: str
    patience: int = 10
    factor: float = 0.5
    least: float = 1 / 128


RateShape = (
    ConstantRate | StepDecay | ExponentialDecay | PolynomialDecay | CosineDecay | OneCycle | Plateau
)


@dataclass(frozen=True)
class Schedule:
    """What the learning rate is multiplied by, step by step: ``shape``, after a straight rise
    from 0 over the first ``warmup_epochs`` (0 or more), which multiplies it."""

    shape: RateShape = ConstantRate()
    warmup_epochs: float = 0.0

    @property
    def goes_by_the_step(self) -> bool:
        """Whether the factor depends on the step, not only on what was measured."""
        return self.warmup_epochs > 0 or not isinstance(self.shape, ConstantRate | Plateau)


@dataclass(frozen=True)
class Patience:
    """Stop a trial when ``metric`` has not improved by more than ``min_delta`` (0 or more) for
    ``epochs`` (1 or more)."""

    metric: str
    epochs: int
    min_delta: float = 0.0


@dataclass(frozen=True)
class Target:
    """Stop a trial in the first epoch whose ``metric`` is as good as ``value``."""

    metric: str
    value: float


@dataclass(frozen=True)
class Augmentation:
    """Artificial expansion of images of ``height`` x ``width`` inputs, row-major: each time that
    a row is shown it is shifted by up to ``shift`` pixels (0 or more) each way and turned by up
    to ``rotation`` degrees (0 to 180) about its centre, uniformly at random, with bilinear
    interpolation and zeros beyond the edges (Simard et al., 2003; Nielsen, chapter 3)."""

    height: int
    width: int
    shift: float = 0.0
    rotation: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What the trials of a pack share.

    ``sizes`` are the widths of the layers, inputs first, outputs last (at least two).
    ``batch_size`` is at most the training rows; the last mini-batch of an epoch may be smaller.
    ``metrics`` are names from :data:`packtrain.training.METRICS`, not yet expanded per layer;
    what ``patience``, ``target`` and a plateau go by must be among them.
    """

    sizes: tuple[int, ...]
    hidden_activation: Activation
    output_activation: Activation
    batch_size: int
    epochs: int
    data_type: DataType
    metrics: tuple[str, ...]
    measure_every: int = 1
    augmentation: Augmentation | None = None
    patience: Patience | None = None
    target: Target | None = None


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number that may differ from trial to trial: its default and its range."""

    default: float
    description: str
    at_least: float | None = None
    above: float | None = None
    below: float | None = None


_SHARE = {"at_least": 0.0, "below": 1.0}

NUMBERS: dict[str, Number] = {
    "learning_rate": Number(default=0.5, above=0.0, description="eta"),
    "momentum": Number(default=0.0, **_SHARE, description="mu of sgd and nesterov"),
    "beta1": Number(
        default=0.9, **_SHARE, description="how much of the mean gradient adam and its kin keep"
    ),
    "beta2": Number(
        default=0.999,
        **_SHARE,
        description="how much of the mean squared gradient rmsprop, adam and its kin keep",
    ),
    "epsilon": Number(default=1e-8, above=0.0, description="added to a root mean square"),
    "l2": Number(default=0.0, at_least=0.0, description="lambda of lambda/(2n) sum w^2"),
    "l1": Number(default=0.0, at_least=0.0, description="lambda of lambda/n sum |w|"),
    "dropout": Number(default=0.0, **_SHARE, description="share of hidden neurons left out"),
    "max_norm": Number(
        default=0.0, at_least=0.0, description="bound of each neuron's weights; 0: none"
    ),
    "clip_norm": Number(
        default=0.0, at_least=0.0, description="bound of the gradient's norm; 0: none"
    ),
    "input_noise": Number(
        default=0.0,
        at_least=0.0,
        description="standard deviation of the noise on inputs while training",
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """The numbers of K trials, each a column of shape (K,).

    ``seeds`` drive initial weights and dropout; ``order_seeds`` drive the order of the
    mini-batches, their noise and their augmentation. The ranges of the numbers are those of
    :data:`NUMBERS`. ``cost``, ``initialization``, ``rule`` and ``schedule`` are indices into
    ``costs``, ``initializations``, ``rules`` and ``schedules``.
    """

    seeds: NDArray[np.uint64]
    order_seeds: NDArray[np.uint64]
    learning_rate: NDArray[np.float64]
    momentum: NDArray[np.float64]
    beta1: NDArray[np.float64]
    beta2: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    l2: NDArray[np.float64]
    l1: NDArray[np.float64]
    dropout: NDArray[np.float64]
    max_norm: NDArray[np.float64]
    clip_norm: NDArray[np.float64]
    input_noise: NDArray[np.float64]
    cost: NDArray[np.intp]
    costs: tuple[Cost, ...]
    initialization: NDArray[np.intp]
    initializations: tuple[Initialization, ...]
    rule: NDArray[np.intp]
    rules: tuple[Rule, ...]
    schedule: NDArray[np.intp]
    schedules: tuple[Schedule, ...]

    def __len__(self) -> int:
        return len(self.seeds)

    def select(self, rows: NDArray[np.intp]) -> Self:
        """The trials of these rows, in this order."""
        names = [f.name for f in fields(self) if f.name not in TABLES]
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


# The columns of Trials that hold alternatives, and are not of length K.
TABLES = ("costs", "initializations", "rules", "schedules")


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
