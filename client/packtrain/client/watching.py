"""What a watch remembers between its messages and its connections.

It decides, and the sync and the async client wait: each message is handed to ``receive``, each
interruption to ``interrupt``, which tells how long to pause before the next connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from packtrain.client import converters
from packtrain.client.errors import (
    ApiError,
    Cancelled,
    DeadlineExceeded,
    InternalError,
    Unavailable,
    WatchLost,
)
from packtrain.client.events import Event, Heartbeat, JobChanged
from packtrain.client.settings import RetrySettings, WatchSettings

Interruption = Callable[[ApiError], None]


@dataclass(frozen=True, kw_only=True)
class WatchRequest:
    """What to watch."""

    name: str
    resume_token: str = ""
    trials: Sequence[int] = ()
    metrics: Sequence[str] = ()
    heartbeats: bool = False
    replay_only: bool = False
    settings: WatchSettings
    on_interruption: Interruption | None = None


class Watch:
    """The position of a watch: what came last, and since when nothing comes."""

    def __init__(self, wanted: WatchRequest, retry: RetrySettings) -> None:
        self._wanted = wanted
        self._retry = retry
        self._token = wanted.resume_token
        self._ended = False
        self._anything_came = False
        self._failures = 0
        self._lost_since: float | None = None

    @property
    def silence_seconds(self) -> float:
        """So long a silence means that the connection is dead."""
        return self._wanted.settings.silence_seconds

    def request(self) -> Any:
        """The request that goes on after the last message."""
        wanted = self._wanted
        return converters.watch_request(
            wanted.name,
            self._token,
            wanted.trials,
            wanted.metrics,
            wanted.settings.heartbeat_seconds,
            wanted.replay_only,
        )

    def receive(self, message: Any) -> Event | None:
        """The event of a message; None where the watcher does not want to see it."""
        event = converters.read_event(message)
        self._token = event.resume_token or self._token
        self._anything_came = True
        self._failures = 0
        self._lost_since = None
        if isinstance(event, JobChanged):
            # One that has ended may get more to train.
            self._ended = event.state.is_terminal
        return event if self._wanted.heartbeats or not isinstance(event, Heartbeat) else None

    def is_complete(self) -> bool:
        """Whether a stream that ended with OK has told all.

        A server that shuts down may end its watches with OK too, so the job's end must have been
        told; by a resumed watch at the latest before its ``resume_token``.
        """
        resumed_at_end = bool(self._wanted.resume_token) and not self._anything_came
        return self._ended or self._wanted.replay_only or resumed_at_end

    def interrupt(self, error: ApiError) -> float:
        """The pause before connecting again; raises where that is of no use."""
        if not is_interruption(error):
            raise error
        now = time.monotonic()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since >= self._wanted.settings.give_up_seconds:
            raise WatchLost(
                f"the watch of {self._wanted.name} was lost and could not be taken up again "
                f"within {self._wanted.settings.give_up_seconds:g} s: {error}",
                resume_token=self._token,
                cause=error,
            )
        if self._wanted.on_interruption is not None and self._failures == 0:
            self._wanted.on_interruption(error)
        self._failures += 1
        return self._retry.pause_seconds(self._failures - 1)


def is_interruption(error: ApiError) -> bool:
    """Whether a watch that failed so can be taken up again.

    Every error of the service names its reason, so one without came from the transport: a
    stream that was reset when its server died shows as CANCELLED, INTERNAL or UNKNOWN too.
    """
    if isinstance(error, Unavailable):
        return True
    from_transport = isinstance(error, Cancelled | InternalError | DeadlineExceeded)
    return from_transport and not error.reason


def silence_error(target: str, seconds: float) -> ApiError:
    """A connection on which nothing came, not even a heartbeat."""
    return Unavailable(f"the server at {target} sent nothing for {seconds:g} s", code="UNAVAILABLE")


def early_end_error(target: str) -> ApiError:
    """A stream that ended before the job did."""
    return Unavailable(
        f"the server at {target} ended the watch before the job had ended", code="UNAVAILABLE"
    )
