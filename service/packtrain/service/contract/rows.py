"""The trials that a specification is expanded for, and what its search gives to each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from packtrain.service.contract.columns import Columns, Indices
from packtrain.service.learners import Learner
from packtrain.service.records import Failure, Proposal
from packtrain.service.samplers import Random
from packtrain.service.search import SearchSpace

# Indices of trials, and their columns.
Rows = tuple[Indices, Columns]

# Drawn to tell combinations that are wrong from values that are: each expands in about a
# millisecond where it is a group of its own.
_MOST_DRAWN = 1_000


def place_rows(
    space: SearchSpace | None, seed: int, proposal: Proposal | None, without: Collection[int]
) -> list[Rows]:
    """The trials, last: of an algorithm that learns those of its ``proposal``, but for the
    assignments ``without``, or of its first. Before those come rows that show whatever its domains
    can bring about, so that all is checked when the job is created, and its datasets are found in
    the same order ever after."""
    if space is None:
        return [(np.zeros(1, np.int64), {})]
    if not isinstance(space.algorithm, Learner):
        everyone = np.arange(space.trials, dtype=np.int64)
        return [(everyone, space.columns(seed, 0, space.trials))]
    edges = space.place(space.edges())
    count = len(next(iter(edges.values())).values)
    rows = [(np.arange(count, dtype=np.int64), edges)]
    rows.append(_place(space, first_proposal(space, seed), without if proposal is None else ()))
    if proposal is not None:
        rows.append(_place(space, proposal, without))
    return rows


def _place(space: SearchSpace, proposal: Proposal, without: Collection[int]) -> Rows:
    assignments = proposal.first + np.arange(len(proposal.points), dtype=np.int64)
    stays = ~np.isin(assignments, list(without))
    members = assignments[stays][:, np.newaxis] * space.repeats + np.arange(space.repeats)
    return members.ravel(), space.place(proposal.points[stays])


def first_proposal(space: SearchSpace, seed: int) -> Proposal:
    """The first batch of an algorithm that learns, where no other job's results are known."""
    assert isinstance(space.algorithm, Learner)
    count = min(space.algorithm.batch_size, space.assignments)
    paths = [parameter.path for parameter in space.parameters]
    return Proposal(0, Random(space.assignments).cube(paths, seed, 0, count))


def draw_rows(space: SearchSpace, seed: int) -> Rows:
    """Of an algorithm that learns, each value of a choice and each end of an interval with what is
    drawn for the other parameters, besides what is checked when the job is created."""
    first = first_proposal(space, seed).points
    points = np.concatenate([space.edges(), first, space.draw_at_edges(seed, _MOST_DRAWN)])
    return np.arange(len(points), dtype=np.int64), replace(space, repeats=1).place(points)


def leave_out(rows: Rows, failures: Mapping[Failure, Sequence[int]]) -> Rows:
    """The rows but for those at these places."""
    members, columns = rows
    failing = [place for places in failures.values() for place in places]
    stays = np.setdiff1d(np.arange(len(members), dtype=np.int64), failing)
    return members[stays], {path: column.take(stays) for path, column in columns.items()}
