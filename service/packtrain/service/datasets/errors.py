"""What a dataset can be refused with.

DatasetError
├── InvalidDatasetError   the header, the bytes, the rows or the file are wrong
├── DatasetTooLargeError  over the limit, or the disk is full
├── DatasetNotFoundError  there is no dataset of this name or digest
├── DatasetExistsError    the name is taken by other content
└── DatasetReadOnlyError  built-in sets and files on the server can't be changed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class DatasetViolation(NamedTuple):
    """A wrong field: its path within the request, and what was expected there."""

    field: str
    description: str


class DatasetError(Exception):
    """Base: one sentence for people, a ``reason`` (UPPER_SNAKE_CASE) for programs.

    ``field`` is the path of the first wrong field, or None; ``violations`` names all of them.
    """

    def __init__(
        self,
        message: str,
        reason: str,
        field: str | None = None,
        violations: Sequence[DatasetViolation] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.field = field
        self.violations = tuple(violations)
        if field is not None and not self.violations:
            self.violations = (DatasetViolation(field, message),)


class InvalidDatasetError(DatasetError):
    """What was given is not a dataset."""

    @classmethod
    def of(cls, reason: str, violations: Sequence[DatasetViolation]) -> InvalidDatasetError:
        """The error that names these fields."""
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        return cls(f"{first.field}: {first.description}{more}", reason, first.field, violations)


class DatasetTooLargeError(DatasetError):
    """It is over the server's limit, or the disk is full."""


class DatasetNotFoundError(DatasetError):
    """There is none of this name or digest."""


class DatasetExistsError(DatasetError):
    """The name is taken by other content."""


class DatasetReadOnlyError(DatasetError):
    """It can't be changed or deleted by a call."""
