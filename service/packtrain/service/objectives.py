"""What makes one trial better than another, and the order that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from packtrain.service.records import TrialRecord
from packtrain.service.states import UNRANKED_TRIAL_STATES

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """A metric, and whether more of it is better."""

    metric: str
    maximize: bool


def to_scores(values: NDArray[np.floating], objectives: Sequence[Objective]) -> Scores:
    """Values (..., objectives) turned so that more is better; what is no number is the worst."""
    signs = np.array([1.0 if o.maximize else -1.0 for o in objectives])
    scores: Scores = values.astype(np.float64) * signs
    scores[np.isnan(scores)] = -np.inf
    return scores


def score_trials(trials: Sequence[TrialRecord], objectives: Sequence[Objective]) -> Scores:
    """What trials that have ended were worth at their last epoch, (K, objectives), more being
    better; one that diverged or failed is the worst."""
    found = [{} if t.state in UNRANKED_TRIAL_STATES else t.final_metrics for t in trials]
    values = [[final.get(o.metric, float("nan")) for o in objectives] for final in found]
    return to_scores(np.array(values).reshape(len(trials), len(objectives)), objectives)


def rank(scores: Scores) -> NDArray[np.intp]:
    """The trials' places, best first, of scores (K, objectives): by the front that they are on,
    then by how far apart their neighbours on it lie, then by their order (NSGA-II: Deb et al.,
    2002)."""
    if scores.shape[1] == 1:
        order: NDArray[np.intp] = np.argsort(-scores[:, 0], kind="stable")
        return order
    fronts = find_fronts(scores)
    crowding = np.zeros(len(scores))
    for front in range(int(fronts.max(initial=-1)) + 1):
        members = np.flatnonzero(fronts == front)
        crowding[members] = _find_distances(scores[members])
    return np.lexsort((np.arange(len(scores)), -crowding, fronts))


def find_fronts(scores: Scores) -> NDArray[np.intp]:
    """The front of each trial, (K,): 0 where no other is at least as good in all objectives and
    better in one; 1 where only trials of front 0 are; and so on (by binary search: Zhang et al.,
    2015, ENS-BS)."""
    fronts = np.zeros(len(scores), np.intp)
    kept: list[_Front] = []
    # In this order nobody is dominated by one who comes later; and whoever a front dominates, the
    # fronts before it do.
    for place in np.lexsort(tuple(-scores.T[::-1])).tolist():
        score = scores[place]
        low, high = 0, len(kept)
        while low < high:
            middle = (low + high) // 2
            if kept[middle].dominates(score):
                low = middle + 1
            else:
                high = middle
        if low == len(kept):
            kept.append(_Front(scores.shape[1]))
        kept[low].add(score)
        fronts[place] = low
    return fronts


class _Front:
    """The different scores on a front, in an array that grows by doubling."""

    def __init__(self, objectives: int) -> None:
        self._scores, self._count = np.empty((4, objectives)), 0

    def dominates(self, score: Scores) -> bool:
        members = self._scores[: self._count]
        as_good = (members >= score).all(axis=1)
        return bool(as_good.any() and (members[as_good] > score).any())

    def add(self, score: Scores) -> None:
        # Equals come one after the other.
        if self._count and (self._scores[self._count - 1] == score).all():
            return
        if self._count == len(self._scores):
            self._scores = np.concatenate((self._scores, np.empty_like(self._scores)))
        self._scores[self._count] = score
        self._count += 1


def _find_distances(scores: Scores) -> NDArray[np.float64]:
    """The crowding distance of each member of a front, (K,); infinite at its ends."""
    distances = np.zeros(len(scores))
    for column in scores.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        distances[order[[0, -1]]] = np.inf
        span = ordered[-1] - ordered[0]
        if np.isfinite(span) and span > 0:
            distances[order[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return distances
