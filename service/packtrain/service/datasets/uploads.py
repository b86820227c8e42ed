"""Uploads: announced by a header, then streamed to disk, then there as a whole or not at all."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from packtrain.service.datasets.dataset import StoredDataset


class Upload:
    """An upload under way; a context manager that leaves nothing behind unless committed."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises InvalidDatasetError, after which nothing is left behind."""
        raise NotImplementedError

    def commit(self) -> StoredDataset:
        """Make it durable and visible, when all bytes came."""
        raise NotImplementedError

    def abort(self) -> None:
        """Leave nothing behind. After a commit: nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()
