"""What a server is started with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from packtrain.service.pack_run import LEAST_SAVE_SECONDS
from packtrain.workers import ArtifactStore


def _half_of_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server refuses to exceed."""

    max_trials: int = 1_000_000
    max_job_memory_bytes: int = field(default_factory=_half_of_memory)
    max_upload_bytes: int = 4 << 30
    # gRPC's own default: larger data comes in chunks.
    max_message_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        if self.max_job_memory_bytes < 1:
            raise ValueError("--max-job-memory must be above 0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Validated where it is made: a wrong value stops the start with a sentence."""

    host: str = "127.0.0.1"
    port: int = 50051
    data_dir: Path
    datasets: tuple[Path, ...] = ()
    workers: int
    ray_address: str | None = None
    artifacts: str | None = None
    least_save_seconds: float = LEAST_SAVE_SECONDS
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"--listen must end with a port from 0 to 65535, not {self.port}")
        if self.workers < 1:
            raise ValueError(f"--workers must be at least 1, not {self.workers}")
        if not self.least_save_seconds >= 0:
            raise ValueError(
                f"--checkpoint-every must be 0 seconds or more, not {self.least_save_seconds}"
            )
        for directory in self.datasets:
            if not directory.is_dir():
                raise ValueError(f"--datasets must be a directory: {directory} is none")

    def open_checkpoints(self) -> ArtifactStore:
        """Where checkpoints are kept. Raises ValueError with a sentence."""
        root = self.artifacts or str(self.data_dir / "artifacts")
        try:
            return ArtifactStore(f"{root.rstrip('/')}/checkpoints")
        except ValueError as error:
            raise ValueError(f"--artifacts: {error}") from None


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT". Raises ValueError with a sentence."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"--listen must be HOST:PORT, such as 127.0.0.1:50051, not {text!r}")
    return host, int(port)
