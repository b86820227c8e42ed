"""The datasets that the server holds: built in, uploaded, or files in offered directories."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from packtrain.service.datasets.dataset import StoredDataset, UploadHeader
from packtrain.service.datasets.synthetic import SyntheticKind
from packtrain.service.datasets.uploads import Upload


class Catalog:
    """The datasets below ``data_dir`` and in ``directories``. Blocking; safe to call from
    several threads of one process, which alone may open ``data_dir``."""

    def __init__(
        self,
        data_dir: Path,
        directories: Sequence[Path] = (),
        max_upload_bytes: int = 1 << 30,
        max_file_bytes: int = 8 << 30,
    ) -> None:
        raise NotImplementedError

    def list(self) -> list[StoredDataset]:
        """All of them, by id. Files that were not yet used have no figures, and an empty digest."""
        raise NotImplementedError

    def get(self, dataset_id: str) -> StoredDataset:
        """Read it on first use. Raises DatasetNotFoundError, InvalidDatasetError (a bad file)."""
        raise NotImplementedError

    def get_by_digest(self, digest: str) -> StoredDataset:
        """Content by its digest, whatever its name. Raises DatasetNotFoundError."""
        raise NotImplementedError

    def delete(self, dataset_id: str, keep: Collection[str] = ()) -> None:
        """Forget an uploaded dataset; its content too, but for digests in ``keep``."""
        raise NotImplementedError

    def begin_upload(self, header: UploadHeader) -> Upload:
        """Raises InvalidDatasetError, DatasetTooLargeError, DatasetExistsError."""
        raise NotImplementedError

    def store_inline(
        self,
        inputs: Sequence[Sequence[float]],
        labels: Sequence[int] | None = None,
        targets: Sequence[Sequence[float]] | None = None,
    ) -> StoredDataset:
        """Store rows that came within a specification."""
        raise NotImplementedError

    def store_synthetic(
        self,
        kind: SyntheticKind,
        rows: int | None = None,
        noise: float | None = None,
        seed: int = 0,
        features: int | None = None,
    ) -> StoredDataset:
        """Make and store a synthetic set; None takes the default of the contract."""
        raise NotImplementedError

    def release(self, digests_in_use: Collection[str], min_age_seconds: float = 3600) -> int:
        """Remove content without a name that no job uses; returns how many were removed."""
        raise NotImplementedError
