"""Where files lie that outlive processes, by URI: a local folder, or whatever fsspec speaks.

Everything here blocks. File systems have exceptions of their own, which need not be OSError: those
who call expect any.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from packtrain.workers import failpoints


class ArtifactStore:
    """The files below ``uri``: a path, or a URI of a file system that fsspec has here.

    Raises :class:`ValueError` with a sentence where it has none of that kind.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._files, self._root = _open_file_system(self.uri)

    def require_folder(self) -> None:
        """Raise OSError where this is a local folder that can't be made or written. Of any other
        place it is known when it is used: it may be away for a while."""
        if isinstance(self._files, LocalFileSystem):
            Path(self._root).mkdir(parents=True, exist_ok=True)
            if not os.access(self._root, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self._root)

    def uri_of(self, name: str) -> str:
        """Where the file of this name is."""
        return f"{self.uri}/{name}"

    def remove_files(self, names: Iterable[str]) -> None:
        """Remove these. One that is not there is no error."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(f"{self._root}/{name}")

    def remove_folder(self, name: str) -> None:
        """Remove a folder with all that is in it. One that is not there is no error."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm(f"{self._root}/{name}", recursive=True)

    def list_folder(self, name: str = "") -> list[str]:
        """The names of what is in a folder; none where there is no folder."""
        self._files.invalidate_cache()
        try:
            found = self._files.ls(f"{self._root}/{name}".rstrip("/"), detail=False)
        except FileNotFoundError:
            return []
        return [path.rstrip("/").rpartition("/")[2] for path in found]

    def age_seconds(self, name: str) -> float:
        """How long ago a file was written; 0 where that can't be told."""
        try:
            modified: datetime = self._files.modified(f"{self._root}/{name}")
        except (FileNotFoundError, NotImplementedError):
            return 0.0
        if modified.tzinfo is None:
            modified = modified.replace(tzinfo=UTC)
        return (datetime.now(UTC) - modified).total_seconds()


@contextlib.contextmanager
def new_file(uri: str) -> Iterator[IO[bytes]]:
    """A file to write: it is there when the block has ended without an error, as a whole."""
    files, path = _open_file_system(uri)
    if isinstance(files, LocalFileSystem):
        with _new_local_file(Path(path)) as file:
            yield file
        return
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    # Where files are objects, they show once they are closed. Whatever shows earlier is not
    # recorded yet.
    with files.open(path, "wb") as file:
        yield file


@contextlib.contextmanager
def _new_local_file(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.unfinished")
    try:
        # Unbuffered: what is written comes in large pieces.
        with unfinished.open("xb", buffering=0) as file:
            yield file
            os.fsync(file.fileno())
        failpoints.hit("checkpoint.before_rename")
        unfinished.replace(path)
        failpoints.hit("checkpoint.after_rename")
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def existing_file(uri: str) -> Iterator[tuple[IO[bytes], int]]:
    """A file to read, and its size. Raises :class:`FileNotFoundError`."""
    files, path = _open_file_system(uri)
    size = int(files.info(path)["size"])
    with files.open(path, "rb") as file:
        yield file, size


def _open_file_system(uri: str) -> tuple[Any, str]:
    # Not by fsspec where it is a path: "::" has a meaning there, and "%" has none.
    if "://" not in uri:
        return LocalFileSystem(), str(Path(uri).absolute())
    try:
        files, root = url_to_fs(uri)
    except Exception as error:  # some connect here
        kind = uri.partition("://")[0]
        why = str(error).strip() or type(error).__name__
        raise ValueError(f"files at {kind}:// can't be reached: {why.splitlines()[0]}") from error
    return files, root.rstrip("/")
