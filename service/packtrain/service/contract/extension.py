"""More trials or epochs for a job: what it is then, and why that can't be.

The numbers must be those of a job that had so many from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from packtrain.service.contract.expansion import Expansion
from packtrain.service.contract.fields import Violations
from packtrain.service.contract.search import searched_paths
from packtrain.training import CosineDecay, OneCycle, PolynomialDecay, RateShape
from packtrain.v1 import spec_pb2

_LEARNING = ("tpe", "gaussian_process", "cma_es", "nsga2")
# Searches of which trial k depends on the seed, what is searched, and k alone; and those that go
# on proposing by what came of the trials before.
TRIALS = {kind: f"spec.search.{kind}.trials" for kind in ("random", "sobol", *_LEARNING)}
EPOCHS = "spec.epochs"

_SOURCES = ("dataset.name", "dataset.inline", "dataset.synthetic")
_FIXED: dict[str | None, str] = {
    None: "it has no search",
    "grid": "the trials of a grid follow from its domains",
    "latin_hypercube": "the points of a latin_hypercube depend on how many there are",
    "learning_rate_range": "the trials of a learning_rate_range are compared with each other",
    "points": "its points are listed",
}


@dataclass(frozen=True)
class More:
    """How many ``trials``, by the kinds of search that they are asked for of, and ``epochs`` a job
    shall have; empty and None: as many as it has."""

    trials: Mapping[str, int] = field(default_factory=dict)
    epochs: int | None = None


def extend_spec(job: Expansion, more: More, violations: Violations) -> spec_pb2.JobSpec:
    """The job's specification with more of them."""
    spec = spec_pb2.JobSpec()
    spec.CopyFrom(job.spec)
    for kind, trials in more.trials.items():
        before = len(violations)
        _check(_find_wrong_trials(job, kind, trials), f"job.{TRIALS[kind]}", violations)
        if len(violations) == before:
            getattr(spec.search, kind).trials = trials
    if more.epochs is not None:
        _check(_find_wrong_epochs(job, more.epochs), f"job.{EPOCHS}", violations)
        spec.epochs = more.epochs
    return spec


def check_further_trials(old: Expansion, new: Expansion, violations: Violations) -> None:
    """Defaults that followed from all trials so far must have followed from the further ones too:
    the cost from the output activation, and what is measured from there being validation rows."""
    if len(_kinds(old)) == 1 < len(_kinds(new)):
        violations.add(
            f"job.{TRIALS[new.spec.search.WhichOneof('algorithm') or 'random']}",
            "can't be raised: the further trials are the first that differ in their output "
            "activation, or in having validation rows, from which defaults followed",
        )


def _kinds(job: Expansion) -> set[tuple[str, bool]]:
    return {(g.pack.signature.output_activation.name, g.validation_rows > 0) for g in job.groups}


def _check(reasons: Iterator[str], field: str, violations: Violations) -> None:
    for reason in reasons:
        violations.add(field, reason)


def _find_wrong_trials(job: Expansion, asked: str, trials: int) -> Iterator[str]:
    search = job.spec.search
    kind = search.WhichOneof("algorithm")
    if kind not in TRIALS:
        yield f"can't be changed: {_FIXED[kind]}; a search that is random, sobol or learns takes more trials"
        return
    if kind != asked:
        yield f"is of another search than the job's: use {TRIALS[kind]}"
        return
    now = getattr(search, kind).trials
    if trials < now:
        yield f"must be at least {now}, which the job has: none are taken away"
    if trials == now:
        return
    # A batch of an algorithm that learns is compared with itself alone.
    if job.learner is None and (rule := _find_comparing(job)) is not None:
        yield (
            f"can't be raised beside {rule}: the trials that there are were compared without the "
            "further ones"
        )
    for path in searched_paths(job.spec):
        if path == "dataset" or path.startswith(_SOURCES):
            yield f"can't be raised: {path} is searched, and other data are not kept with the job"


def _find_wrong_epochs(job: Expansion, epochs: int) -> Iterator[str]:
    if "epochs" in searched_paths(job.spec):
        yield "can't be changed: it is searched, and each trial has its own"
        return
    now, every = job.spec.epochs, job.groups[0].pack.signature.measure_every
    if epochs < now:
        yield f"must be at least {now}, which the job has: none are taken away"
    if epochs == now:
        return
    if job.learner is not None:
        kind = job.spec.search.WhichOneof("algorithm")
        yield f"can't be raised beside {kind}, which has learned from trials of {now} epochs"
    if (rule := _find_comparing(job)) is not None:
        yield f"can't be raised beside {rule}: when it compares the trials depends on the epochs"
    if now % every:
        yield (
            f"can't be raised: epoch {now} was measured for being the last, between those that "
            f"are measured every {every} epochs"
        )
    schedules = {s.shape for g in job.groups for s in g.pack.trials.schedules}
    for name in sorted({name for shape in schedules if (name := _spans(shape, now))}):
        yield f"can't be raised: the {name} schedule spans all epochs, and would have been another"


def _find_comparing(job: Expansion) -> str | None:
    """The field of the search by which trials are compared with each other on their way."""
    if job.population is not None:
        return "population"
    kind: str | None = job.spec.search.WhichOneof("early_stopping")
    return kind


def _spans(shape: RateShape, epochs: int) -> str | None:
    """The shape's name where it depends on the number of epochs."""
    if isinstance(shape, PolynomialDecay):
        return "polynomial"
    if isinstance(shape, OneCycle):
        return "one_cycle"
    return "cosine" if isinstance(shape, CosineDecay) and shape.period in (0, epochs) else None
