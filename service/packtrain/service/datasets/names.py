"""Names of content: small JSON files, each replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import structlog

from packtrain.service.datasets.durable import disk_errors, is_abandoned, replace_durably, sync_file
from packtrain.service.datasets.folder_lock import ABANDONED_SECONDS

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class NameRecord:
    """What a dataset's name stands for. ``source`` tells one state of a file from another."""

    dataset_id: str
    digest: str
    description: str
    created: datetime
    source: str = ""


class NameStore:
    """``<directory>/<dataset_id>.json``."""

    def __init__(self, directory: Path, min_age_seconds: float = ABANDONED_SECONDS) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.sweep(min_age_seconds)

    def sweep(self, min_age_seconds: float) -> None:
        """Remove what was begun and not finished, unless another process may be at it now."""
        for scratch in self._directory.glob("*.new"):
            if is_abandoned(scratch, min_age_seconds):
                scratch.unlink(missing_ok=True)

    def find(self, dataset_id: str) -> NameRecord | None:
        """The record of a checked name. One that is spoilt is none: a server starts all the same."""
        path = self._path(dataset_id)
        try:
            document = json.loads(path.read_bytes())
            return NameRecord(**document | {"created": datetime.fromisoformat(document["created"])})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            log.warning("dataset_name_spoilt", file=str(path), why=str(error))
            return None

    def records(self) -> Iterator[NameRecord]:
        """All of them, by id."""
        for path in sorted(self._directory.glob("*.json")):
            record = self.find(path.stem)
            if record is not None:
                yield record

    def put(self, record: NameRecord) -> None:
        """Durable when it returns."""
        document = asdict(record) | {"created": record.created.isoformat()}
        with disk_errors():
            replace_durably(self._path(record.dataset_id), json.dumps(document).encode())

    def remove(self, dataset_id: str) -> None:
        """Durable when it returns."""
        self._path(dataset_id).unlink(missing_ok=True)
        sync_file(self._directory)

    def _path(self, dataset_id: str) -> Path:
        return self._directory / f"{dataset_id}.json"
