"""What a watch tells, one object an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from packtrain.client.resources import Adaptation, Failure, JobState, TrialState


@dataclass(frozen=True, kw_only=True)
class _Event:
    """``resume_token``: with it a later watch goes on after this event."""

    resume_token: str
    time: datetime | None


@dataclass(frozen=True, kw_only=True)
class JobChanged(_Event):
    """The job went to ``state``, or was created in it."""

    state: JobState
    failure: Failure | None


@dataclass(frozen=True, kw_only=True)
class TrialsChanged(_Event):
    """These trials went to ``state``, with so many epochs recorded for each."""

    trials: tuple[int, ...]
    state: TrialState
    epochs: tuple[int, ...]
    failure: Failure | None


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricsReceived(_Event):
    """Metrics of epochs ``first_epoch`` (from 1) and on.

    ``values`` is float32 of shape (trials, epochs, metrics), read-only; NaN where nothing was
    measured, and after a trial's end.
    """

    trials: tuple[int, ...]
    first_epoch: int
    metrics: tuple[str, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class TrialsAdapted(_Event):
    """These trials of a population copied others: one adaptation for each."""

    trials: tuple[int, ...]
    adaptations: tuple[Adaptation, ...]


@dataclass(frozen=True, kw_only=True)
class Heartbeat(_Event):
    """Nothing happened for a while; the connection lives."""


Event: TypeAlias = JobChanged | TrialsChanged | MetricsReceived | TrialsAdapted | Heartbeat
