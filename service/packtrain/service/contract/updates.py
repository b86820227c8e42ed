"""What an update asks to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packtrain.service.contract.extension import EPOCHS, TRIALS, More
from packtrain.service.contract.fields import Violations
from packtrain.service.labels import find_wrong_labels, find_wrong_priority
from packtrain.service.records import LabelChange
from packtrain.v1 import job_pb2, training_service_pb2

_LABEL = "labels."
_PATHS = ("labels", "priority", *TRIALS.values(), EPOCHS)


@dataclass(frozen=True)
class Wanted:
    """The new values of a job's fields; None: as they are."""

    labels: LabelChange | None
    priority: int | None
    more: More | None


def read_update(request: training_service_pb2.UpdateJobRequest, violations: Violations) -> Wanted:
    """What the request asks for, as far as it is right."""
    job, paths = request.job, list(request.update_mask.paths)
    for i, path in enumerate(paths):
        if path not in (*_PATHS, "*") and not path.startswith(_LABEL):
            expected = ", ".join((*_PATHS[:1], "labels.KEY", *_PATHS[1:]))
            violations.add(f"update_mask.paths[{i}]", f"must be one of {expected}, not {path!r}")
    if not paths:
        paths = _find_given(job)
        if not paths:
            violations.add("job", f"must have something to change: {', '.join(_PATHS)}")
    elif "*" in paths:
        # A job without a number of epochs or trials is none.
        paths = list(dict.fromkeys(("labels", "priority", *_find_given(job))))
    more = More(
        trials={
            kind: getattr(job.spec.search, kind).trials
            for kind, path in TRIALS.items()
            if path in paths
        },
        epochs=job.spec.epochs if EPOCHS in paths else None,
    )
    priority = job.priority if "priority" in paths else None
    if priority is not None:
        violations.add_all(tuple(find_wrong_priority(priority, "job.priority")))
    labels = _read_labels(job, paths)
    if labels is not None:
        violations.add_all(tuple(find_wrong_labels(labels.labels, "job.labels")))
    return Wanted(labels, priority, None if more == More() else more)


def _find_given(job: job_pb2.Job) -> list[str]:
    """The paths of what the job has."""
    kind = job.spec.search.WhichOneof("algorithm")
    given = {"labels": bool(job.labels), "priority": job.priority != 0}
    given |= {path: kind == of for of, path in TRIALS.items()}
    given[EPOCHS] = job.spec.HasField("epochs")
    return [path for path in _PATHS if given[path]]


def _read_labels(job: job_pb2.Job, paths: Iterable[str]) -> LabelChange | None:
    if "labels" in paths:
        return LabelChange(replaces=True, labels=dict(job.labels))
    keys = [path.removeprefix(_LABEL) for path in paths if path.startswith(_LABEL)]
    if not keys:
        return None
    given = {key: job.labels[key] for key in keys if key in job.labels}
    removed = tuple(key for key in keys if key not in given)
    return LabelChange(replaces=False, labels=given, removed=removed)
