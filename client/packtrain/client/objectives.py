"""What a search is for, which of its trials are stopped early, and how they copy each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from packtrain.client.errors import SpecError
from packtrain.client.selections import check_word

GoalWord = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Objective:
    """A metric that is measured (None: validation_accuracy where it can be had, else
    validation_cost, else training_cost), and its ``goal`` (None: as the metric asks for)."""

    metric: str | None = None
    goal: GoalWord | None = None

    def __post_init__(self) -> None:
        check_word("objective.goal", self.goal, GoalWord)


@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving:
    """At each rung one in ``reduction_factor`` (2 to 100; None: 3) of the trials goes on, and
    trains as many times longer to the next; the first rung is at epoch ``least_epochs`` (None: 1).

    (Jamieson and Talwalkar, 2016.) Unlike ASHA, it decides when all trials have reached a rung: what
    comes out does not depend on the workers.
    """

    reduction_factor: int | None = None
    least_epochs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hyperband:
    """Brackets of successive halving side by side, from one that stops early and much to one that
    stops nobody (Li et al., 2018)."""

    reduction_factor: int | None = None
    least_epochs: int | None = None


@dataclass(frozen=True, kw_only=True)
class MedianRule:
    """Stops a trial whose best value is worse than the median of all trials' running means, first
    at epoch ``least_epochs`` (None: 5), then every ``every_epochs`` (None: 5)
    (Golovin et al., 2017)."""

    least_epochs: int | None = None
    every_epochs: int | None = None


@dataclass(frozen=True, kw_only=True)
class PopulationBasedTraining:
    """Every ``every_epochs`` (None: 5) the worst trials copy the weights, the optimizer's state and
    the numbers of one of the best (Jaderberg et al., 2017).

    ``exploit_share`` (above 0, at most 0.5; None: 0.25) of the trials that are left copy one that
    is drawn from the best as many. A copied number is multiplied or divided by ``perturb_factor``
    (above 1, at most 100; None: 1.2), or, with ``resample_probability`` (None: 0.25), drawn anew.
    Searched are numbers of the optimizer and the regularization alone; ``Trial.adaptations`` tells
    what became of them.
    """

    every_epochs: int | None = None
    exploit_share: float | None = None
    perturb_factor: float | None = None
    resample_probability: float | None = None


EarlyStopping = SuccessiveHalving | Hyperband | MedianRule
Objectives = Objective | str | tuple[Objective | str, ...] | list[Objective | str]


def list_objectives(given: Objectives) -> list[Objective]:
    """As objectives, most important first. Raises SpecError."""
    several = given if isinstance(given, tuple | list) else [given]
    found = [Objective(o) if isinstance(o, str) else o for o in several]
    for each in found:
        if not isinstance(each, Objective):
            raise SpecError("objectives", f"expected a metric's name or an Objective, not {each!r}")
    return found
