"""What to train, as typed objects that mirror the contract's JobSpec.

Where a field is None the server's default holds; the contract names it. Any field but
``metrics``, ``measure_every``, ``data_type`` and those of the search takes a domain of
:mod:`packtrain.client.domains` in place of a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from packtrain.client.costs import Cost
from packtrain.client.domains import Domain
from packtrain.client.errors import SpecError
from packtrain.client.initializations import Initialization
from packtrain.client.learning_rates import LearningRateRange
from packtrain.client.objectives import EarlyStopping, Objectives, PopulationBasedTraining
from packtrain.client.optimizers import Optimizer
from packtrain.client.origins import FromModel
from packtrain.client.regularization import Regularization
from packtrain.client.searches import Search
from packtrain.client.selections import DatasetSelection, InlineDataset, Synthetic, check_word
from packtrain.client.stopping import Patience, Stopping, Target

HiddenActivation = Literal[
    "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "identity"
]
OutputActivation = Literal[HiddenActivation, "exponential", "softmax"]
_OF_THE_SEARCH = ("search", "objectives", "early_stopping", "population")
DataType = Literal["float32", "float64"]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The layers. ``hidden`` are the widths of the hidden layers, first to last."""

    hidden: Sequence[int] = ()
    hidden_activation: HiddenActivation | None = None
    output_activation: OutputActivation | None = None
    outputs: int | None = None

    def __post_init__(self) -> None:
        check_word("network.hidden_activation", self.hidden_activation, HiddenActivation)
        check_word("network.output_activation", self.output_activation, OutputActivation)


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What to train.

    ``dataset`` is the name of one that the server holds, a :class:`DatasetSelection`, a
    synthetic or inline one, or a pair (x, y) of arrays. ``network`` may be given as the widths
    of its hidden layers. ``metrics`` are names that the server offers (``server_info``),
    measured after every ``measure_every`` epochs and after the last. ``stopping`` ends a trial
    before its last epoch. A specification with
    domains but no ``search`` is searched by a grid where all domains can be listed. ``objectives``
    are what the search is for, most important first: metrics' names, or :class:`Objective`;
    ``early_stopping`` and ``population`` go by them, one of the two.
    """

    dataset: str | DatasetSelection | Synthetic | InlineDataset | tuple[ArrayLike, ArrayLike]
    network: Network | Sequence[int] | None = None
    cost: Cost | None = None
    initialization: Initialization | FromModel | None = None
    regularization: Regularization | None = None
    optimizer: Optimizer | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    data_type: DataType | None = None
    stopping: Stopping | Patience | Target | None = None
    metrics: Sequence[str] = ()
    measure_every: int | None = None
    search: Search | LearningRateRange | None = None
    objectives: Objectives = ()
    early_stopping: EarlyStopping | None = None
    population: PopulationBasedTraining | None = None

    def __post_init__(self) -> None:
        check_word("data_type", self.data_type, DataType)
        for field in ("data_type", "metrics", "measure_every", *_OF_THE_SEARCH):
            if isinstance(getattr(self, field), Domain):
                raise SpecError(field, "is the same for all trials and takes no domain")
        if isinstance(self.metrics, str):
            raise SpecError("metrics", f"expected a list of names, not the text {self.metrics!r}")
