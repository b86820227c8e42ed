"""How much each searched parameter matters for a metric."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.service.domains import Choice, Domain, Integer, Uniform
from packtrain.service.errors import IllegalTransitionError
from packtrain.service.results.columns import Column, Words
from packtrain.service.results.goals import Goal

EVALUATOR = "PED-ANOVA"
# The best tenth of fewer is no sample.
FEWEST_TRIALS = 20
# More make it slower but hardly better: 10,000 take about a second.
MOST_TRIALS = 10_000
_MOST_CELLS = 10_000_000


@dataclass(frozen=True)
class Importance:
    """A parameter's share of what matters, and how many of the trials have it."""

    path: str
    share: float
    trials: int


def importances(
    goal: Goal,
    values: NDArray[np.float32],
    parameters: Mapping[str, Column],
    domains: Mapping[str, Domain],
) -> tuple[list[Importance], int]:
    """Each parameter's share, the largest first, and how many trials were compared.

    By PED-ANOVA (Watanabe, Bansal and Hutter, 2023), also of parameters that only some trials
    have. Raises IllegalTransitionError where there is nothing to compare. It takes about a second.
    """
    rows = np.flatnonzero(np.isfinite(values))
    if not parameters:
        raise _refusal("NO_PARAMETERS", "the job searches no parameters")
    if len(rows) < FEWEST_TRIALS:
        raise _refusal(
            "TOO_FEW_TRIALS",
            f"importance needs at least {FEWEST_TRIALS} trials with a finite {goal.metric} that "
            f"neither diverged nor failed; there are {len(rows)}",
        )
    if np.ptp(values[rows]) == 0:
        raise _refusal("METRIC_CONSTANT", f"{goal.metric} is the same for all trials")
    # A choice is compared as (trials, values).
    most_words = max((len(c.words) for c in parameters.values() if isinstance(c, Words)), default=1)
    most = max(FEWEST_TRIALS, min(MOST_TRIALS, _MOST_CELLS // max(1, most_words)))
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)]
    described = {p: _describe(c, domains.get(p), rows) for p, c in parameters.items()}
    shares = _evaluate(goal, values[rows], described)
    found = [
        Importance(path, shares.get(path, 0.0), len(of_trials))
        for path, (_, of_trials) in described.items()
    ]
    return sorted(found, key=lambda i: (-i.share, i.path)), len(rows)


def _refusal(reason: str, message: str) -> IllegalTransitionError:
    return IllegalTransitionError(reason, message)


# A distribution of Optuna, and the parameter's value by the place of the trial that has it.
_Described = tuple[Any, dict[int, Any]]


def _describe(column: Column, domain: Domain | None, rows: NDArray[np.intp]) -> _Described:
    # Here: it takes a second, and most servers never ask it. And by its own name only: see proposals.
    import optuna

    kinds = optuna.distributions
    if isinstance(column, Words):
        values = {i: code for i, code in enumerate(column.codes[rows].tolist()) if code >= 0}
        return kinds.CategoricalDistribution(range(len(column.words))), values
    numbers = column.values[rows]
    found = {i: v for i, v in enumerate(numbers.tolist()) if not math.isnan(v)}
    present = numbers[~np.isnan(numbers)]
    if isinstance(domain, Uniform):
        return kinds.FloatDistribution(domain.low, domain.high, log=domain.log), found
    if isinstance(domain, Integer):
        high = domain.low + (domain.count - 1) * domain.step
        whole = {i: int(v) for i, v in found.items()}
        is_log = domain.log and domain.step == 1  # Optuna has no steps of a logarithm
        return kinds.IntDistribution(domain.low, high, log=is_log, step=domain.step), whole
    different = np.unique(present)
    if isinstance(domain, Choice):
        places = {value: place for place, value in enumerate(different.tolist())}
        chosen = {i: places[v] for i, v in found.items()}
        return kinds.CategoricalDistribution(range(max(1, len(different)))), chosen
    ends = (float(different[0]), float(different[-1])) if different.size else (0.0, 0.0)
    return kinds.FloatDistribution(*ends), found


def _evaluate(
    goal: Goal, values: NDArray[np.float32], described: Mapping[str, _Described]
) -> dict[str, float]:
    import optuna  # as above

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=loss,
                params={p: found[i] for p, (_, found) in described.items() if i in found},
                distributions={p: d for p, (d, found) in described.items() if i in found},
            )
            for i, loss in enumerate(goal.losses(values).astype(np.float64).tolist())
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of values that few trials have
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
