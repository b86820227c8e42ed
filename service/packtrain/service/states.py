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
    PAUSED = "paused"


class TrialState(StrEnum):
    """A trial's state."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DIVERGED = "diverged"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


# Trials that are never the best, whatever they measured: one went astray, the other was not trained
# to where it is compared.
UNRANKED_TRIAL_STATES = (TrialState.DIVERGED, TrialState.FAILED)

JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    # begun by the coordinator; paused by its owner, or cancelled (by way of CANCELLING where its
    # trials are many); its data can't be read
    JobState.QUEUED: frozenset(
        {
            JobState.RUNNING,
            JobState.PAUSED,
            JobState.CANCELLING,
            JobState.CANCELLED,
            JobState.FAILED,
        }
    ),
    # every trial ended; paused or cancelled by its owner; no trial could be trained
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.PAUSED, JobState.CANCELLING, JobState.FAILED}
    ),
    # resumed by its owner, to where it was, or cancelled
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING}),
    # its last segments came in, or will never come
    JobState.CANCELLING: frozenset({JobState.CANCELLED}),
    # given more trials or epochs by its owner, or its failed trials once more
    JobState.SUCCEEDED: frozenset({JobState.RUNNING}),
    JobState.FAILED: frozenset({JobState.RUNNING}),
    JobState.CANCELLED: frozenset(),
}

# Nothing happens in these but by its owner.
ENDED_JOB_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
ACTIVE_JOB_STATES = frozenset(JOB_TRANSITIONS) - ENDED_JOB_STATES


def leading_to(state: JobState) -> tuple[JobState, ...]:
    """The states that may go to ``state``: the guard of its transition."""
    return tuple(s for s, out in JOB_TRANSITIONS.items() if state in out)
