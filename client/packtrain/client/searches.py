"""How a search space is walked. Every algorithm gives trial k the same values for the same seed,
whatever the number of workers; one that learns from results, for the same results.

``repeats``, of any algorithm but a learning-rate range: each assignment of values is trained with
so many seeds; trial k is repeat k % repeats of assignment k // repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packtrain.client.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Search:
    """Base of the algorithms that take repeats. None: once."""

    repeats: int | None = None


@dataclass(frozen=True, kw_only=True)
class Grid(Search):
    """Every combination, exactly once; without domains and with ``repeats``, one network with so
    many seeds.

    ``points`` values are taken from each uniform and log-uniform interval without a step, ends
    included; it is required where there is one. A normal domain has no grid.
    """

    points: int | None = None


@dataclass(frozen=True, kw_only=True)
class RandomSearch(Search):
    """``trials`` independent draws; trial k's values depend on the job's seed and k alone."""

    trials: int


@dataclass(frozen=True, kw_only=True)
class Sobol(Search):
    """``trials`` points of a scrambled Sobol sequence, which fill the space more evenly than
    independent draws; best with a power of two."""

    trials: int


@dataclass(frozen=True, kw_only=True)
class LatinHypercube(Search):
    """``trials`` points, one in each of as many slices of every domain."""

    trials: int


@dataclass(frozen=True, kw_only=True)
class Learning(Search):
    """Base of the algorithms that learn from results, which the specification's ``objectives``
    name: one, or, of NSGA2, some. Each proposes a batch at a time, which depends on the job's seed
    and on the results of all batches before it.

    ``continues`` names an earlier job ("jobs/...") of the same parameters: what the trials of
    that job found that have ended is known from the beginning.
    """

    trials: int
    continues: str | None = None


@dataclass(frozen=True, kw_only=True)
class TPE(Learning):
    """A tree-structured Parzen estimator (Bergstra et al., 2011). It proposes ``batch_size`` (None:
    32) assignments at a time, at random while fewer than ``startup_trials`` (None: 10) results are
    known."""

    batch_size: int | None = None
    startup_trials: int | None = None


@dataclass(frozen=True, kw_only=True)
class GaussianProcess(Learning):
    """Expected improvement under a Gaussian process (Jones et al., 1998), for trials that take
    long: a proposal takes a good part of a second. ``batch_size``: None is 8; ``startup_trials``:
    None is 10. Offered where the server has PyTorch."""

    batch_size: int | None = None
    startup_trials: int | None = None


@dataclass(frozen=True, kw_only=True)
class CmaEs(Learning):
    """An evolution strategy over numbers (Hansen and Ostermeier, 2001): no choices, no conditions.
    ``population_size`` (2 or more; None: 16) assignments are proposed at a time."""

    population_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class NSGA2(Learning):
    """A genetic algorithm for several objectives (Deb et al., 2002). ``population_size`` (2 or
    more; None: 32) assignments are proposed at a time."""

    population_size: int | None = None


@dataclass(frozen=True)
class Points(Search):
    """A fixed list. Each point gives values by the path of their field:

        Points([{"optimizer.sgd.learning_rate": 0.5, "network.hidden": [30]}, ...])

    A field that a point doesn't name is what the rest of the specification says. No field holds
    a domain beside it.
    """

    points: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        if isinstance(self.points, str | Mapping) or not all(
            isinstance(point, Mapping) for point in self.points
        ):
            raise SpecError("search.points", f"expected a list of mappings, not {self.points!r}")
