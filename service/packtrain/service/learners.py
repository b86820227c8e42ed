"""Algorithms that learn from results: how many assignments they ask for at a time, and when they
begin to learn. What they draw is the affair of ``proposals``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tpe:
    """A tree-structured Parzen estimator (Bergstra et al., 2011)."""

    trials: int
    batch_size: int = 32
    startup_trials: int = 10


@dataclass(frozen=True)
class GaussianProcess:
    """Expected improvement under a Gaussian process (Jones et al., 1998)."""

    trials: int
    batch_size: int = 8
    startup_trials: int = 10


@dataclass(frozen=True)
class CmaEs:
    """Covariance matrix adaptation (Hansen and Ostermeier, 2001); a batch is a population."""

    trials: int
    batch_size: int = 16
    # Optuna can't tell what is searched before a trial has been told.
    startup_trials: int = 1


@dataclass(frozen=True)
class Nsga2:
    """A genetic algorithm by fronts (Deb et al., 2002); a batch is a population."""

    trials: int
    batch_size: int = 32
    startup_trials: int = 1


Learner = Tpe | GaussianProcess | CmaEs | Nsga2
