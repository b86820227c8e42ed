"""What a call can be refused with, and the one table from these errors to status codes.

ServiceError
├── InvalidSpecError        INVALID_ARGUMENT, with every wrong field
├── NotFoundError           NOT_FOUND
├── AlreadyExistsError      ALREADY_EXISTS
├── IllegalTransitionError  FAILED_PRECONDITION
├── EtagMismatchError       ABORTED
├── NotOwnerError           ABORTED (no call ever raises it: training alone does)
├── LimitExceededError      RESOURCE_EXHAUSTED
├── StoreUnavailableError   UNAVAILABLE
│   └── StoreFullError      RESOURCE_EXHAUSTED
└── ServerStoppingError     UNAVAILABLE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import grpc


class Violation(NamedTuple):
    """A wrong field: its path, and what was expected there."""

    field: str
    description: str


class ServiceError(Exception):
    """Base: one sentence for people, a ``reason`` for programs."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_seconds = retry_seconds


class InvalidSpecError(ServiceError):
    """A request is wrong; ``violations`` names every field."""

    @classmethod
    def of(cls, violations: Sequence[Violation]) -> InvalidSpecError:
        """The error that names these fields."""
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        message = f"{first.field}: {first.description}{more}"
        return cls("INVALID_FIELD", message, violations=violations)


class NotFoundError(ServiceError):
    """What the request names does not exist."""


class AlreadyExistsError(ServiceError):
    """The name is taken."""


class IllegalTransitionError(ServiceError):
    """The resource is in a state in which this can't be done."""


class EtagMismatchError(ServiceError):
    """The resource changed since the caller read it."""


class NotOwnerError(ServiceError):
    """The job has another owner than the one that writes: what it trained comes too late."""


class LimitExceededError(ServiceError):
    """A limit of the server would be exceeded."""


class StoreUnavailableError(ServiceError):
    """The store can't be used at the moment."""


class StoreFullError(StoreUnavailableError):
    """The store has no room left: it can be read, and written again when there is."""


class ServerStoppingError(ServiceError):
    """The server stops: what was cut off can be resumed at the next one."""


STATUS_CODES: dict[type[ServiceError], grpc.StatusCode] = {
    InvalidSpecError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    IllegalTransitionError: grpc.StatusCode.FAILED_PRECONDITION,
    EtagMismatchError: grpc.StatusCode.ABORTED,
    NotOwnerError: grpc.StatusCode.ABORTED,
    LimitExceededError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    StoreFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    StoreUnavailableError: grpc.StatusCode.UNAVAILABLE,
    ServerStoppingError: grpc.StatusCode.UNAVAILABLE,
}
