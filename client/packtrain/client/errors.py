"""What can go wrong, as exceptions that carry their data.

PacktrainError
├── ApiError                  the server's answer: code, reason, message, metadata
│   ├── InvalidArgument       with every wrong field: violations
│   ├── NotFound
│   ├── AlreadyExists
│   ├── FailedPrecondition
│   ├── OutOfRange
│   ├── Aborted               the resource changed since it was read
│   ├── ResourceExhausted     retry_after_seconds, where the server told it
│   ├── Unauthenticated
│   ├── PermissionDenied
│   ├── Unimplemented
│   ├── Cancelled
│   ├── DeadlineExceeded      also a TimeoutError
│   ├── Unavailable           also a ConnectionError
│   │   └── WatchLost         a watch that could not be taken up again: resume_token
│   └── InternalError
├── SpecError                 a specification that can't be written as a message (ValueError): violations
├── DatasetError              arrays that can't be uploaded (ValueError)
├── ProtocolError             the server's answer breaks the contract
├── JobFailed                 a job that was waited for FAILED: job
├── NoBestTrial               no trial may be the best (LookupError): reason, metric, job
├── WaitTimeout               a job that was waited for did not end in time (TimeoutError)
└── MissingExtra              an optional dependency is not installed (ImportError)
"""

# ruff: noqa: N818  (they are named after the status codes that they stand for)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from packtrain.client.resources import Job


# The server cuts what is longer than 400 letters.
_COMPARED = 300


class PacktrainError(Exception):
    """Base of all that this package raises on purpose."""


class Violation(NamedTuple):
    """A wrong field: its path, and what was expected there."""

    field: str
    description: str


def tells_first(message: str, violations: Sequence[Violation]) -> bool:
    """Whether a message only says what the first violation says; both may have been cut."""
    if not violations:
        return False
    told = f"{violations[0].field}: {violations[0].description}"
    return message.startswith(told[:_COMPARED])


def _sentence(violations: Sequence[Violation]) -> str:
    first, *more = violations
    rest = f" (and {len(more)} more)" if more else ""
    return f"{first.field}: {first.description}{rest}"


class ApiError(PacktrainError):
    """A call failed.

    ``code`` is the gRPC status code's name ("NOT_FOUND"), ``reason`` the service's own word in
    UPPER_SNAKE_CASE ("" where the failure came from the transport), ``message`` one sentence.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_seconds = retry_after_seconds

    def reword(self, change: Callable[[Violation], Violation]) -> None:
        """Name the wrong fields otherwise, in the message too where it tells the first of them."""
        before, self.violations = self.violations, tuple(map(change, self.violations))
        if tells_first(self.message, before):
            self.message = _sentence(self.violations)
            self.args = (self.message,)


class InvalidArgument(ApiError):
    """A request is wrong; ``violations`` names every field."""


class NotFound(ApiError):
    """What the request names does not exist."""


class AlreadyExists(ApiError):
    """The name is taken."""


class FailedPrecondition(ApiError):
    """The resource is in a state in which this can't be done."""


class OutOfRange(ApiError):
    """The request goes past the end of what there is."""


class Aborted(ApiError):
    """The resource changed since it was read."""


class ResourceExhausted(ApiError):
    """A limit of the server would be exceeded."""


class Unauthenticated(ApiError):
    """The server does not know who calls."""


class PermissionDenied(ApiError):
    """The caller may not do this."""


class Unimplemented(ApiError):
    """The server does not know this method: it is older or newer than this client."""


class Cancelled(ApiError):
    """The call was cancelled."""


class DeadlineExceeded(ApiError, TimeoutError):
    """The server did not answer in time."""


class Unavailable(ApiError, ConnectionError):
    """The server can't be reached."""


class WatchLost(Unavailable):
    """A watch could not be taken up again; a new one goes on after ``resume_token``."""

    def __init__(self, message: str, *, resume_token: str, cause: ApiError) -> None:
        super().__init__(message, code=cause.code, reason=cause.reason, metadata=cause.metadata)
        self.resume_token = resume_token


class InternalError(ApiError):
    """The server failed in a way that it did not foresee."""


class SpecError(PacktrainError, ValueError):
    """A specification can't be written as a message; ``violations`` names every wrong field."""

    def __init__(self, field: str, description: str, *more: Violation) -> None:
        self.violations = (Violation(field, description), *more)
        super().__init__(_all_told(self.violations))

    def reword(self, change: Callable[[Violation], Violation]) -> None:
        """Name the wrong fields otherwise."""
        self.violations = tuple(map(change, self.violations))
        self.args = (_all_told(self.violations),)


def _all_told(violations: Sequence[Violation]) -> str:
    return "; ".join(f"{v.field}: {v.description}" for v in violations)


class DatasetError(PacktrainError, ValueError):
    """Arrays that can't be uploaded as a dataset; the message names the split and which of them."""


class ProtocolError(PacktrainError):
    """The server's answer breaks the contract."""


class JobFailed(PacktrainError):
    """A job that was waited for FAILED; ``job`` is its last state."""

    def __init__(self, job: Job) -> None:
        why = f": {job.failure.message}" if job.failure else ""
        super().__init__(f"{job.name} failed{why}")
        self.job = job


class NoBestTrial(PacktrainError, LookupError):
    """No trial of ``job``, as it was then, may be the best by ``metric``: none that neither
    DIVERGED nor FAILED has a finite value.

    ``reason`` is "NO_BEST_TRIAL_YET" where there are trials that may still get one, else
    "NO_BEST_TRIAL".
    """

    def __init__(self, job: Job, metric: str) -> None:
        self.job, self.metric = job, metric
        progress = job.progress
        unranked = progress.diverged + progress.failed
        ended = unranked + progress.succeeded + progress.stopped + progress.cancelled
        self.reason = "NO_BEST_TRIAL_YET" if ended < progress.trials else "NO_BEST_TRIAL"
        if progress.trials and unranked == progress.trials:
            who = "its only trial" if unranked == 1 else f"all of its {unranked} trials"
            states = {"diverged": progress.diverged, "failed": progress.failed}
            why = f"{who} {' or '.join(state for state, count in states.items() if count)}"
        else:
            yet = " yet" if ended < progress.trials else ""
            others = " that neither diverged nor failed" if unranked else ""
            why = f"no trial{others} has a finite value of it{yet}"
        super().__init__(f"{job.name} has no best trial by {metric}: {why}")


class WaitTimeout(PacktrainError, TimeoutError):
    """A job that was waited for did not end in time; it goes on."""


class MissingExtra(PacktrainError, ImportError):
    """An optional dependency is not installed; ``extra`` brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part: pip install 'packtrain[{extra}]'")
        self.extra = extra


_CLASSES: dict[grpc.StatusCode, type[ApiError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.INTERNAL: InternalError,
    grpc.StatusCode.DATA_LOSS: InternalError,
    grpc.StatusCode.UNKNOWN: InternalError,
}


def api_error(error: grpc.RpcError, target: str) -> ApiError:
    """The exception for a failed call to ``target``, from its code and google.rpc.Status."""
    code: grpc.StatusCode = error.code()
    status = _read_status(error)
    info, request, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details:
        for kind in (info, request, retry):
            detail.Unpack(kind)  # does nothing where the detail is of another kind
    message = error.details() or code.name
    if not info.reason:
        message = _transport_message(code, message, target)
    return _CLASSES.get(code, InternalError)(
        message,
        code=code.name,
        reason=info.reason,
        metadata=info.metadata,
        violations=[Violation(v.field, v.description) for v in request.field_violations],
        retry_after_seconds=(
            retry.retry_delay.ToTimedelta().total_seconds()
            if retry.HasField("retry_delay")
            else None
        ),
    )


def _read_status(error: grpc.RpcError) -> status_pb2.Status:
    try:
        return rpc_status.from_call(error) or status_pb2.Status()
    except Exception:  # details that don't parse, or contradict the code, tell nothing
        return status_pb2.Status()


def _transport_message(code: grpc.StatusCode, details: str, target: str) -> str:
    if code is grpc.StatusCode.UNAVAILABLE:
        if "errors resolving" in details or "DNS resolution failed" in details:
            return f"the server's name {target} can't be resolved; expected HOST:PORT"
        connecting = "Failed to connect to remote host: "
        why = details.rsplit(connecting, 1)[-1]
        if connecting not in details and "connect" not in details:
            return f"the connection to the server at {target} broke ({why})"
        # Without a port gRPC takes 443, which nobody has asked for.
        hint = "'packtrain serve' starts one" if ":" in target else "expected HOST:PORT"
        return f"the server at {target} can't be reached ({why}); {hint}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"the server at {target} did not answer in time"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"the server at {target} does not offer this method ({details})"
    return details
