"""Algorithms that learn from results: how many assignments they ask for at a time, when they begin
to learn, and how long they take to propose. What they propose is the affair of ``proposals``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Asking:
    """What a proposal takes of Optuna, to ask for it and to tell what came of it: seconds, and
    such for each parameter, for each result that is known, and for each of both together: about
    what `benchmarks/asking.py` shows, on a core on which a Speed has its defaults.
    ``fronts``: how many times longer with several objectives."""

    once: float
    parameter: float
    result: float
    both: float
    fronts: float = 1.0

    def seconds(self, proposals: int, known: int, parameters: int) -> float:
        """Of so many proposals, where each becomes a result and ``known`` are from the beginning."""
        each = self.once + self.parameter * parameters
        for_result = self.result + self.both * parameters
        return proposals * (each + for_result * (known + proposals / 2))


@dataclass(frozen=True)
class Tpe:
    """A tree-structured Parzen estimator (Bergstra et al., 2011)."""

    asking: ClassVar[Asking] = Asking(1e-3, 1e-4, 1e-6, 1e-6, fronts=2.1)
    trials: int
    batch_size: int = 32
    startup_trials: int = 10


@dataclass(frozen=True)
class GaussianProcess:
    """Expected improvement under a Gaussian process (Jones et al., 1998)."""

    asking: ClassVar[Asking] = Asking(0.3, 0, 0, 0)
    trials: int
    batch_size: int = 8
    startup_trials: int = 10


@dataclass(frozen=True)
class CmaEs:
    """Covariance matrix adaptation (Hansen and Ostermeier, 2001); a batch is a population."""

    asking: ClassVar[Asking] = Asking(6e-4, 4.5e-5, 4e-7, 7e-8)
    trials: int
    batch_size: int = 16
    # Optuna can't tell what is searched before a trial has been told.
    startup_trials: int = 1


@dataclass(frozen=True)
class Nsga2:
    """A genetic algorithm by fronts (Deb et al., 2002); a batch is a population."""

    asking: ClassVar[Asking] = Asking(1.3e-4, 2.7e-5, 3.2e-7, 4.5e-8)
    trials: int
    batch_size: int = 32
    startup_trials: int = 1


Learner = Tpe | GaussianProcess | CmaEs | Nsga2


def proposal_seconds(
    learner: Learner, assignments: int, known: int, parameters: int, objectives: int
) -> float:
    """About how long it takes on such a core to propose so many assignments, where ``known``
    results are those of another job. Draws at random, before it learns, take nothing."""
    size = learner.batch_size
    drawn = math.ceil(max(0, learner.startup_trials - known) / size) * size
    asked = max(0, assignments - drawn)
    times = learner.asking.fronts if objectives > 1 else 1.0
    return times * learner.asking.seconds(asked, known + drawn, parameters)
