"""Proposals of algorithms that learn from results, through Optuna's ask and tell.

Optuna knows points of the unit cube only: a choice's values by their index, those of a domain
whose values are equally likely by their place, and of any other domain the share of its
distribution that lies below. So all domains go with all algorithms, and a point is exactly what
was proposed, in the process that proposed it and in one that reads it again.

Threads import Optuna by `import optuna` alone: it waits for the one that has begun to. Parts of it
import each other, and two threads that enter by different ones meet halves of modules.

A batch is a function of the job's seed, its first assignment and all results before it: each has a
sampler of its own, seeded by the two, and a study that was told the batches before in their order.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from packtrain.service.domains import Choice, Domain, Integer, Uniform
from packtrain.service.learners import CmaEs, GaussianProcess, Learner, Nsga2, Tpe
from packtrain.service.objectives import Scores
from packtrain.service.parameters import Parameter
from packtrain.service.samplers import Cube, Random
from packtrain.service.slices import Steps

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

# Beyond, a place is no more exact than a share, and costs Optuna more.
_MOST_PLACES = 1_000
_LAST_UNIT = 1 - 2.0**-53


class Proposer:
    """The study of one job. All that takes long is done in steps, for threads: one asks for a point
    or tells of one. ``objectives`` is their number."""

    def __init__(
        self, parameters: Sequence[Parameter], learner: Learner, objectives: int, seed: int
    ) -> None:
        self._parameters = parameters
        self._learner = learner
        self._objectives = objectives
        self._seed = seed
        self._results = 0
        self._order = _parents_first(parameters)
        self._asked: list[Trial] = []
        self._lessons: list[FrozenTrial] = []

    @cached_property
    def _study(self) -> Study:
        # A third of a second, that no other job should wait for.
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # It says of most of what is used here that it is experimental.
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        # What failed is told as -inf.
        warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
        return optuna.create_study(directions=["maximize"] * self._objectives)

    def learn_lessons(self, points: Cube, scores: Scores) -> Steps[None]:
        """What another job found, before all else: at points (K, parameters) the scores
        (K, objectives), more being better, -inf the worst."""
        yield from self.learn(0, points, scores)
        self._lessons = self._study.get_trials()

    def propose(self, first: int, count: int) -> Steps[Cube]:
        """The points of the assignments first <= k < first + count, (count, parameters)."""
        if self._results < self._learner.startup_trials:
            paths = [parameter.path for parameter in self._parameters]
            return Random(self._learner.trials).cube(paths, self._seed, first, first + count)
        self._study.sampler = self._sampler(first)
        points = np.full((count, len(self._parameters)), 0.5)
        for point in points:
            trial = self._study.ask()
            self._suggest(trial, point)
            self._asked.append(trial)
            yield
        return points

    def learn(self, first: int, points: Cube, scores: Scores) -> Steps[None]:
        """What came of the points of the assignments from ``first`` on, the last that were
        proposed, or those that another process proposed before; scores as of lessons."""
        if not self._asked and isinstance(self._learner, CmaEs | Nsga2):
            yield from self._propose_again(first, points)
        if self._asked:
            for trial, row in zip(self._asked, scores.tolist(), strict=True):
                self._study.tell(trial, row)
                yield
        else:
            yield from self._add(points, scores)
        self._asked.clear()
        self._results += len(points)

    def _propose_again(self, first: int, points: Cube) -> Steps[None]:
        """These algorithms keep notes with the trials: make them anew by asking anew."""
        self._study.sampler = self._sampler(first)
        for point in points:
            self._study.enqueue_trial(self._known(point))
            trial = self._study.ask()
            # Otherwise it would not be asked for where the values are known.
            _ = trial.relative_params
            self._suggest(trial, point.copy())
            self._asked.append(trial)
            yield

    def _add(self, points: Cube, scores: Scores) -> Steps[None]:
        import optuna

        names = {p.path: _distribution(p.domain) for p in self._parameters}
        for point, row in zip(points, scores.tolist(), strict=True):
            known = self._known(point)
            has = {path: names[path] for path in known}
            self._study.add_trial(
                optuna.trial.create_trial(params=known, distributions=has, values=row)
            )
            yield

    def _suggest(self, trial: Trial, point: NDArray[np.float64]) -> None:
        """Write down where the trial shall be, (parameters,)."""
        for i in self._existing(point):
            path, count = self._parameters[i].path, _places(self._parameters[i].domain)
            if count is None:
                point[i] = trial.suggest_float(path, 0.0, _LAST_UNIT)
            elif isinstance(self._parameters[i].domain, Choice):
                point[i] = _share(trial.suggest_categorical(path, range(count)), count)
            else:
                point[i] = _share(trial.suggest_int(path, 0, count - 1), count)

    def _known(self, point: NDArray[np.float64]) -> dict[str, int | float]:
        """A point as Optuna knows it."""
        known: dict[str, int | float] = {}
        for i in self._existing(point):
            count, share = _places(self._parameters[i].domain), float(point[i])
            known[self._parameters[i].path] = share if count is None else int(share * count)
        return known

    def _existing(self, point: NDArray[np.float64]) -> Iterator[int]:
        """The parameters that exist at a point, which may be written down meanwhile."""
        values: dict[str, int] = {}
        for i in self._order:
            parameter = self._parameters[i]
            condition = parameter.condition
            if condition is None or values.get(condition.path) in condition.values:
                yield i
                if isinstance(parameter.domain, Choice | Integer):
                    values[parameter.path] = int(parameter.domain.of_unit(point[i : i + 1])[0])

    def _sampler(self, first: int) -> BaseSampler:
        import optuna

        samplers = optuna.samplers
        digest = hashlib.sha256(f"search:{self._seed}:{first}".encode()).digest()
        seed = int.from_bytes(digest[:4], "little")
        match self._learner:
            case Tpe():
                # Of parameters with conditions, those that exist together are drawn together.
                has_conditions = any(p.condition is not None for p in self._parameters)
                return samplers.TPESampler(seed=seed, n_startup_trials=1, group=has_conditions)
            case GaussianProcess():
                return samplers.GPSampler(
                    seed=seed, n_startup_trials=1, warn_independent_sampling=False
                )
            case CmaEs(batch_size=size):
                return samplers.CmaEsSampler(
                    seed=seed,
                    popsize=size,
                    n_startup_trials=1,
                    warn_independent_sampling=False,
                    source_trials=self._lessons or None,
                )
            case Nsga2(batch_size=size):
                return samplers.NSGAIISampler(seed=seed, population_size=size)


def _parents_first(parameters: Sequence[Parameter]) -> list[int]:
    """The parameters' places, each after the one that its condition names."""
    places: Mapping[str, int] = {p.path: i for i, p in enumerate(parameters)}
    order: dict[int, None] = {}

    def visit(i: int) -> None:
        condition = parameters[i].condition
        if condition is not None:
            visit(places[condition.path])
        order[i] = None

    for i in range(len(parameters)):
        visit(i)
    return list(order)


def _places(domain: Domain) -> int | None:
    """How many equally likely values a domain has; None where they can't be told so."""
    if isinstance(domain, Choice):
        return domain.count
    if isinstance(domain, Uniform | Integer) and not domain.log:
        return domain.count if domain.count is not None and domain.count <= _MOST_PLACES else None
    return None


def _share(place: int, count: int) -> float:
    """The middle of the place's slice of [0, 1)."""
    return (place + 0.5) / count


def _distribution(domain: Domain) -> BaseDistribution:
    import optuna

    distributions = optuna.distributions
    count = _places(domain)
    if count is None:
        return distributions.FloatDistribution(0.0, _LAST_UNIT)
    if isinstance(domain, Choice):
        return distributions.CategoricalDistribution(range(count))
    return distributions.IntDistribution(0, count - 1)
