"""Algorithms that learn from results: how many assignments they ask for at a time, when they begin
to learn, and about how long they take for each proposal among hundreds, on a core like that of
docs/benchmarks.md. What they propose is the affair of ``proposals``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Tpe:
    """A tree-structured Parzen estimator (Bergstra et al., 2011)."""

    seconds_each: ClassVar[float] = 0.003
    trials: int
    batch_size: int = 32
    startup_trials: int = 10


@dataclass(frozen=True)
class GaussianProcess:
    """Expected improvement under a Gaussian process (Jones et al., 1998)."""

    seconds_each: ClassVar[float] = 0.3
    trials: int
    batch_size: int = 8
    startup_trials: int = 10


@dataclass(frozen=True)
class CmaEs:
    """Covariance matrix adaptation (Hansen and Ostermeier, 2001); a batch is a population."""

    seconds_each: ClassVar[float] = 0.002
    trials: int
    batch_size: int = 16
    # Optuna can't tell what is searched before a trial has been told.
    startup_trials: int = 1


@dataclass(frozen=True)
class Nsga2:
    """A genetic algorithm by fronts (Deb et al., 2002); a batch is a population."""

    seconds_each: ClassVar[float] = 0.0005
    trials: int
    batch_size: int = 32
    startup_trials: int = 1


Learner = Tpe | GaussianProcess | CmaEs | Nsga2
