"""Settings of a client, validated at construction."""

from __future__ import annotations

import random
from dataclasses import dataclass

# Responses are at most a 1 MiB chunk or a page; the server's blocks of metrics may be larger.
_MAX_RECEIVE_BYTES = 16 * 2**20
# Servers that keep gRPC's default refuse pings more often than every 5 minutes. Watches do not
# rest on pings: their heartbeats show a dead connection much sooner.
_KEEPALIVE_MS = 310_000

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", _MAX_RECEIVE_BYTES),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 20_000),
    # The channel's own pauses between connection attempts (1 s growing to 2 min) would outlast
    # the retries below.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass(frozen=True, kw_only=True)
class RetrySettings:
    """How calls that may be sent again are retried while the server is unavailable.

    The pause before retry k is drawn from 0.5 to 1 times
    min(max_backoff, initial_backoff * multiplier ** k); no retry begins later than
    ``budget_seconds`` after the first attempt. A budget of 0 retries nothing.
    """

    initial_backoff_seconds: float = 0.1
    max_backoff_seconds: float = 2.0
    multiplier: float = 2.0
    budget_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.initial_backoff_seconds <= self.max_backoff_seconds:
            raise ValueError("retry: expected 0 < initial_backoff_seconds <= max_backoff_seconds")
        if self.multiplier < 1 or self.budget_seconds < 0:
            raise ValueError("retry: expected multiplier >= 1 and budget_seconds >= 0")

    def pause_seconds(self, retry: int) -> float:
        """The pause before this retry, counted from 0."""
        exponent = min(retry, 60)  # 2.0 ** 2000 overflows
        longest = min(
            self.max_backoff_seconds, self.initial_backoff_seconds * self.multiplier**exponent
        )
        return longest * random.uniform(0.5, 1)  # noqa: S311  (jitter is no secret)


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """How a watch follows a job.

    A watch connects anew when no message came for three ``heartbeat_seconds`` (0.1 to 3600), and
    gives up when nothing came for ``give_up_seconds`` in spite of it.
    """

    heartbeat_seconds: float = 10.0
    give_up_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.heartbeat_seconds <= 3600:
            raise ValueError(
                f"heartbeat_seconds: expected 0.1 to 3600, not {self.heartbeat_seconds}"
            )
        if self.give_up_seconds < 0:
            raise ValueError(f"give_up_seconds: expected 0 or more, not {self.give_up_seconds}")

    @property
    def silence_seconds(self) -> float:
        """So long a silence means that the connection is dead."""
        return 3 * self.heartbeat_seconds


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Where the server is and how long calls may take.

    ``timeout_seconds`` bounds an attempt of a plain call, ``transfer_timeout_seconds`` one of an
    upload, a download or a reading of metrics.
    """

    target: str = "localhost:50051"
    timeout_seconds: float = 30.0
    transfer_timeout_seconds: float = 600.0
    retry: RetrySettings = RetrySettings()

    def __post_init__(self) -> None:
        if not self.target:
            raise ValueError("target: expected an address such as localhost:50051")
        if self.target.startswith(("http://", "https://")):
            scheme = self.target.partition("://")[0]
            raise ValueError(f"target: expected HOST:PORT, without {scheme}://, not {self.target}")
        if self.timeout_seconds <= 0 or self.transfer_timeout_seconds <= 0:
            raise ValueError("timeout_seconds and transfer_timeout_seconds: expected above 0")
