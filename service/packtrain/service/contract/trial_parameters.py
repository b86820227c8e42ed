"""The searched values of a job's trials: in their JSON form, and as columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from numpy.typing import NDArray

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.search import read_search
from packtrain.service.domains import Domain
from packtrain.service.learners import Learner
from packtrain.service.records import Proposal
from packtrain.service.results.columns import Column, Numbers, Words
from packtrain.service.search import Column as Drawn
from packtrain.service.search import SearchSpace
from packtrain.v1 import spec_pb2


class TrialParameters:
    """What the search of a specification, which has been checked, gives to each trial.

    ``columns`` are (trials,) by path, ``domains`` what they were drawn from; ``proposals`` all that
    an algorithm has proposed, in their order, which learns: the other trials have no values.
    """

    def __init__(
        self, spec: spec_pb2.JobSpec, trials: int, proposals: Sequence[Proposal] = ()
    ) -> None:
        self._space = read_search(spec, Violations())
        space = self._space.space if self._space else None
        self._drawn: Mapping[str, Drawn] = {}
        if space is not None and isinstance(space.algorithm, Learner):
            self._drawn = _place(space, trials, proposals)
        elif space is not None:
            self._drawn = space.columns(spec.seed, 0, trials)
        self.domains: Mapping[str, Domain] = (
            {p.path: p.domain for p in space.parameters} if space else {}
        )
        self.columns: Mapping[str, Column] = {
            path: self._column(path, drawn) for path, drawn in self._drawn.items()
        }

    def values(self, trial: int) -> dict[str, Value]:
        """The values of one trial, by path, of the parameters that exist in it."""
        if self._space is None:
            return {}
        return {
            path: json_format.ParseDict(self._space.value(path, drawn, trial), Value())
            for path, drawn in self._drawn.items()
            if drawn.exists[trial]
        }

    def _column(self, path: str, drawn: Drawn) -> Column:
        """Numbers where all values are; else the texts that a filter knows them by."""
        values = self._space.choices.get(path) if self._space else None
        if values is None:
            return Numbers(_only_existing(drawn.values, drawn))
        given = [value for value in values if value is not None]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in given):
            return Numbers(_only_existing(np.array(values, np.float64)[drawn.values], drawn))
        places = {word: i for i, word in enumerate(dict.fromkeys(map(_word, given)))}
        codes = np.array([-1 if v is None else places[_word(v)] for v in values], np.int32)
        return Words(np.where(drawn.exists, codes[drawn.values], -1), tuple(places))


def _place(space: SearchSpace, trials: int, proposals: Sequence[Proposal]) -> Mapping[str, Drawn]:
    points = np.full((space.assignments, len(space.parameters)), 0.5)
    for proposal in proposals:
        points[proposal.first : proposal.first + len(proposal.points)] = proposal.points
    known = space.repeats * sum(len(proposal.points) for proposal in proposals)
    is_proposed = np.arange(trials) < known
    return {
        path: Drawn(column.values, column.exists & is_proposed)
        for path, column in space.place(points).items()
    }


def _only_existing(values: NDArray[Any], drawn: Drawn) -> NDArray[Any]:
    return values if drawn.is_whole else np.where(drawn.exists, values, np.nan)


def _word(value: Any) -> str:
    """A text as it is; the key of {"quadratic": {}}; else the JSON form without blanks."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(value) == 1 and next(iter(value.values())) == {}:
        return str(next(iter(value)))
    return json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: Any) -> Any:
    # A google.protobuf.Value has no integers: 30 arrives as 30.0.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value
