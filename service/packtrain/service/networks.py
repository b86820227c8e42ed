"""Networks that jobs begin from: kept with them, so that the jobs they come from may be deleted.

networks/<digest>.safetensors     all networks of one job, under the SHA-256 of the file
networks/<random>.unfinished      what is being written; what was left there is swept
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from packtrain.service.datasets.durable import disk_errors, is_abandoned, sync_file
from packtrain.service.datasets.folder_lock import ABANDONED_SECONDS, FolderLock
from packtrain.service.errors import NotFoundError
from packtrain.service.resources import trial_name
from packtrain.workers import failpoints, write_tensors

_SUFFIX = ".safetensors"


class Origin(NamedTuple):
    """Whose network it is: the trial of a job as it was named when the new job was created."""

    job_id: str
    trial: int

    def __str__(self) -> str:
        return trial_name(self.job_id, self.trial)


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network: ``weights[l]`` is (n_in, n_out), ``biases[l]`` (n_out,), float64."""

    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]

    @property
    def size_bytes(self) -> int:
        """Of all its numbers."""
        return sum(array.nbytes for array in (*self.weights, *self.biases))


class NetworkStore:
    """Networks by the digest of their file. Blocking; processes may share ``root``."""

    def __init__(self, root: Path, min_age_seconds: float = ABANDONED_SECONDS) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(root)
        self._sweep(min_age_seconds)

    def _sweep(self, min_age_seconds: float) -> None:
        for path in self._root.glob("*.unfinished"):
            if is_abandoned(path, min_age_seconds):
                path.unlink(missing_ok=True)

    def put(self, networks: Mapping[Origin, Network]) -> str:
        """Keep them, durably, and return their digest. What is there already stays as it is,
        with new grace (see :meth:`release`). Raises DatasetTooLargeError (disk full)."""
        tensors = {
            f"{origin}/layers.{layer}.{part}": array
            for origin in sorted(networks)
            for layer in range(1, 1 + len(networks[origin].weights))
            for part, array in (
                ("weights", networks[origin].weights[layer - 1]),
                ("biases", networks[origin].biases[layer - 1]),
            )
        }
        content = write_tensors(tensors)
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        with self._lock:
            try:
                os.utime(path)
            except FileNotFoundError:
                self._write(path, content)
        return digest

    def _write(self, path: Path, content: bytes) -> None:
        unfinished = self._root / f"{secrets.token_hex(8)}.unfinished"
        try:
            with disk_errors():
                unfinished.write_bytes(content)
                sync_file(unfinished)
                failpoints.hit("networks.before_rename")
                unfinished.replace(path)
                failpoints.hit("networks.after_rename")
                sync_file(self._root)
        finally:
            unfinished.unlink(missing_ok=True)

    def get(self, digest: str) -> dict[Origin, Network]:
        """The networks of one :meth:`put`. Raises NotFoundError."""
        try:
            tensors = load_file(self._path(digest))
        except (OSError, SafetensorError) as error:
            raise NotFoundError(
                "NETWORKS_MISSING", "the networks that the job begins from are gone"
            ) from error
        found: dict[Origin, dict[str, NDArray[np.float64]]] = {}
        for name, array in tensors.items():
            _, job_id, _, trial, part = name.split("/")
            found.setdefault(Origin(job_id, int(trial)), {})[part] = array
        return {origin: to_network(parts) for origin, parts in found.items()}

    def release(self, keep: Collection[str], min_age_seconds: float = ABANDONED_SECONDS) -> int:
        """Remove all but ``keep`` and what was kept of late: its job may not be written yet.
        Returns how many files were removed."""
        self._sweep(min_age_seconds)
        newest = time.time() - min_age_seconds
        with self._lock:
            files = self._root.glob(f"*{_SUFFIX}")
            unused = [p for p in files if p.stem not in keep and p.stat().st_mtime <= newest]
            for path in unused:
                path.unlink(missing_ok=True)
        return len(unused)

    def _path(self, digest: str) -> Path:
        return self._root / f"{digest}{_SUFFIX}"


def to_network(tensors: Mapping[str, NDArray[np.generic]]) -> Network:
    """The network of a model's tensors: "layers.1.weights", "layers.1.biases", ..."""
    layers = range(1, 1 + len(tensors) // 2)
    return Network(
        tuple(tensors[f"layers.{layer}.weights"].astype(np.float64) for layer in layers),
        tuple(tensors[f"layers.{layer}.biases"].astype(np.float64) for layer in layers),
    )
