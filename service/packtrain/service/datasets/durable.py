"""Files that survive a power loss, and a full disk as an error of a dataset."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from packtrain.service.datasets.errors import DatasetTooLargeError
from packtrain.workers import failpoints


def sync_file(path: Path) -> None:
    """Make the bytes of a file, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all; readers see the old or the new one."""
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        failpoints.hit("file.before_rename")
        scratch.replace(path)
        failpoints.hit("file.after_rename")
    finally:
        scratch.unlink(missing_ok=True)
    sync_file(path.parent)


def is_abandoned(path: Path, min_age_seconds: float) -> bool:
    """Whether nobody wrote to a file, or into a folder, of late: what another process writes at
    this moment is not. False where it is gone."""
    try:
        times = [path.stat().st_mtime]
        if path.is_dir():
            times += [inside.stat().st_mtime for inside in path.iterdir()]
    except FileNotFoundError:
        return False
    return max(times) <= time.time() - min_age_seconds


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Turn a full disk into DatasetTooLargeError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DatasetTooLargeError("the server's disk is full", "DISK_FULL") from error
        raise
