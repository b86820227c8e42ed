"""What a server is started with."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from packtrain.service.pack_run import LEAST_SAVE_SECONDS
from packtrain.service.store.postgresql import is_understood
from packtrain.workers import ArtifactStore, Memory, split_address


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server refuses to exceed."""

    max_trials: int = 1_000_000
    max_job_memory_bytes: int | None = None
    max_upload_bytes: int = 4 << 30
    # gRPC's own default: larger data comes in chunks.
    max_message_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        if self.max_job_memory_bytes is not None and self.max_job_memory_bytes < 1:
            raise ValueError("--max-job-memory must be above 0")

    def job_memory_bytes(self, memory: Memory) -> int:
        """What a job may need of the workers' memory, by default half of all; the other half is
        for the data, which lie in memory too."""
        if self.max_job_memory_bytes is not None:
            return self.max_job_memory_bytes
        return memory.total_bytes // 2

    def known_job_memory_bytes(self, memory: Memory) -> int | None:
        """The same, to be told of; None while no machine has been seen."""
        is_known = memory.is_known or self.max_job_memory_bytes is not None
        return self.job_memory_bytes(memory) if is_known else None

    def trial_memory_bytes(self, memory: Memory) -> int:
        """What one trial may need: it trains on one machine, which may be the smallest."""
        return min(self.job_memory_bytes(memory), memory.machine_bytes // 2)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Validated where it is made: a wrong value stops the start with a sentence.

    ``workers`` None: one for each CPU of the Ray cluster. ``max_workers``: as many as there is work
    for, up to so many, on a cluster that grows.
    """

    host: str = "127.0.0.1"
    port: int = 50051
    data_dir: Path
    datasets: tuple[Path, ...] = ()
    workers: int | None = None
    max_workers: int | None = None
    ray_address: str | None = None
    artifacts: str | None = None
    least_save_seconds: float = LEAST_SAVE_SECONDS
    # PostgreSQL's URL; None: SQLite in the data directory. It holds a password, maybe.
    store: str | None = field(default=None, repr=False)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"--listen must end with a port from 0 to 65535, not {self.port}")
        for option, count in (("--workers", self.workers), ("--max-workers", self.max_workers)):
            if count is not None and count < 1:
                raise ValueError(f"{option} must be at least 1, not {count}")
        if self.max_workers is not None and (self.workers is not None or not self.ray_address):
            raise ValueError(
                "--max-workers is for a Ray cluster that grows: give --ray-address too, and not "
                "--workers"
            )
        if self.ray_address is not None:
            try:
                split_address(self.ray_address)
            except ValueError as error:
                raise ValueError(f"--ray-address: {error}") from None
        if not self.least_save_seconds >= 0:
            raise ValueError(
                f"--checkpoint-every must be 0 seconds or more, not {self.least_save_seconds}"
            )
        if self.store is not None:
            _check_store(self.store)
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

    @property
    def store_url(self) -> str:
        """What the store's database is opened with."""
        return self.store or f"sqlite:///{self.data_dir / 'packtrain.db'}"

    @property
    def log_dir(self) -> Path:
        """Where the engine's log goes; of each replica into a folder of its own."""
        logs = self.data_dir / "logs"
        return logs if self.store is None else logs / f"{socket.gethostname()}-{self.port}"

    @property
    def store_name(self) -> str:
        """The store in a few words, without what is secret of it."""
        if self.store is None:
            return f"the store in {self.data_dir}"
        parts = urlsplit(self.store)
        return f"the store at {parts.netloc.rpartition('@')[2] or 'localhost'}{parts.path}"


def _check_store(url: str) -> None:
    """Raises ValueError, in words that tell nothing of a password."""
    expected = "--store must be postgresql://USER:PASSWORD@HOST/DATABASE"
    scheme, colon, _ = url.partition("://")
    if not colon or scheme not in ("postgresql", "postgres"):
        raise ValueError(f"{expected}; without it jobs are kept in SQLite in the data directory")
    encoded = (
        f"{expected}, with what is special in user and password percent-encoded: "
        "@ as %40, / as %2F, : as %3A, % as %25"
    )
    if not is_understood(url):
        raise ValueError(f"{encoded}; after a ? parameters of libpq alone")
    authority = urlsplit(url).netloc
    host = authority.rpartition("@")[2]
    # What is misread of a password would be told as a host or a port later.
    if authority.count("@") > 1 or not re.fullmatch(r"([^:]*(:\d*)?|\[.*\](:\d*)?)(,.*)?", host):
        raise ValueError(encoded)


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT". Raises ValueError with a sentence."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"--listen must be HOST:PORT, such as 127.0.0.1:50051, not {text!r}")
    return host, int(port)
