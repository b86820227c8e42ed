"""The datasets that the server holds: built in, uploaded, or files in offered directories."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from threading import Lock

from packtrain.service.datasets.arrays import SplitArrays, headers_of
from packtrain.service.datasets.content import ContentStore, ContentWriter, count_bytes
from packtrain.service.datasets.dataset import DATASET_ID, Origin, StoredDataset, UploadHeader
from packtrain.service.datasets.digits import DIGITS_DESCRIPTION, DIGITS_ID, read_digits
from packtrain.service.datasets.errors import (
    DatasetExistsError,
    DatasetNotFoundError,
    DatasetReadOnlyError,
    InvalidDatasetError,
)
from packtrain.service.datasets.files import FileOffer, find_offers
from packtrain.service.datasets.folder_lock import ABANDONED_SECONDS, FolderLock
from packtrain.service.datasets.headers import check_size, check_upload, find_violations
from packtrain.service.datasets.inline import read_inline
from packtrain.service.datasets.names import NameRecord, NameStore
from packtrain.service.datasets.synthetic import SyntheticKind, SyntheticSet
from packtrain.service.datasets.uploads import Upload
from packtrain.service.hints import did_you_mean

# Synthetic sets whose content is remembered: a search over their seed has thousands.
_MAX_REMEMBERED = 10_000


class Catalog:
    """The datasets below ``data_dir`` and in ``directories``. Blocking; safe to call from
    several threads, and by several processes that share ``data_dir``.

    A name stands for a built-in set before an uploaded one, and for that before a file.
    """

    def __init__(
        self,
        data_dir: Path,
        directories: Sequence[Path] = (),
        max_upload_bytes: int = 1 << 30,
        max_file_bytes: int = 8 << 30,
        *,
        alone: bool = False,
    ) -> None:
        # Absolute, because other processes read the files by the paths that are told.
        root = data_dir.absolute() / "datasets"
        # Without other processes, what is unfinished now was cut off.
        age = 0.0 if alone else ABANDONED_SECONDS
        self._content = ContentStore(root, age)
        self._uploaded = NameStore(root / "names", age)
        self._read_files = NameStore(root / "files", age)
        self._directories = tuple(directories)
        self._max_upload_bytes = max_upload_bytes
        self._max_file_bytes = max_file_bytes
        self._synthetic: dict[SyntheticSet, str] = {}
        self._digits: StoredDataset | None = None
        # Guards names, and content against its removal; held shortly. Files are read, one at a
        # time, under a lock of their own.
        self._lock = FolderLock(root)
        self._reading = Lock()

    def list(self) -> tuple[StoredDataset, ...]:
        """All of them, by id. Files that were not used since they changed have no splits, no
        figures and an empty digest."""
        offers = find_offers(self._directories).values()
        found = {offer.dataset_id: self._describe_offer(offer) for offer in offers}
        with self._lock:
            for record in self._uploaded.records():
                found[record.dataset_id] = self._named(record, Origin.UPLOADED)
        found[DIGITS_ID] = self._get_digits()
        return tuple(found[dataset_id] for dataset_id in sorted(found))

    def get(self, dataset_id: str) -> StoredDataset:
        """One of them; a file is read on first use. Raises DatasetNotFoundError,
        InvalidDatasetError and DatasetTooLargeError (of a file)."""
        if dataset_id == DIGITS_ID:
            return self._get_digits()
        with self._lock:
            record = self._find_uploaded(dataset_id)
            if record is not None:
                return self._named(record, Origin.UPLOADED)
        offer = find_offers(self._directories).get(dataset_id)
        if offer is None:
            raise self._not_found(dataset_id)
        return self._get_file(offer)

    def get_by_digest(self, digest: str) -> StoredDataset:
        """Content by its digest, without a name. Raises DatasetNotFoundError."""
        return self._content.find(digest)

    def delete(self, dataset_id: str, keep: Collection[str] = ()) -> None:
        """Forget an uploaded dataset; its content too, where no other name stands for it and
        its digest is not in ``keep``. Raises DatasetNotFoundError, DatasetReadOnlyError."""
        with self._lock:
            record = self._find_uploaded(dataset_id)
            if record is not None:
                self._uploaded.remove(dataset_id)
                if record.digest not in self._digests_of_names() | set(keep):
                    self._content.remove(record.digest)
                return
        if not self._is_read_only(dataset_id):
            raise self._not_found(dataset_id)
        raise DatasetReadOnlyError(
            f"{dataset_id!r} was not uploaded, and can't be deleted", "DATASET_READ_ONLY"
        )

    def begin_upload(self, header: UploadHeader) -> Upload:
        """Start an upload. Raises InvalidDatasetError, DatasetTooLargeError and
        DatasetExistsError, before anything is allocated."""
        check_upload(header, self._max_upload_bytes)
        if self._is_read_only(header.dataset_id):
            raise _exists(header.dataset_id)
        with self._lock:
            record = self._find_uploaded(header.dataset_id)
            if record is not None:
                held = self._named(record, Origin.UPLOADED)
                if held.size_bytes != count_bytes(header.splits):
                    raise _exists(header.dataset_id)
        return Upload(
            self._content.begin(header.splits), lambda writer: self._publish(writer, header)
        )

    def store_inline(
        self,
        inputs: Sequence[Sequence[float]],
        labels: Sequence[int] | None = None,
        targets: Sequence[Sequence[float]] | None = None,
    ) -> StoredDataset:
        """Store rows that came within a specification, as the split "train". Raises
        InvalidDatasetError, with fields like "inputs[3]", "labels", "targets"."""
        return self._store([read_inline(inputs, labels, targets)], self._max_upload_bytes)

    def store_synthetic(
        self,
        kind: SyntheticKind,
        rows: int | None = None,
        noise: float | None = None,
        seed: int = 0,
        features: int | None = None,
    ) -> StoredDataset:
        """Make and store a synthetic set; None takes the default of the contract. Raises
        InvalidDatasetError, with fields "rows", "noise", "seed", "features", and
        DatasetTooLargeError."""
        wanted = SyntheticSet.resolve(kind, rows, noise, seed, features)
        with self._lock:
            digest = self._synthetic.get(wanted)
            if digest is not None and self._content.touch(digest):
                return self._content.find(digest)
        check_size(wanted.size_bytes, self._max_upload_bytes)
        made = self._store([wanted.make()], self._max_upload_bytes)
        with self._lock:
            if len(self._synthetic) >= _MAX_REMEMBERED:
                self._synthetic.clear()
            self._synthetic[wanted] = made.digest
        return made

    def release(
        self, digests_in_use: Collection[str], min_age_seconds: float = ABANDONED_SECONDS
    ) -> int:
        """Remove content that neither a name stands for nor a job uses; returns how many were
        removed. What was stored within ``min_age_seconds`` stays: the job that it was stored
        for may not be written yet."""
        offered = find_offers(self._directories)
        with self._lock:
            for names in (self._uploaded, self._read_files):
                names.sweep(min_age_seconds)
            for record in self._read_files.records():
                if record.dataset_id not in offered:
                    self._read_files.remove(record.dataset_id)
            keep = self._digests_of_names() | set(digests_in_use)
            return self._content.release(keep, min_age_seconds)

    def _not_found(self, dataset_id: str) -> DatasetNotFoundError:
        uploaded = (record.dataset_id for record in self._uploaded.records())
        known = [DIGITS_ID, *uploaded, *find_offers(self._directories)]
        hint = did_you_mean(dataset_id, known)
        return DatasetNotFoundError(
            f"there is no dataset {dataset_id!r}{hint}", "DATASET_NOT_FOUND"
        )

    def _is_read_only(self, dataset_id: str) -> bool:
        return dataset_id == DIGITS_ID or dataset_id in find_offers(self._directories)

    def _find_uploaded(self, dataset_id: str) -> NameRecord | None:
        # Checked here, because the name becomes part of a path.
        return self._uploaded.find(dataset_id) if DATASET_ID.fullmatch(dataset_id) else None

    def _digests_of_names(self) -> set[str]:
        records = chain(self._uploaded.records(), self._read_files.records())
        digests = {record.digest for record in records}
        return digests if self._digits is None else digests | {self._digits.digest}

    def _named(self, record: NameRecord, origin: Origin) -> StoredDataset:
        return replace(
            self._content.find(record.digest),
            dataset_id=record.dataset_id,
            origin=origin,
            created=record.created,
            description=record.description,
        )

    def _publish(self, writer: ContentWriter, header: UploadHeader) -> StoredDataset:
        with self._lock:
            record = self._find_uploaded(header.dataset_id)
            if record is not None and record.digest != writer.seal():
                raise _exists(header.dataset_id)
            stored = writer.publish()
            if record is None:
                record = NameRecord(
                    dataset_id=header.dataset_id,
                    digest=stored.digest,
                    description=header.description,
                    created=datetime.now(UTC),
                )
                self._uploaded.put(record)
            return self._named(record, Origin.UPLOADED)

    def _store(self, splits: Sequence[SplitArrays], max_bytes: int | None) -> StoredDataset:
        headers = headers_of(splits)
        if max_bytes is not None:
            check_size(count_bytes(headers), max_bytes)
        writer = self._content.begin(headers)
        try:
            for chunk in chain.from_iterable(split.chunks() for split in splits):
                writer.write(chunk)
            writer.seal()
            with self._lock:
                return writer.publish()
        finally:
            writer.discard()

    def _get_digits(self) -> StoredDataset:
        with self._lock:
            # Another process, in which nobody asked for them, may have released them.
            if self._digits is None or not self._content.touch(self._digits.digest):
                self._digits = replace(
                    self._store([read_digits()], max_bytes=None),
                    dataset_id=DIGITS_ID,
                    origin=Origin.BUILT_IN,
                    description=DIGITS_DESCRIPTION,
                )
            return self._digits

    def _describe_offer(self, offer: FileOffer) -> StoredDataset:
        changed, known = None, None
        try:
            source, changed = offer.state()
            known = self._find_read_file(offer, source)
        except InvalidDatasetError:
            pass  # gone meanwhile: told when it is used
        return known or StoredDataset(
            dataset_id=offer.dataset_id,
            origin=Origin.FILE,
            splits=(),
            features=0,
            classes=0,
            targets=0,
            digest="",
            size_bytes=0,
            created=changed,
            description=offer.description,
        )

    def _find_read_file(self, offer: FileOffer, source: str) -> StoredDataset | None:
        with self._lock:
            record = self._read_files.find(offer.dataset_id)
            if record is None or record.source != source:
                return None
            try:
                return self._named(record, Origin.FILE)
            except DatasetNotFoundError:  # the content was removed by hand: read it again
                return None

    def _get_file(self, offer: FileOffer) -> StoredDataset:
        with self._reading:
            # Before it is read: a change meanwhile then shows at the next use.
            source, changed = offer.state()
            known = self._find_read_file(offer, source)
            if known is not None:
                return known
            try:
                splits = offer.read(self._max_file_bytes)
                found = find_violations(headers_of(splits), "splits")
                if found:
                    raise InvalidDatasetError.of("INVALID_DATASET_FILE", found)
                stored = self._store(splits, self._max_file_bytes)
            except InvalidDatasetError as error:
                raise InvalidDatasetError(f"{offer.description}: {error}", error.reason) from error
            record = NameRecord(
                dataset_id=offer.dataset_id,
                digest=stored.digest,
                description=offer.description,
                created=changed,
                source=source,
            )
            with self._lock:
                self._read_files.put(record)
                return self._named(record, Origin.FILE)


def _exists(dataset_id: str) -> DatasetExistsError:
    return DatasetExistsError(
        f"the name {dataset_id!r} is taken by other content", "DATASET_EXISTS"
    )
