"""Divides a pack into blocks: trials that share every choice of arithmetic, few enough to stay
in cache.

Because the trials of a block agree on the cost, on the rows that they are shown (their order and
noise), and on which terms they have at all (momentum, L1, dropout, bounds of norms, a decay that
is more than gentle), a kernel needs no masks, and what a trial computes can't depend on its
neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.schedules import rate_factors
from packtrain.training.spec import NUMBERS, Cost, Rule, Schedule, Trials

# Steps that keep so much of a weight can be put together: their product stays far from 0.
GENTLE_KEEP = 0.9


# Rules whose steps correct for how few there were (Kingma and Ba, 2015).
TIMED_RULES = (Rule.ADAM, Rule.ADAMW, Rule.NADAM)

# The numbers whose being above 0 is a choice of arithmetic.
_SWITCHES = ("momentum", "l1", "dropout", "max_norm", "clip_norm")
_COLUMNS = tuple(name for name in NUMBERS if name != "input_noise")


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """B trials of a pack: ``rows`` are their places in it; numbers are columns (B,) in float64,
    but for the noise of the rows that they share. ``training_rows`` is n of the formulas (Nielsen, chapter 3)."""

    rows: NDArray[np.intp]
    cost: Cost
    rule: Rule
    order_seed: int
    input_noise: float
    seeds: NDArray[np.uint64]
    learning_rate: NDArray[np.float64]
    momentum: NDArray[np.float64]
    beta1: NDArray[np.float64]
    beta2: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    l2: NDArray[np.float64]
    l1: NDArray[np.float64]
    dropout: NDArray[np.float64]
    max_norm: NDArray[np.float64]
    clip_norm: NDArray[np.float64]
    schedule: NDArray[np.intp]
    schedules: tuple[Schedule, ...]
    training_rows: int

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def place(self) -> slice | NDArray[np.intp]:
        """``rows``, as a slice where they follow each other: that is faster to write to."""
        is_run = len(self) > 0 and bool((np.diff(self.rows) == 1).all())
        return slice(int(self.rows[0]), int(self.rows[-1]) + 1) if is_run else self.rows

    @cached_property
    def has_l2(self) -> bool:
        return bool(self.l2.any())

    @cached_property
    def has_momentum(self) -> bool:
        return bool(self.momentum[0] > 0)

    @cached_property
    def has_l1(self) -> bool:
        return bool(self.l1[0] > 0)

    @cached_property
    def has_dropout(self) -> bool:
        return bool(self.dropout[0] > 0)

    @cached_property
    def has_max_norm(self) -> bool:
        return bool(self.max_norm[0] > 0)

    @cached_property
    def has_clip_norm(self) -> bool:
        return bool(self.clip_norm[0] > 0)

    @property
    def moments(self) -> int:
        """How many arrays of the weights' shape the rule keeps."""
        return moment_count(self.rule, self.has_momentum)

    @property
    def is_linear(self) -> bool:
        """Whether a step is w <- k w - gradient, with k near 1 or 1."""
        plain = self.moments == 0 and not (self.has_l1 or self.has_max_norm or self.has_clip_norm)
        return plain and bool(_is_gentle(self.learning_rate, self.l2, self.training_rows)[0])

    @property
    def has_timed_steps(self) -> bool:
        """Whether steps depend on their number, by the rule or by a schedule."""
        return self.rule in TIMED_RULES or bool(self._moving_schedules)

    def select(self, keep: NDArray[Any]) -> Block:
        """The block of the trials that ``keep``, a mask or places, names."""
        names = ("rows", "seeds", "schedule", *_COLUMNS)
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    @cached_property
    def _moving_schedules(self) -> list[tuple[Schedule, NDArray[np.bool_]]]:
        """The schedules that change the rate by themselves, and their trials."""
        found = [(self.schedules[i], self.schedule == i) for i in np.unique(self.schedule)]
        return [(schedule, mine) for schedule, mine in found if schedule.goes_by_the_step]

    def rate_factors(
        self, rate_share: NDArray[np.float64], epoch: int, epochs: int, steps: int
    ) -> Sequence[NDArray[np.float64]]:
        """What learning rates are multiplied by in each step of the epoch, (B,) each:
        ``rate_share``, (B,), and what schedules ask for."""
        if not self._moving_schedules:
            return [rate_share] * steps
        factors = np.tile(rate_share, (steps, 1))
        for schedule, mine in self._moving_schedules:
            factors[:, mine] *= rate_factors(schedule, epoch, epochs, steps)[:, np.newaxis]
        return list(factors)


def moment_count(rule: Rule, has_momentum: bool) -> int:
    """How many arrays of the weights' shape a rule keeps."""
    match rule:
        case Rule.SGD | Rule.NESTEROV:
            return int(has_momentum)
        case Rule.ADAGRAD | Rule.RMSPROP | Rule.LION:
            return 1
        case Rule.ADAM | Rule.ADAMW | Rule.NADAM:
            return 2


def count_moments(trials: Trials) -> NDArray[np.intp]:
    """How many arrays each trial's rule keeps, (K,)."""
    moving = trials.momentum > 0
    counts = np.empty(len(trials.rule), np.intp)
    for index in np.unique(trials.rule):
        still, moved = (moment_count(trials.rules[index], each) for each in (False, True))
        mine = trials.rule == index
        counts[mine] = np.where(moving[mine], moved, still)
    return counts


def most_moments(trials: Trials) -> int:
    """The most arrays that a trial's rule keeps."""
    return int(count_moments(trials).max(initial=0))


def divide_trials(
    trials: Trials, rows: NDArray[np.intp], most_trials: int, training_rows: int
) -> Iterator[Block]:
    """Blocks of at most ``most_trials`` that together hold the trials at ``rows`` once each."""
    for part in _divide(trials, rows, most_trials, training_rows):
        yield _make_block(trials, part, training_rows)


def sample_blocks(
    trials: Trials, most_trials: int, training_rows: int, count: int
) -> tuple[list[Block], float]:
    """``count`` or fewer of the blocks that all trials are divided into, evenly spread, and what
    share of the trials they hold."""
    parts = _divide(trials, np.arange(len(trials)), most_trials, training_rows)
    shown = parts[:: max(1, -(-len(parts) // count))]
    share = sum(map(len, shown)) / max(1, len(trials))
    return [_make_block(trials, part, training_rows) for part in shown], share


def _divide(
    trials: Trials, rows: NDArray[np.intp], most_trials: int, training_rows: int
) -> list[NDArray[np.intp]]:
    if not len(rows):
        return []
    numbers = {name: getattr(trials, name)[rows] for name in NUMBERS}
    choices = [
        trials.cost[rows],
        trials.rule[rows],
        trials.order_seeds[rows],
        _is_gentle(numbers["learning_rate"], numbers["l2"], training_rows),
        # The rows are shared, and so is what they are shown with.
        numbers["input_noise"],
        *(numbers[name] > 0 for name in _SWITCHES),
    ]
    group = np.zeros(len(rows), np.intp)
    for choice in choices:
        if (choice == choice[0]).all():
            continue
        # One choice after the other: sorting rows of choices takes a hundred times as long.
        _, codes = np.unique(choice, return_inverse=True)
        _, group = np.unique(group * (codes.max() + 1) + codes, return_inverse=True)
    in_groups = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group))
    parts: list[NDArray[np.intp]] = []
    for places in np.split(rows[in_groups], ends[:-1]):
        # Of even size: a small last block would pay as much overhead as a full one.
        needed = -(-len(places) // most_trials)
        parts += np.array_split(places, needed) if needed > 1 else [places]
    return parts


def _is_gentle(
    rates: NDArray[np.float64], l2: NDArray[np.float64], training_rows: int
) -> NDArray[np.bool_]:
    return np.asarray(1 - rates * l2 / training_rows >= GENTLE_KEEP)


def _make_block(trials: Trials, rows: NDArray[np.intp], training_rows: int) -> Block:
    return Block(
        rows=rows,
        cost=trials.costs[int(trials.cost[rows[0]])],
        rule=trials.rules[int(trials.rule[rows[0]])],
        order_seed=int(trials.order_seeds[rows[0]]),
        input_noise=float(trials.input_noise[rows[0]]),
        seeds=trials.seeds[rows],
        schedule=trials.schedule[rows],
        schedules=trials.schedules,
        training_rows=training_rows,
        **{name: getattr(trials, name)[rows] for name in _COLUMNS},
    )
