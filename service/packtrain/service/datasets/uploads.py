"""Uploads: announced by a header, then streamed to disk, then there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Self

from packtrain.service.datasets.content import ContentWriter
from packtrain.service.datasets.dataset import StoredDataset
from packtrain.service.datasets.errors import InvalidDatasetError


class Upload:
    """An upload under way; a context manager that leaves nothing behind unless committed.

    Its methods may be called from different threads, one after the other; ``abort`` at any
    time, because a call that was cut off is cancelled while a thread still writes.
    """

    def __init__(
        self, writer: ContentWriter, publish: Callable[[ContentWriter], StoredDataset]
    ) -> None:
        self._writer = writer
        self._publish = publish
        self._is_open = True
        self._lock = Lock()

    @property
    def expected_bytes(self) -> int:
        """The bytes that the header announced."""
        return self._writer.expected_bytes

    @property
    def received_bytes(self) -> int:
        """The bytes that came."""
        return self._writer.received_bytes

    def write(self, chunk: bytes) -> None:
        """Take the next bytes, in the order of the header. Raises InvalidDatasetError or
        DatasetTooLargeError (disk full), after which nothing is left behind."""
        with self._lock:
            self._check_open()
            try:
                self._writer.write(chunk)
            except BaseException:
                self._close()
                raise

    def commit(self) -> StoredDataset:
        """Make it durable and visible. Raises InvalidDatasetError where bytes are missing, and
        DatasetExistsError; then nothing is left behind."""
        with self._lock:
            self._check_open()
            try:
                self._writer.seal()
                return self._publish(self._writer)
            finally:
                self._close()

    def abort(self) -> None:
        """Leave nothing behind. After a commit, or a second time: nothing happens."""
        with self._lock:
            if self._is_open:
                self._close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise InvalidDatasetError("the upload has ended", "UPLOAD_ENDED")

    def _close(self) -> None:
        self._is_open = False
        self._writer.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()
