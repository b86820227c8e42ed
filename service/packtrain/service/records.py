"""What the store keeps, as plain values: jobs, packs, trials and the events of a job's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from packtrain.service.learning_rates import RateFinding
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
    from; ``finding`` is what a learning-rate range found, once it has ended."""

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

    @property
    def etag(self) -> str:
        """Changes with every change of the job."""
        return f"{self.uid[:8]}-{self.revision}"


@dataclass(frozen=True)
class ActiveJob:
    """A job that has not ended, in brief."""

    uid: str
    job_id: str
    state: JobState
    trials: int


@dataclass(frozen=True, kw_only=True, eq=False)
class NewPack:
    """A pack to be: the indices of its trials within the job, (K,), the epoch that they are at,
    and the one at which they are compared with others; None: they train to their end."""

    trials: NDArray[np.int32]
    metrics: tuple[str, ...]
    begin: int = 0
    until: int | None = None
    arithmetics: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class NewJob:
    """A job to be."""

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


@dataclass(frozen=True, kw_only=True, eq=False)
class PackRecord:
    """A pack's position: ``epochs`` are recorded; at epoch ``until`` its trials are compared with
    others (None: never); ``started`` once a segment was handed out; ``is_closed`` where its trials
    went on in other packs; ``arithmetics`` of the workers that trained it, in the order of their
    first part in it."""

    index: int
    trials: NDArray[np.int32]
    metrics: tuple[str, ...]
    epochs: int
    until: int | None
    started: bool
    is_closed: bool
    arithmetics: tuple[str, ...]


@dataclass(frozen=True)
class Adaptation:
    """After ``epoch``, ``trial`` took over the state of ``copied_trial``, and went on with these
    numbers, by path."""

    epoch: int
    trial: int
    copied_trial: int
    parameters: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialRecord:
    """A trial as it stands. ``final_metrics`` once it has ended; ``arithmetics`` are its pack's;
    ``adaptations`` what a population changed in it, by epoch."""

    index: int
    state: TrialState
    epochs: int
    pack_index: int
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
class EndedTrials:
    """Trials of a pack that end together: ``final`` is (K, metrics) float32."""

    state: TrialState
    trials: NDArray[np.int32]
    epochs: NDArray[np.int32]
    final: NDArray[np.float32]
    failure: Failure | None = None


@dataclass(frozen=True)
class RequestKey:
    """A client's request id, with the method and a digest of what was asked."""

    request_id: str
    method: str
    digest: str
