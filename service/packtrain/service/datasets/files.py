"""Datasets that lie as files in the directories that the server was started with.

They are offered by name: a request never holds a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from packtrain.service.datasets.arrays import SplitArrays
from packtrain.service.datasets.csv_table import read_csv_splits
from packtrain.service.datasets.dataset import DATASET_ID
from packtrain.service.datasets.errors import InvalidDatasetError
from packtrain.service.datasets.idx import find_idx_files, read_idx_splits
from packtrain.service.datasets.npz import read_npz_splits

_SUFFIXES: dict[str, Literal["npz", "csv"]] = {".npz": "npz", ".csv": "csv"}


@dataclass(frozen=True)
class FileOffer:
    """A dataset that could be read. ``path`` is the file, or the directory of IDX files."""

    dataset_id: str
    kind: Literal["idx", "npz", "csv"]
    path: Path

    @property
    def description(self) -> str:
        """For people; without the path of the directory, which is the server's own."""
        if self.kind == "idx":
            return f"IDX files in {self.path.name}/"
        return f"{self.kind.upper()} file {self.path.name}"

    def state(self) -> tuple[str, datetime]:
        """What differs as soon as a file differs, and when one last changed. Raises
        InvalidDatasetError where they are gone."""
        try:
            stats = [(path, path.stat()) for path in self._paths()]
        except OSError as error:
            raise self._unreadable(error) from error
        if not stats:
            raise InvalidDatasetError(f"{self.description} are gone", "INVALID_DATASET_FILE")
        newest = max(stat.st_mtime for _, stat in stats)
        described = [f"{path}:{stat.st_mtime_ns}:{stat.st_size}" for path, stat in stats]
        return "\n".join(described), datetime.fromtimestamp(newest, UTC)

    def read(self, max_bytes: int) -> list[SplitArrays]:
        """Its arrays. Raises InvalidDatasetError and DatasetTooLargeError."""
        try:
            match self.kind:
                case "idx":
                    return read_idx_splits(find_idx_files(self.path), max_bytes)
                case "npz":
                    return read_npz_splits(self.path, max_bytes)
                case "csv":
                    return read_csv_splits(self.path, max_bytes)
        except OSError as error:
            raise self._unreadable(error) from error

    def _paths(self) -> list[Path]:
        if self.kind != "idx":
            return [self.path]
        return [path for pair in find_idx_files(self.path).values() for path in pair]

    def _unreadable(self, error: OSError) -> InvalidDatasetError:
        return InvalidDatasetError(
            f"{self.description} can't be read ({error.strerror or type(error).__name__})",
            "INVALID_DATASET_FILE",
        )


def find_offers(directories: Iterable[Path]) -> dict[str, FileOffer]:
    """{dataset id: offer}; where two have one name, the first directory's counts, and within it
    the first in the order of file names."""
    offers: dict[str, FileOffer] = {}
    for directory in directories:
        for offer in _offers_of(directory.resolve()):
            offers.setdefault(offer.dataset_id, offer)
    return offers


def _offers_of(directory: Path) -> Iterator[FileOffer]:
    candidates: list[tuple[str, Literal["idx", "npz", "csv"], Path]] = []
    if find_idx_files(directory):
        candidates.append((directory.name, "idx", directory))
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        return
    for path in paths:
        # A link may lead out of what the operator chose to offer.
        if not path.resolve().is_relative_to(directory):
            continue
        if path.suffix in _SUFFIXES and path.is_file():
            candidates.append((path.stem, _SUFFIXES[path.suffix], path))
        elif path.is_dir() and find_idx_files(path):
            candidates.append((path.name, "idx", path))
    for name, kind, path in candidates:
        dataset_id = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        if DATASET_ID.fullmatch(dataset_id):
            yield FileOffer(dataset_id, kind, path)
