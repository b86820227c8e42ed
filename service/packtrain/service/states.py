"""The states of jobs and trials, and the one table of transitions between them."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """A job's state; the contract's comments say what leads out of each."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TrialState(StrEnum):
    """A trial's state."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DIVERGED = "diverged"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    # begun by the coordinator; cancelled by its owner (by way of CANCELLING where its trials are
    # many); its data can't be read
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED}
    ),
    # every trial ended; cancelled by its owner; no trial could be trained
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.CANCELLING, JobState.FAILED}),
    # its last segments came in, or will never come
    JobState.CANCELLING: frozenset({JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

TERMINAL_JOB_STATES = frozenset(s for s, out in JOB_TRANSITIONS.items() if not out)
ACTIVE_JOB_STATES = frozenset(JOB_TRANSITIONS) - TERMINAL_JOB_STATES


def leading_to(state: JobState) -> tuple[JobState, ...]:
    """The states that may go to ``state``: the guard of its transition."""
    return tuple(s for s, out in JOB_TRANSITIONS.items() if state in out)
