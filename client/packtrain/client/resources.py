"""What the server holds, as typed objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from packtrain.client.learning_rates import LearningRateFinding
from packtrain.client.names import dataset_id, job_id


class JobState(StrEnum):
    """A job's state; the contract's comments say what leads out of each."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"

    @property
    def is_terminal(self) -> bool:
        """Whether it is an end: nothing leads out of it but more to train, or a retry."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class TrialState(StrEnum):
    """A trial's state. DIVERGED and STOPPED (by the search's early stopping) are results."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DIVERGED = "diverged"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STOPPED = "stopped"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing leads out of it."""
        return self not in (TrialState.QUEUED, TrialState.RUNNING)


# Trials that are never the best, whatever they measured.
UNRANKED_STATES = (TrialState.DIVERGED, TrialState.FAILED)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why something failed: ``reason`` for programs, ``message`` for people."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """How far a job is: trials, those that ended by how, and epochs summed over trials."""

    trials: int
    succeeded: int
    diverged: int
    failed: int
    cancelled: int
    stopped: int
    trial_epochs: int
    trial_epochs_total: int


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """What a job would cost: ``operations`` are multiplications and additions;
    ``worker_seconds`` is about how long a single worker would take, ``seconds`` all the server's,
    with nothing else to do."""

    trials: int
    packs: int
    memory_bytes: int
    operations: float
    worker_seconds: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training job as it was when it was read.

    ``spec`` is the contract's JSON form with every default filled in, by the proto's names
    (batch_size); ``create_job`` takes it, and so does a specification file.
    ``layer_sizes`` is empty where trials differ. ``learning_rate_finding`` is what a
    LearningRateRange found, once the job has SUCCEEDED. ``priority``, from -100 to 100, says which
    jobs get the workers first.
    """

    name: str
    uid: str
    spec: Mapping[str, Any]
    state: JobState | None
    create_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    failure: Failure | None
    progress: JobProgress
    metrics: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    etag: str
    learning_rate_finding: LearningRateFinding | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0

    @property
    def id(self) -> str:
        """The name without "jobs/"."""
        return job_id(self.name)


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """After ``epoch`` a trial of a population took over the weights, the optimizer's state and the
    numbers of ``copied_trial``, and went on with ``parameters``, by path."""

    epoch: int
    copied_trial: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One assignment of values to the search space, and what came of it.

    ``parameters`` are this trial's values by path, those that it began with where ``adaptations``
    tell of others; ``final_metrics`` those of the last epoch that was measured, which may not be
    the last one of a trial that has not ended. ``arithmetics`` are what the workers that trained it
    computed with: trials of one specification are the same bit for bit where both name the same
    one, and may differ in their last bits elsewhere.
    """

    name: str
    index: int
    state: TrialState
    parameters: Mapping[str, Any]
    epochs: int
    final_metrics: Mapping[str, float]
    failure: Failure | None
    arithmetics: tuple[str, ...] = ()
    adaptations: tuple[Adaptation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BestTrial:
    """The best trial so far by a metric, and its value; of equal ones the first. One that DIVERGED
    or FAILED never is."""

    trial: Trial
    metric: str
    value: float
    higher_is_better: bool


@dataclass(frozen=True, kw_only=True)
class Importance:
    """How much each searched parameter matters for a metric.

    ``shares`` are by path, the largest first, and add up to 1; ``trials`` were compared, of which
    ``present`` have the parameter. ``evaluator`` says how. Shares are of what the parameters tell:
    where none matters they compare noise.
    """

    metric: str
    higher_is_better: bool
    shares: Mapping[str, float]
    present: Mapping[str, int]
    trials: int
    evaluator: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Rows to learn from. ``splits`` maps names to rows; ``classes`` is 0 for real targets."""

    name: str
    origin: str
    splits: Mapping[str, int]
    features: int
    classes: int
    targets: int
    digest: str
    size_bytes: int
    create_time: datetime | None
    description: str

    @property
    def id(self) -> str:
        """The name without "datasets/"."""
        return dataset_id(self.name)


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """Something that can be measured; ``per_layer`` ones yield name/1, name/2, ...

    ``target_kinds`` are the targets that have it, of "classes", "labels" and "numbers", of
    networks of ``least_outputs`` or more.
    """

    name: str
    description: str
    per_layer: bool
    needs_validation: bool
    higher_is_better: bool
    target_kinds: tuple[str, ...]
    least_outputs: int


@dataclass(frozen=True, kw_only=True)
class NumberInfo:
    """A number of a specification: its path, its default and its range.

    ``default`` is None where there is none, or where it follows from other fields. ``per_trial``:
    trials that differ in it train as one stacked array.
    """

    path: str
    whole: bool
    per_trial: bool
    default: float | None
    at_least: float | None
    above: float | None
    at_most: float | None
    below: float | None


@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """What the server refuses to exceed. ``max_job_memory_bytes`` is None until it has seen the
    machines of its Ray cluster."""

    max_trials: int
    max_job_memory_bytes: int | None
    max_upload_bytes: int
    max_message_bytes: int


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """What the server is and offers, by the words that a specification names it with.

    ``activations`` are those of an output layer, ``hidden_activations`` those that a hidden layer
    may have too; ``cost_outputs`` are the output activations that each cost goes with.
    ``engine_problem`` is why there are no workers, as far as that is known, or "".
    """

    version: str
    activations: tuple[str, ...]
    hidden_activations: tuple[str, ...]
    costs: tuple[str, ...]
    initializations: tuple[str, ...]
    optimizers: tuple[str, ...]
    schedules: tuple[str, ...]
    search_algorithms: tuple[str, ...]
    domains: tuple[str, ...]
    early_stopping: tuple[str, ...]
    metrics: tuple[MetricInfo, ...]
    numbers: tuple[NumberInfo, ...]
    cost_outputs: Mapping[str, tuple[str, ...]]
    synthetic_datasets: tuple[str, ...]
    limits: ServerLimits
    engine_state: str
    workers: int
    engine_problem: str
