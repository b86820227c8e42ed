"""Content-addressed storage: each dataset's arrays once, under the digest of their bytes.

    content/<digest>/content.json, <split>.inputs.npy, <split>.targets.npy
    incoming/<random>/            what is being written; what was left there is swept

A directory below ``content`` appears by one rename after all in it is on disk, so that it is
there as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from packtrain.service.datasets.array_writer import ArrayWriter
from packtrain.service.datasets.dataset import (
    ArrayHeader,
    ElementType,
    SplitHeader,
    StoredDataset,
    StoredSplit,
)
from packtrain.service.datasets.durable import disk_errors, is_abandoned, sync_file
from packtrain.service.datasets.errors import (
    DatasetNotFoundError,
    DatasetTooLargeError,
    InvalidDatasetError,
)
from packtrain.service.datasets.folder_lock import ABANDONED_SECONDS
from packtrain.workers import failpoints

_MANIFEST = "content.json"


class ContentStore:
    """The content below ``root``. Whoever publishes, removes or releases holds a lock on it that
    all processes share."""

    def __init__(self, root: Path, min_age_seconds: float = ABANDONED_SECONDS) -> None:
        self._content = root / "content"
        self._incoming = root / "incoming"
        for directory in (self._content, self._incoming):
            directory.mkdir(parents=True, exist_ok=True)
        self._sweep(min_age_seconds)

    def _sweep(self, min_age_seconds: float) -> None:
        for directory in self._incoming.iterdir():
            if is_abandoned(directory, min_age_seconds):
                shutil.rmtree(directory, ignore_errors=True)

    def begin(self, splits: Sequence[SplitHeader]) -> ContentWriter:
        """Start to write content of a checked header. Raises DatasetTooLargeError where the
        disk has no room for it."""
        size, free = count_bytes(splits), shutil.disk_usage(self._incoming).free
        if size > free:
            raise DatasetTooLargeError(
                f"{size} bytes don't fit the {free} that are free on the server's disk", "DISK_FULL"
            )
        return ContentWriter(self._content, self._incoming, splits)

    def find(self, digest: str) -> StoredDataset:
        """Content, without a name. Raises DatasetNotFoundError."""
        try:
            return _describe(self._content / digest)
        except FileNotFoundError:
            raise DatasetNotFoundError(
                f"no dataset has the digest {digest!r}", "DATASET_NOT_FOUND"
            ) from None

    def touch(self, digest: str) -> bool:
        """Begin its time of grace anew (see :meth:`release`). False where it is not there."""
        try:
            os.utime(self._content / digest)
        except FileNotFoundError:
            return False
        return True

    def remove(self, digest: str) -> None:
        """Remove content. A crash half-way leaves it to the next sweep of ``incoming``."""
        grave = Path(mkdtemp(dir=self._incoming))
        try:
            (self._content / digest).rename(grave / digest)
        except FileNotFoundError:
            return
        finally:
            shutil.rmtree(grave, ignore_errors=True)

    def release(self, keep: Collection[str], min_age_seconds: float) -> int:
        """Remove all content but ``keep`` and what was written or touched of late."""
        self._sweep(min_age_seconds)
        newest = time.time() - min_age_seconds
        old = [d for d in self._content.iterdir() if d.stat().st_mtime <= newest]
        unused = [d.name for d in old if d.name not in keep]
        for digest in unused:
            self.remove(digest)
        return len(unused)


class ContentWriter:
    """Writes the arrays of a header in its order, each split's inputs and then its targets.

    Memory stays bounded by the chunks. The digest is over the manifest (names, types, shapes)
    and then the bytes. After any error, and after :meth:`publish`, :meth:`discard` is called.
    """

    def __init__(self, content: Path, incoming: Path, splits: Sequence[SplitHeader]) -> None:
        self._content = content
        self._splits = tuple(splits)
        self._digest = hashlib.sha256(_write_manifest(self._splits))
        self._sealed = False
        self.expected_bytes = count_bytes(self._splits)
        self.received_bytes = 0
        self._directory = Path(mkdtemp(dir=incoming))
        self._pending = [
            (
                f"{part} of split {split.name!r}",
                f"header.splits[{i}].{part}",
                f"{split.name}.{part}.npy",
                header,
            )
            for i, split in enumerate(self._splits)
            for part, header in (("inputs", split.inputs), ("targets", split.targets))
        ]
        self._pending.reverse()
        self._array: ArrayWriter | None = None
        self._classes = 0
        self._largest = 0.0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises InvalidDatasetError, DatasetTooLargeError (disk full)."""
        if self.received_bytes + len(chunk) > self.expected_bytes:
            raise InvalidDatasetError(
                f"more bytes came than the {self.expected_bytes} that the header announces",
                "DATASET_TOO_LONG",
            )
        self._digest.update(chunk)
        self.received_bytes += len(chunk)
        rest = memoryview(chunk)
        with disk_errors():
            while len(rest):
                rest = rest[self._open_array().write(rest) :]
                self._close_full_array()

    def _open_array(self) -> ArrayWriter:
        if self._array is None:
            what, field, file_name, header = self._pending.pop()
            self._array = ArrayWriter(self._directory / file_name, header, what, field)
        return self._array

    def _close_full_array(self) -> None:
        if self._array is not None and self._array.missing_bytes == 0:
            self._classes = max(self._classes, self._array.classes)
            self._largest = max(self._largest, self._array.largest)
            self._array.close()
            self._array = None

    def seal(self) -> str:
        """Make it durable, once all bytes came, and return its digest. Raises
        InvalidDatasetError, DatasetTooLargeError (disk full)."""
        if self.received_bytes < self.expected_bytes:
            raise InvalidDatasetError(
                f"{self.received_bytes} bytes came of the {self.expected_bytes} that the header "
                "announces",
                "DATASET_INCOMPLETE",
            )
        digest = self._digest.hexdigest()
        if not self._sealed and not (self._content / digest).exists():
            with disk_errors():
                told = {"classes": self._classes, "largest": self._largest}
                manifest = _write_manifest(self._splits, told)
                (self._directory / _MANIFEST).write_bytes(manifest)
                for path in (*self._directory.iterdir(), self._directory):
                    sync_file(path)
            self._directory.chmod(0o755)  # mkdtemp makes it for its owner alone
            self._sealed = True
        return digest

    def publish(self) -> StoredDataset:
        """Make it visible. Content that is there already stays as it is, with new grace."""
        digest = self.seal()
        home = self._content / digest
        if home.exists():
            os.utime(home)
        else:
            with disk_errors():
                failpoints.hit("dataset.before_rename")
                self._directory.rename(home)
                failpoints.hit("dataset.after_rename")
                sync_file(self._content)
        return _describe(home)

    def discard(self) -> None:
        """Leave nothing behind that was not published."""
        if self._array is not None:
            self._array.close()
            self._array = None
        shutil.rmtree(self._directory, ignore_errors=True)


def count_bytes(splits: Iterable[SplitHeader]) -> int:
    """The bytes that a checked header announces."""
    return sum(
        math.prod(array.shape) * array.element_type.dtype.itemsize
        for split in splits
        for array in (split.inputs, split.targets)
        if array.element_type is not None
    )


def _write_manifest(
    splits: Sequence[SplitHeader], told: Mapping[str, int | float] | None = None
) -> bytes:
    """Canonical JSON of a header: the digest covers it without what is ``told`` by the bytes."""
    document: dict[str, object] = {
        "splits": [
            {"name": s.name, "inputs": _array_json(s.inputs), "targets": _array_json(s.targets)}
            for s in splits
        ]
    }
    return json.dumps(document | dict(told or {}), sort_keys=True, separators=(",", ":")).encode()


def _array_json(header: ArrayHeader) -> list[object]:
    assert header.element_type is not None
    return [header.element_type.value, *header.shape]


def _read_array(document: Sequence[Any]) -> ArrayHeader:
    return ArrayHeader(ElementType(document[0]), tuple(document[1:]))


def _describe(directory: Path) -> StoredDataset:
    document = json.loads((directory / _MANIFEST).read_bytes())
    splits = [
        SplitHeader(s["name"], _read_array(s["inputs"]), _read_array(s["targets"]))
        for s in document["splits"]
    ]
    return StoredDataset(
        dataset_id="",
        origin=None,
        splits=tuple(
            StoredSplit(
                split.name,
                split.inputs.shape[0],
                directory / f"{split.name}.inputs.npy",
                directory / f"{split.name}.targets.npy",
            )
            for split in splits
        ),
        features=splits[0].inputs.shape[1],
        classes=document["classes"],
        targets=math.prod(splits[0].targets.shape[1:]),
        digest=directory.name,
        size_bytes=count_bytes(splits),
        largest=document.get("largest", math.inf),
    )
