"""What the store keeps, as plain values: jobs, packs, trials and the events of a job's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.learning_rates import RateFinding
from packtrain.service.resources import job_name
from packtrain.service.states import JobState, TrialState


@dataclass(frozen=True)
class Failure:
    """Why something failed: a reason in UPPER_SNAKE_CASE and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A job. ``spec`` is the resolved specification and ``plan`` what it was thought to cost,
    serialized; ``order`` grows with each job; ``networks`` is the digest of those that it begins
    from; ``finding`` is what a learning-rate range found, once it has ended; ``generation`` grows
    whenever it gets more to train."""

    job_id: str
    uid: str
    order: int
    spec: bytes
    plan: bytes
    state: JobState
    revision: int
    created: datetime
    started: datetime | None
    ended: datetime | None
    failure: Failure | None
    trials: int
    trial_epochs: int
    trial_epochs_total: int
    counts: dict[TrialState, int]
    metrics: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    datasets: tuple[str, ...]
    networks: str | None
    finding: RateFinding | None
    labels: dict[str, str]
    priority: int
    generation: int

    @property
    def etag(self) -> str:
        """Changes with every change of the job."""
        return f"{self.uid[:8]}-{self.revision}"

    def refuse(self, reason: str, rule: str) -> IllegalTransitionError:
        """The error of what can't be done with the job in its state."""
        return IllegalTransitionError(
            reason,
            f"{job_name(self.job_id)} is {self.state.name}: {rule}",
            metadata={"state": self.state.name},
        )

    def check_changeable(self) -> None:
        """Raises IllegalTransitionError where it can get nothing more to train."""
        if self.state in (JobState.CANCELLING, JobState.CANCELLED):
            raise self.refuse(f"JOB_{self.state.name}", "a job that was cancelled trains no more")


@dataclass(frozen=True)
class ActiveJob:
    """A job that has not ended, in brief; ``owner`` is the replica that trains it, None where
    there is none that lives."""

    uid: str
    job_id: str
    state: JobState
    trials: int
    priority: int
    generation: int
    owner: str | None


@dataclass(frozen=True, kw_only=True)
class ReplicaRecord:
    """A process that serves the store: ``name`` is for people, ``beats`` grow as long as it lives,
    ``demand`` is how many workers it could use of a cluster that it shares (None: it shares none).
    Times are those of the database's clock."""

    replica_id: str
    name: str
    started: datetime
    renewed: datetime
    beats: int
    demand: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class NewPack:
    """A pack to be: the indices of its trials within the job, (K,), the epoch that they are at,
    and the one at which they are compared with others; None: they train to their end.
    ``started``: its trials are RUNNING already."""

    trials: NDArray[np.int32]
    metrics: tuple[str, ...]
    begin: int = 0
    until: int | None = None
    arithmetics: tuple[str, ...] = ()
    started: bool = False


@dataclass(frozen=True, eq=False)
class Proposal:
    """What an algorithm that learns has proposed at once: the assignments from ``first`` on, at
    ``points`` (assignments, parameters) of the unit cube."""

    first: int
    points: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a job begins with of another's results: ``points`` (K, parameters) of the unit cube and
    their ``scores`` (K, objectives), more being better, -inf the worst."""

    points: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class NewJob:
    """A job to be; ``failures`` tell why some of its trials, which are in no pack, can't be
    trained."""

    job_id: str
    uid: str
    spec: bytes
    plan: bytes
    trials: int
    trial_epochs_total: int
    metrics: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    datasets: tuple[str, ...]
    packs: tuple[NewPack, ...]
    networks: str | None = None
    lessons: Lessons | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    failures: Mapping[Failure, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Extension:
    """More to train for a job of this ``generation``: what its fields are then, the packs of its
    further trials, and why some of these can't be trained. ``last_epoch`` is the one that the
    trials ended at that now go on; None: none goes on. ``learns``: its algorithm is still to
    propose the further trials."""

    generation: int
    spec: bytes
    plan: bytes
    trials: int
    trial_epochs_total: int
    metrics: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    packs: tuple[NewPack, ...]
    last_epoch: int | None
    failures: Mapping[Failure, Sequence[int]] = field(default_factory=dict)
    learns: bool = False


@dataclass(frozen=True, kw_only=True)
class LabelChange:
    """``labels`` to set and ``removed`` ones, or, with ``replaces``, all that there are then."""

    replaces: bool
    labels: Mapping[str, str]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class JobUpdate:
    """What to change of a job; None: nothing. ``etag``: that it must have, or ""."""

    etag: str = ""
    labels: LabelChange | None = None
    priority: int | None = None
    extension: Extension | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Retry:
    """Trials, (K,), of a job of this ``generation`` that FAILED: their packs, which are
    ``closed``, and those in which they train anew. ``learns``: its algorithm is to go on proposing
    those that it had not proposed when the job FAILED."""

    generation: int
    trials: NDArray[np.int32]
    closed: tuple[int, ...]
    packs: tuple[NewPack, ...]
    learns: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class PackRecord:
    """A pack's position: ``epochs`` are recorded; at epoch ``until`` its trials are compared with
    others (None: never); ``started`` once a segment was handed out; ``is_closed`` where its trials
    went on in other packs; ``arithmetics`` of the workers that trained it, in the order of their
    first part in it; ``generation`` grows when its last epoch moves: what was trained towards the
    one before is no longer recorded."""

    index: int
    trials: NDArray[np.int32]
    metrics: tuple[str, ...]
    epochs: int
    until: int | None
    started: bool
    is_closed: bool
    arithmetics: tuple[str, ...]
    generation: int


@dataclass(frozen=True)
class Adaptation:
    """After ``epoch``, ``trial`` took over the state of ``copied_trial``, and went on with these
    numbers, by path."""

    epoch: int
    trial: int
    copied_trial: int
    parameters: Mapping[str, float]


@dataclass(frozen=True)
class CheckpointRecord:
    """The state of a pack after ``epoch`` epochs, in the artifact store's file ``name``, of this
    size and with this BLAKE2b digest (hexadecimal)."""

    pack_index: int
    epoch: int
    name: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialRecord:
    """A trial as it stands. ``final_metrics`` once it has ended; ``arithmetics`` are its pack's;
    ``pack_index`` is None where it has none: it was not proposed yet, or could not be planned.
    ``adaptations``, by epoch, are what a population changed in it, where they were asked for."""

    index: int
    state: TrialState
    epochs: int
    pack_index: int | None
    arithmetics: tuple[str, ...]
    failure: Failure | None = None
    final_metrics: dict[str, float] = field(default_factory=dict)
    adaptations: tuple[Adaptation, ...] = ()


@dataclass(frozen=True, eq=False)
class JobChanged:
    """The job was created, or went to another state."""

    state: JobState
    failure: Failure | None = None


@dataclass(frozen=True, eq=False)
class TrialsChanged:
    """Trials (K,) went to another state, having ``epochs`` (K,) recorded."""

    state: TrialState
    trials: NDArray[np.int32]
    epochs: NDArray[np.int32]
    failure: Failure | None = None


@dataclass(frozen=True, eq=False)
class MetricsRecorded:
    """``values`` is (K, epochs, metrics) float32, for ``trials`` (K,), from ``first_epoch``."""

    trials: NDArray[np.int32]
    first_epoch: int
    names: tuple[str, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class TrialsAdapted:
    """Trials of a population copied others, all after one epoch."""

    adaptations: tuple[Adaptation, ...]


EventBody = JobChanged | TrialsChanged | MetricsRecorded | TrialsAdapted


@dataclass(frozen=True, eq=False)
class Event:
    """An entry of a job's log: ``sequence`` counts from 1 without a gap."""

    sequence: int
    time: datetime
    body: EventBody


@dataclass(frozen=True, eq=False)
class LogPart:
    """A part of a job's log, as it was at one moment: the job's ``state`` and the ``last``
    sequence then, and ``events`` in order, perhaps not up to the last."""

    state: JobState
    last: int
    events: list[Event]


@dataclass(frozen=True, eq=False)
class EndedTrials:
    """Trials of a pack that end together: ``final`` is (K, metrics) float32; None: what was
    recorded of them last."""

    state: TrialState
    trials: NDArray[np.int32]
    epochs: NDArray[np.int32]
    final: NDArray[np.float32] | None
    failure: Failure | None = None


@dataclass(frozen=True)
class RequestKey:
    """A client's request id, with the method and a digest of what was asked."""

    request_id: str
    method: str
    digest: str
