"""How commands exit: one table for the code, the help and the documentation."""

from __future__ import annotations

from packtrain.client.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    SpecError,
    Unauthenticated,
)
from packtrain.client.resources import JobState

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_CANCELLED = 3
EXIT_INTERRUPTED = 130

MEANINGS = {
    EXIT_DONE: "all went well; of run, watch and find-rate: the job succeeded",
    EXIT_FAILED: "something failed: the job, the server, the way to it, a file",
    EXIT_REFUSED: "what was asked for was refused: wrong usage, a wrong field, no such name, a name "
    "that is taken, a state in which it can't be done, a limit",
    EXIT_CANCELLED: "of run, watch and find-rate: the job was cancelled",
    EXIT_INTERRUPTED: "interrupted by Ctrl-C; a job that was followed goes on",
}

OUTCOMES = {
    JobState.SUCCEEDED: EXIT_DONE,
    JobState.FAILED: EXIT_FAILED,
    JobState.CANCELLED: EXIT_CANCELLED,
}

# The same request again would be refused again.
_REFUSALS = (
    AlreadyExists,
    FailedPrecondition,
    FileNotFoundError,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    SpecError,
    Unauthenticated,
)

HELP = "Exit codes: " + ". ".join(f"{code} {told}" for code, told in MEANINGS.items()) + "."


def exit_code(error: Exception) -> int:
    """The code that a command exits with after an error."""
    return EXIT_REFUSED if isinstance(error, _REFUSALS) else EXIT_FAILED
