"""Population-based training (Jaderberg et al., 2017): which trials copy which others, and how the
copied numbers change.

All of it follows from the job's seed, the epoch, and what is recorded up to there: not from the
workers, nor from who came first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from packtrain.service.domains import Choice, Domain, Integer, Normal, Uniform
from packtrain.service.early_stopping import Bracket, move_to_measured
from packtrain.service.objectives import Scores, rank
from packtrain.service.planner import TrialGroup
from packtrain.service.records import Adaptation
from packtrain.service.samplers import draw_units

Units = NDArray[np.float64]


@dataclass(frozen=True)
class SearchedNumber:
    """A number that differs from trial to trial: its path, its column in a pack, its domain,
    ``values`` where that is a choice, and whether its field may have a value."""

    path: str
    column: str
    domain: Domain
    values: tuple[float, ...]
    fits: Callable[[float], bool]

    def draw(self, unit: float) -> float:
        """The domain's value at a uniform draw from [0, 1)."""
        found = self.domain.of_unit(np.array([unit])).item()
        return self.values[int(found)] if isinstance(self.domain, Choice) else float(found)

    def move(self, value: float, factor: float, *, up: bool) -> float:
        """``value`` times or divided by ``factor``, within the domain."""
        scaled = value * factor if up else value / factor
        domain = self.domain
        if isinstance(domain, Choice):
            ordered = sorted(set(self.values))
            place = ordered.index(value) + (1 if up else -1)
            return ordered[min(max(place, 0), len(ordered) - 1)]
        if domain.step is not None:
            rises = scaled > value or (scaled == value and up)
            return _move_by_steps(domain, domain.step, value, scaled, rises=rises)
        if isinstance(domain, Normal):
            return float(np.clip(scaled, domain.low, domain.high))
        return float(np.clip(scaled, domain.low, np.nextafter(domain.high, domain.low)))


def _move_by_steps(
    domain: Uniform | Integer | Normal, step: float, value: float, scaled: float, *, rises: bool
) -> float:
    """The domain's value next to ``scaled``."""
    if isinstance(domain, Normal):
        base, (least, most) = domain.mean, domain.steps
    else:
        base, least, most = domain.low, 0, (domain.count or 1) - 1
    before, after = np.rint((np.array([value, scaled]) - base) / step).tolist()
    # At least a step: rounding would hold small numbers where they are.
    steps = max(after, before + 1) if rises else min(after, before - 1)
    return float(domain.at(np.array([min(max(steps, least), most)])).item())


@dataclass(frozen=True)
class PopulationBasedTraining:
    """The rule of a job, with the job's seed and what it searches."""

    every_epochs: int
    exploit_share: float
    perturb_factor: float
    resample_probability: float
    seed: int
    numbers: tuple[SearchedNumber, ...]

    def population(self, trials: NDArray[np.int32], epochs: int, measure_every: int) -> Bracket:
        """The trials, which are all compared with each other, and the epochs at which they are."""
        rungs = range(self.every_epochs, epochs, self.every_epochs)
        return Bracket(trials, move_to_measured(rungs, epochs, measure_every))

    def adapt(
        self, group: TrialGroup, rung: int, trials: NDArray[np.int32], scores: Scores
    ) -> tuple[Adaptation, ...]:
        """What the worst of ``trials``, (K,), do after epoch ``rung``; ``scores``, (K, objectives),
        are those of that epoch, and ``group`` has the present numbers of all the job's trials."""
        quota = int(len(trials) * self.exploit_share)
        quota = min(max(1, quota), len(trials) // 2)
        order = trials[rank(scores)]
        best, worst = order[:quota], np.sort(order[len(order) - quota :])
        if not quota:
            return ()
        key = f"population:{self.seed}:{rung}"
        stop = int(worst[-1]) + 1
        drawn = draw_units(key, 0, stop, 1)[worst, 0]
        copied = best[np.floor(drawn * quota).astype(np.intp)].tolist()
        parameters: list[dict[str, float]] = [{} for _ in worst]
        for number in self.numbers:
            present = getattr(group.pack.trials, number.column)
            units = draw_units(f"{key}:{number.path}", 0, stop, 3)[worst]
            for found, source, row in zip(parameters, copied, units, strict=True):
                found[number.path] = self._change(number, float(present[source]), row)
        return tuple(
            Adaptation(rung, trial, source, found)
            for trial, source, found in zip(worst.tolist(), copied, parameters, strict=True)
        )

    def _change(self, number: SearchedNumber, value: float, units: Units) -> float:
        if units[0] < self.resample_probability:
            changed = number.draw(units[2])
        else:
            changed = number.move(value, self.perturb_factor, up=bool(units[1] < 0.5))
        return changed if number.fits(changed) else value

    def apply(self, group: TrialGroup, adaptations: Iterable[Adaptation]) -> TrialGroup:
        """The group with the numbers that its trials go on with."""
        trials = group.pack.trials
        columns = {n.path: getattr(trials, n.column).copy() for n in self.numbers}
        for adaptation in adaptations:
            for path, value in adaptation.parameters.items():
                columns[path][adaptation.trial] = value
        changed = replace(trials, **{n.column: columns[n.path] for n in self.numbers})
        return replace(group, pack=replace(group.pack, trials=changed))


def find_origins(trials: NDArray[np.int32], adaptations: Sequence[Adaptation]) -> NDArray[np.int32]:
    """Whose state each of ``trials`` goes on from, (K,): its own, or that which it copied."""
    copied = {a.trial: a.copied_trial for a in adaptations}
    return np.array([copied.get(trial, trial) for trial in trials.tolist()], np.int32)
