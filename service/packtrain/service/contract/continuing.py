"""Jobs that begin with what an earlier one found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value

from packtrain.service.contract.expansion import Expansion
from packtrain.service.contract.fields import Violations
from packtrain.service.contract.learners import is_learner
from packtrain.service.contract.parameters import canonical
from packtrain.service.contract.search import (
    ParameterSpace,
    read_search,
    searched_paths,
)
from packtrain.service.contract.trial_parameters import TrialParameters
from packtrain.service.domains import Choice
from packtrain.service.errors import InvalidSpecError, NotFoundError
from packtrain.service.objectives import score_trials
from packtrain.service.past_trials import PastTrials
from packtrain.service.positions import unit_of
from packtrain.service.records import JobRecord, Lessons
from packtrain.service.resources import parse_job_name
from packtrain.v1 import spec_pb2

_WHERE = "search.continues"


def find_continued(
    spec: spec_pb2.JobSpec, past: PastTrials | None, violations: Violations
) -> JobRecord | None:
    """The job that a specification continues; None where it continues none, and, with a
    violation, where it can't. Blocks."""
    name = spec.search.continues
    if not name:
        return None
    if not is_learner(spec.search):
        violations.add(_WHERE, "can't stand beside an algorithm that doesn't learn from results")
    try:
        job_id = parse_job_name(name, _WHERE)
        if past is None:
            violations.add(_WHERE, f"there is no job {name}")
            return None
        job = past.find_job(job_id)
    except InvalidSpecError as error:
        violations.add_all(error.violations)
        return None
    except NotFoundError as error:
        violations.add(_WHERE, error.message)
        return None
    theirs = set(searched_paths(spec_pb2.JobSpec.FromString(job.spec)))
    ours = set(searched_paths(spec))
    for paths, what in ((ours - theirs, "did not search"), (theirs - ours, "searched besides")):
        if paths:
            listed = ", ".join(sorted(paths))
            violations.add(_WHERE, f"must have the same parameters: {name} {what} {listed}")
    return job


def read_lessons(expansion: Expansion, job: JobRecord, past: PastTrials) -> Lessons:
    """What the trials of the job found that lie in the domains of the expansion's search. Blocks.
    Raises InvalidSpecError where there are none, or they did not measure its objectives."""
    violations = Violations()
    name = expansion.spec.search.continues
    for objective in expansion.objectives:
        if objective.metric not in job.metrics:
            violations.add(_WHERE, f"{name} did not measure the objective {objective.metric}")
    trials, proposals = past.read(job)
    earlier = spec_pb2.JobSpec.FromString(job.spec)
    parameters = TrialParameters(earlier, job.trials, proposals)
    places = _Places(expansion)
    points = [places.find(parameters.values(trial.index)) for trial in trials]
    fits = np.array([point is not None for point in points], np.bool_)
    if not fits.any():
        what = "that lies within these domains" if trials else "that has ended"
        violations.add(_WHERE, f"{name} has no trial {what}")
    violations.raise_if_any()
    scores = score_trials(trials, expansion.objectives)
    return Lessons(np.array([p for p in points if p is not None]), scores[fits])


class _Places:
    """Where the values of another job's trials lie in the space of this one."""

    def __init__(self, expansion: Expansion) -> None:
        found = read_search(expansion.spec, Violations())
        assert found is not None
        self._parameters: ParameterSpace = found
        self._indices: dict[str, dict[bytes | None, int]] = {
            path: {canonical(path, value): i for i, value in reversed(list(enumerate(values)))}
            for path, values in found.choices.items()
        }
        self._known: dict[tuple[str, str], float | None] = {}

    def find(self, row: Mapping[str, Value]) -> list[float] | None:
        """The point of one trial; None where it lies outside."""
        values = {path: json_format.MessageToDict(value) for path, value in row.items()}
        parameters = self._parameters.space.parameters
        point = [self._find(p.path, values.get(p.path), p.path in values) for p in parameters]
        if None in point:
            return None
        found = [share for share in point if share is not None]
        columns = self._parameters.space.place(np.array([found]))
        exists = [bool(columns[p.path].exists[0]) for p in parameters]
        return found if exists == [p.path in values for p in parameters] else None

    def _find(self, path: str, value: Any, exists: bool) -> float | None:
        if not exists:
            return 0.5
        key = path, json.dumps(value, sort_keys=True)
        if key not in self._known:
            self._known[key] = self._position(path, value)
        return self._known[key]

    def _position(self, path: str, value: Any) -> float | None:
        domain = next(p.domain for p in self._parameters.space.parameters if p.path == path)
        if isinstance(domain, Choice):
            value = self._indices[path].get(canonical(path, value), -1)
        try:
            return unit_of(domain, value)
        except (ValueError, TypeError):
            return None
