"""What all servicers read from requests: request ids, pages, intervals."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.records import RequestKey

_MAX_REQUEST_ID = 64

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = grpc.aio.ServicerContext  # generic in its stubs alone


def request_key(request: Any, method: str) -> RequestKey | None:
    """The request's id with a digest of what it asks for; None where it has none."""
    if not request.request_id:
        return None
    if len(request.request_id) > _MAX_REQUEST_ID:
        description = f"must be at most {_MAX_REQUEST_ID} characters"
        raise InvalidSpecError.of([Violation("request_id", description)])
    if "\0" in request.request_id:
        # No database takes it for text but SQLite.
        raise InvalidSpecError.of([Violation("request_id", "must not contain the character 0")])
    copy: Message = type(request)()
    copy.CopyFrom(request)
    copy.ClearField("request_id")
    digest = hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()
    return RequestKey(request.request_id, method, digest)


def page_size(value: int, default: int, largest: int) -> int:
    """How many results a page has: 0 takes the default, too many are capped (AIP-158)."""
    if value < 0:
        raise InvalidSpecError.of([Violation("page_size", f"must be at least 0, not {value}")])
    return min(value or default, largest)


def write_page_token(position: int | str) -> str:
    """A token that tells nothing to the client."""
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def read_page_token(token: str) -> str | None:
    """What was written; None for no token. Raises InvalidSpecError."""
    if not token:
        return None
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise InvalidSpecError.of([Violation("page_token", "is no token of a response")]) from None


def read_page_number(token: str) -> int | None:
    """A number that was written; None for no token. Raises InvalidSpecError."""
    text = read_page_token(token)
    if text is None:
        return None
    # Beyond 18 digits no database counts.
    if not text.isdecimal() or len(text) > 18:
        raise InvalidSpecError.of([Violation("page_token", "is no token of a response")])
    return int(text)


def heartbeat_seconds(interval: Duration | None) -> float:
    """The heartbeat's interval: 0.1 s to 1 h; None: 10 s."""
    if interval is None:
        return 10.0
    seconds = interval.seconds + interval.nanos / 1e9
    if not 0.1 <= seconds <= 3600:
        description = f"must be 0.1 s to 1 h, not {seconds:g} s"
        raise InvalidSpecError.of([Violation("heartbeat_interval", description)])
    return seconds
