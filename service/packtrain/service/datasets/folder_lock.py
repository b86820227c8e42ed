"""A lock that threads and processes take alike, on a folder that they share."""

from __future__ import annotations

import fcntl
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import IO, Self

# What a process writes belongs to something within minutes. Far more, so that a step of an hour
# of anybody's clock makes nothing look forgotten that was written just now.
ABANDONED_SECONDS = 7200.0


class FolderLock:
    """Re-entrant; held shortly, and by threads that may wait. A process that dies gives it back.
    ``folder`` must be there; over NFS it needs a server that keeps locks."""

    def __init__(self, folder: Path) -> None:
        # A file, because NFS locks no directories; beside the folder, because it is none of its own.
        self._path = folder.with_name(f"{folder.name}.lock")
        self._path.touch()
        self._threads = RLock()
        self._depth = 0
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._threads.acquire()
        if self._depth == 0:
            try:
                self._file = self._path.open("w")
                fcntl.flock(self._file, fcntl.LOCK_EX)
            except BaseException:
                if self._file is not None:
                    self._file.close()
                self._threads.release()
                raise
        self._depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._file is not None:
            self._file.close()
            self._file = None
        self._threads.release()
