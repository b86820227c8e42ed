"""How long a job would take, before it is created."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from packtrain.service.early_stopping import Bracket, EarlyStopping
from packtrain.service.overheads import Overheads
from packtrain.service.pack_run import count_segments
from packtrain.service.planner import Part, TrialGroup, cut, plan_packs
from packtrain.training import Speed

# Parts that are trained side by side, up to where their trials are compared or to their end.
Stage = Sequence[Part]


@dataclass(frozen=True)
class Estimate:
    """``worker_seconds``: where a single worker trains all; ``seconds``: where as many do as there
    are, with nothing else to do."""

    worker_seconds: float
    seconds: float

    def plus(self, seconds: float) -> Estimate:
        """With what takes as long however many workers there are."""
        return Estimate(self.worker_seconds + seconds, self.seconds + seconds)

    def times(self, factor: float) -> Estimate:
        """Of so many that follow each other."""
        return Estimate(factor * self.worker_seconds, factor * self.seconds)


def find_stages(
    rule: EarlyStopping | None, bracket: Bracket, groups: Sequence[TrialGroup]
) -> Iterator[Stage]:
    """What is trained of a bracket from one rung to the next, as if each group kept its share of
    those that are left; without a rule all go on."""
    epochs = groups[0].pack.signature.epochs
    whole = cut(groups, bracket.trials, 0, epochs)
    begin, left = 0, len(bracket.trials)
    for rung in (*bracket.rungs, epochs):
        share = left / len(bracket.trials)
        yield [
            replace(part, trials=part.trials[: math.ceil(len(part.trials) * share)])
            for part in (replace(p, begin=begin, until=rung) for p in whole)
        ]
        begin = rung
        if rule is not None and rung < epochs:
            left = min(left, rule.expect_survivors(bracket, rung))


def estimate_brackets(brackets: Sequence[Sequence[Stage]], workers: int, speed: Speed) -> Estimate:
    """That of brackets side by side, each of which waits for all its trials at every rung: with
    their overheads, but for those of the job itself."""
    overheads = Overheads.at(speed)
    alone = shared = longest = recorded = 0.0
    for stages in brackets:
        chain = 0.0
        for parts in stages:
            recorded += sum(_recorded_seconds(part, overheads) for part in parts)
            alone += overheads.stage + sum(
                _seconds(part, len(part.trials), speed, overheads) for part in parts
            )
            packs = plan_packs(parts, workers, speed)
            taken = [_seconds(pack.part, len(pack.trials), speed, overheads) for pack in packs]
            shared += sum(taken)
            chain += overheads.stage + _find_makespan(taken, workers)
        longest = max(longest, chain)
    seconds = max(longest, shared / max(1, workers))
    return Estimate(alone, min(alone, seconds)).plus(recorded)


def _seconds(part: Part, trials: int, speed: Speed, overheads: Overheads) -> float:
    """What a worker takes for a pack of so many of the part's trials."""
    training = part.seconds(speed, trials)
    return training + overheads.segment * count_segments(part, trials, training)


def _recorded_seconds(part: Part, overheads: Overheads) -> float:
    """What one process does for all of them."""
    values = len(part.trials) * (part.until - part.begin) * len(part.group.metrics)
    begun = len(part.trials) if part.begin == 0 else 0
    return overheads.trial * begun + overheads.value * values


def _find_makespan(taken: Sequence[float], workers: int) -> float:
    """When the last of these ends, taken in their order by whoever is free."""
    free = [0.0] * max(1, workers)
    for seconds in taken:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
