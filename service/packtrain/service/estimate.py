"""How long a job would take, before it is created."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from packtrain.service.early_stopping import Bracket, EarlyStopping
from packtrain.service.planner import Part, PlannedPack, TrialGroup, cut
from packtrain.training import Speed


@dataclass(frozen=True)
class Estimate:
    """``worker_seconds``: of one worker that does all; ``seconds``: of so many as there are, to
    themselves. Of a rule that may stop more or fewer, both are the most."""

    worker_seconds: float
    seconds: float


def estimate_packs(packs: Sequence[PlannedPack], workers: int, speed: Speed) -> Estimate:
    """That of packs that train to their ends, whoever is free taking the next; a single worker
    would have cut no part."""
    taken = [pack.part.seconds(speed, len(pack.trials)) for pack in packs]
    parts = {id(pack.part): pack.part for pack in packs}.values()
    alone = sum(part.seconds(speed, len(part.trials)) for part in parts)
    return Estimate(alone, _find_makespan(taken, workers))


def estimate_brackets(
    rule: EarlyStopping | None,
    brackets: Iterable[Bracket],
    groups: Sequence[TrialGroup],
    workers: int,
    speed: Speed,
) -> Estimate:
    """That of brackets side by side, each of which waits for all its trials at every rung; without
    a rule they all go on."""
    total = longest = 0.0
    for bracket in brackets:
        stages = [
            [part.seconds(speed, len(part.trials)) for part in parts]
            for parts in _find_stages(rule, bracket, groups)
        ]
        total += sum(map(sum, stages))
        # Parts are cut for as many workers as there are, but for what one trial alone takes.
        longest += sum(sum(taken) / max(1, workers) for taken in stages)
    return Estimate(total, max(longest, total / max(1, workers)))


def _find_stages(
    rule: EarlyStopping | None, bracket: Bracket, groups: Sequence[TrialGroup]
) -> Iterator[list[Part]]:
    """What is trained from one rung to the next, as if each group kept its share."""
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
            left = min(left, rule.find_most(bracket, rung))


def _find_makespan(taken: Sequence[float], workers: int) -> float:
    """When the last of these ends, taken in their order by whoever is free."""
    free = [0.0] * max(1, workers)
    for seconds in taken:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
