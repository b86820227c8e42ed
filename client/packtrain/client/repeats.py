"""Trials that repeat each other with another seed: their mean and deviation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from packtrain.client.resources import UNRANKED_STATES, Trial

SEED = "seed"


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Trials that have the same ``parameters``, but for their seed.

    By metric: ``mean`` and ``standard_deviation`` of the finite final values of trials that
    neither DIVERGED nor FAILED, of which there are ``count``. The deviation is that of a sample (n - 1), NaN of fewer than two; the mean of none is
    NaN.
    """

    parameters: Mapping[str, Any]
    trials: tuple[int, ...]
    mean: Mapping[str, float]
    standard_deviation: Mapping[str, float]
    count: Mapping[str, int]


def group_repeats(trials: Iterable[Trial]) -> list[Repeats]:
    """The trials by their parameters without the seed, in the order of their first ones."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        assignment = {p: v for p, v in trial.parameters.items() if p != SEED}
        groups.setdefault(json.dumps(assignment, sort_keys=True), []).append(trial)
    return [_summarize(members) for members in groups.values()]


def _summarize(members: Sequence[Trial]) -> Repeats:
    metrics = list(dict.fromkeys(name for trial in members for name in trial.final_metrics))
    values = {name: _finite(members, name) for name in metrics}
    return Repeats(
        parameters={p: v for p, v in members[0].parameters.items() if p != SEED},
        trials=tuple(trial.index for trial in members),
        mean={m: float(np.mean(v)) if v else float("nan") for m, v in values.items()},
        standard_deviation={
            m: float(np.std(v, ddof=1)) if len(v) > 1 else float("nan") for m, v in values.items()
        },
        count={m: len(v) for m, v in values.items()},
    )


def _finite(members: Sequence[Trial], metric: str) -> list[float]:
    ranked = [trial for trial in members if trial.state not in UNRANKED_STATES]
    found = [trial.final_metrics.get(metric, float("nan")) for trial in ranked]
    return [value for value in found if np.isfinite(value)]
