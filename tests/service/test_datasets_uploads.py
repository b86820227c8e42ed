"""Uploads: there as a whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from packtrain.service.datasets import (
    ArrayHeader,
    Catalog,
    DatasetError,
    DatasetExistsError,
    DatasetNotFoundError,
    DatasetReadOnlyError,
    DatasetTooLargeError,
    ElementType,
    InvalidDatasetError,
    Origin,
    SplitHeader,
    StoredDataset,
    UploadHeader,
)

Arrays = dict[str, tuple[NDArray[Any], NDArray[Any]]]
TRAIN = (np.arange(12, dtype=np.float32).reshape(4, 3), np.array([0, 2, 1, 0], dtype=np.int32))
TEST = (np.ones((2, 3), dtype=np.float32), np.array([3, 0], dtype=np.int32))


def array_header(array: NDArray[Any]) -> ArrayHeader:
    return ArrayHeader(ElementType(array.dtype.name), array.shape)


def header_of(arrays: Arrays, dataset_id: str = "mine") -> UploadHeader:
    splits = tuple(
        SplitHeader(name, array_header(x), array_header(y)) for name, (x, y) in arrays.items()
    )
    return UploadHeader(dataset_id, splits, "made in a test")


def bytes_of(arrays: Arrays) -> bytes:
    return b"".join(x.tobytes() + y.tobytes() for x, y in arrays.values())


def upload(
    catalog: Catalog, arrays: Arrays, dataset_id: str = "mine", chunk: int = 1 << 20
) -> StoredDataset:
    content = bytes_of(arrays)
    with catalog.begin_upload(header_of(arrays, dataset_id)) as under_way:
        for first in range(0, len(content), chunk):
            under_way.write(content[first : first + chunk])
        return under_way.commit()


def tree(directory: Path) -> list[Path]:
    return sorted(p.relative_to(directory) for p in directory.rglob("*"))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path)


# 1 and 7 cut numbers apart; 48 is the first array; the last is more than there is.
@pytest.mark.parametrize("chunk", [1, 7, 48, 1 << 20])
def test_upload_in_chunks_of_any_size(catalog: Catalog, chunk: int):
    stored = upload(catalog, {"train": TRAIN, "test": TEST}, chunk=chunk)
    assert (stored.dataset_id, stored.origin) == ("mine", Origin.UPLOADED)
    assert (stored.features, stored.classes, stored.targets) == (3, 4, 1)
    assert stored.rows_by_split() == {"train": 4, "test": 2}
    assert stored.size_bytes == len(bytes_of({"train": TRAIN, "test": TEST}))
    assert stored.description == "made in a test"
    assert stored.created is not None
    for split, (x, y) in zip(stored.splits, (TRAIN, TEST), strict=True):
        held = np.load(split.inputs_path, mmap_mode="r")
        assert held.dtype == x.dtype
        assert np.array_equal(held, x)
        assert np.array_equal(np.load(split.targets_path), y)
    assert catalog.get("mine") == stored
    assert catalog.get_by_digest(stored.digest).splits == stored.splits


@pytest.mark.parametrize("inputs", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("targets", ["int32", "int64", "uint8", "float32", "float64"])
def test_every_type(catalog: Catalog, inputs: str, targets: str):
    y = np.array([1, 0, 2], dtype=targets)
    y = y if y.dtype.kind in "iu" else np.column_stack([y, y])
    x = np.arange(6).reshape(3, 2).astype(inputs)
    stored = upload(catalog, {"train": (x, y)}, chunk=5)
    assert (stored.classes, stored.targets) == ((3, 1) if y.ndim == 1 else (0, 2))
    assert np.load(stored.splits[0].inputs_path).dtype == inputs
    assert np.array_equal(np.load(stored.splits[0].targets_path), y)


def test_uploads_are_there_after_a_restart(tmp_path: Path):
    stored = upload(Catalog(tmp_path), {"train": TRAIN})
    again = Catalog(tmp_path)
    assert again.get("mine") == stored
    assert [d.dataset_id for d in again.list()] == ["digits", "mine"]


def test_same_content_twice_is_stored_once(tmp_path: Path, catalog: Catalog):
    first = upload(catalog, {"train": TRAIN})
    before = tree(tmp_path)
    assert upload(catalog, {"train": TRAIN}) == first
    assert tree(tmp_path) == before
    other = upload(catalog, {"train": TRAIN}, "other")
    assert other.digest == first.digest
    assert len(tree(tmp_path)) == len(before) + 1


def test_digest_tells_names_types_and_shapes_apart(catalog: Catalog):
    x, y = TRAIN
    variants: Sequence[Arrays] = [
        {"train": (x, y)},
        {"train": (x.view(np.uint8).reshape(4, 12), y)},
        {"train": (x, y.astype(np.int64))},
        {"train": TRAIN, "test": TEST},
        {"train": TRAIN, "dev": TEST},
    ]
    digests = {upload(catalog, v, f"v{i}").digest for i, v in enumerate(variants)}
    assert len(digests) == len(variants)


@pytest.mark.parametrize("same_size", [True, False])
def test_name_taken_by_other_content(tmp_path: Path, catalog: Catalog, same_size: bool):
    upload(catalog, {"train": TRAIN})
    before = tree(tmp_path)
    other = (TRAIN[0] + 1, TRAIN[1]) if same_size else TEST
    with pytest.raises(DatasetExistsError) as caught:
        upload(catalog, {"train": other})
    assert caught.value.reason == "DATASET_EXISTS"
    assert tree(tmp_path) == before
    assert np.array_equal(np.load(catalog.get("mine").splits[0].inputs_path), TRAIN[0])


def test_upload_shadows_neither_built_in_nor_file(tmp_path: Path):
    offered = tmp_path / "offered"
    offered.mkdir()
    (offered / "iris.csv").write_text("1,2,0\n3,4,1\n")
    catalog = Catalog(tmp_path / "data", [offered])
    for dataset_id in ("digits", "iris"):
        with pytest.raises(DatasetExistsError):
            upload(catalog, {"train": TRAIN}, dataset_id)


@pytest.mark.parametrize("sent", [0, 1, 30, 48, 60, 63])
def test_cut_off_upload_leaves_nothing(tmp_path: Path, catalog: Catalog, sent: int):
    before = tree(tmp_path)
    under_way = catalog.begin_upload(header_of({"train": TRAIN}))
    under_way.write(bytes_of({"train": TRAIN})[:sent])
    assert under_way.received_bytes == sent < under_way.expected_bytes == 64
    with pytest.raises(InvalidDatasetError, match=f"^{sent} bytes came of the 64"):
        under_way.commit()
    assert tree(tmp_path) == before
    with pytest.raises(DatasetNotFoundError):
        catalog.get("mine")


def test_abandoned_upload_leaves_nothing(tmp_path: Path, catalog: Catalog):
    before = tree(tmp_path)
    with catalog.begin_upload(header_of({"train": TRAIN})) as under_way:
        under_way.write(b"123")
        assert len(tree(tmp_path)) > len(before)
    assert tree(tmp_path) == before
    under_way.abort()
    with pytest.raises(InvalidDatasetError):
        under_way.write(b"456")


def test_abort_after_commit_does_nothing(catalog: Catalog):
    with catalog.begin_upload(header_of({"train": TRAIN})) as under_way:
        under_way.write(bytes_of({"train": TRAIN}))
        stored = under_way.commit()
        under_way.abort()
    assert catalog.get("mine") == stored
    assert stored.splits[0].inputs_path.exists()


def test_upload_that_is_too_long_leaves_nothing(tmp_path: Path, catalog: Catalog):
    before = tree(tmp_path)
    under_way = catalog.begin_upload(header_of({"train": TRAIN}))
    with pytest.raises(InvalidDatasetError, match="more bytes"):
        under_way.write(bytes_of({"train": TRAIN}) + b"x")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["inputs", "targets"])
@pytest.mark.parametrize("chunk", [3, 1000])
def test_number_that_is_not_finite_names_array_and_row(
    tmp_path: Path, catalog: Catalog, number: float, part: str, chunk: int
):
    draw = np.random.default_rng()
    x, y = np.ones((50, 3), dtype=np.float32), np.ones((50, 2))
    row = int(draw.integers(50))
    array = x if part == "inputs" else y
    array[row, draw.integers(array.shape[1])] = number
    before = tree(tmp_path)
    with pytest.raises(
        InvalidDatasetError, match=rf"^{part} of split 'train' .*\(row {row}, counted from 0\)$"
    ) as caught:
        upload(catalog, {"train": (x, y)}, chunk=chunk)
    assert caught.value.reason == "NOT_FINITE"
    assert caught.value.field == f"header.splits[0].{part}"
    assert tree(tmp_path) == before


@pytest.mark.parametrize("label", [-1, 65_536])
def test_label_out_of_range_names_the_row(tmp_path: Path, catalog: Catalog, label: int):
    before = tree(tmp_path)
    y = np.array([0, 1, label, 0], dtype=np.int64)
    with pytest.raises(InvalidDatasetError, match=rf"label {label};.*\(row 2, counted from 0\)$"):
        upload(catalog, {"train": (TRAIN[0], y)}, chunk=9)
    assert tree(tmp_path) == before


def split(
    inputs: tuple[int, ...] = (4, 3),
    targets: tuple[int, ...] = (4,),
    *,
    name: str = "train",
    x: ElementType | None = ElementType.FLOAT32,
    y: ElementType | None = ElementType.INT32,
) -> SplitHeader:
    return SplitHeader(name, ArrayHeader(x, inputs), ArrayHeader(y, targets))


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (UploadHeader("", (split(),)), ["header.dataset_id"]),
        (UploadHeader("../up", (split(),)), ["header.dataset_id"]),
        (UploadHeader("Mine", (split(),)), ["header.dataset_id"]),
        (UploadHeader("a" * 64, (split(),)), ["header.dataset_id"]),
        (UploadHeader("mine\n", (split(),)), ["header.dataset_id"]),
        (UploadHeader("mine", (split(),), "x" * 5000), ["header.description"]),
        (UploadHeader("mine", ()), ["header.splits"]),
        (UploadHeader("mine", (split(name="test"),)), ["header.splits"]),
        (
            UploadHeader("mine", tuple(split(name=f"s{i}") for i in range(17))),
            ["header.splits"] * 2,
        ),
        (
            UploadHeader("mine", (split(), split(name="a/b"))),
            ["header.splits[1].name"],
        ),
        (
            UploadHeader("mine", (split(), split())),
            ["header.splits[0].name", "header.splits[1].name"],
        ),
        (UploadHeader("mine", (split(x=None),)), ["header.splits[0].inputs.element_type"]),
        (
            UploadHeader("mine", (split(x=ElementType.INT32),)),
            ["header.splits[0].inputs.element_type"],
        ),
        (UploadHeader("mine", (split(y=None),)), ["header.splits[0].targets.element_type"]),
        (
            UploadHeader("mine", (split(y=ElementType.FLOAT32),)),
            ["header.splits[0].targets.element_type"],
        ),
        (
            UploadHeader("mine", (split(targets=(4, 2)),)),
            ["header.splits[0].targets.element_type"],
        ),
        (UploadHeader("mine", (split((4,)),)), ["header.splits[0].inputs.shape"]),
        (UploadHeader("mine", (split((4, 0)),)), ["header.splits[0].inputs.shape"]),
        (UploadHeader("mine", (split((-4, -3), (4,)),)), None),
        (UploadHeader("mine", (split(()),)), ["header.splits[0].inputs.shape"]),
        (UploadHeader("mine", (split(targets=()),)), ["header.splits[0].targets.shape"]),
        (UploadHeader("mine", (split(targets=(5,)),)), ["header.splits[0].targets.shape"]),
        (
            UploadHeader("mine", (split(), split((4, 2), name="test"))),
            ["header.splits[1].inputs.shape"],
        ),
        (
            UploadHeader(
                "mine", (split(), split((4, 3), (4, 1), name="test", y=ElementType.FLOAT32))
            ),
            ["header.splits[1].targets.shape"],
        ),
        (
            UploadHeader("Mine", (split((4,), x=None),)),
            [
                "header.dataset_id",
                "header.splits[0].inputs.element_type",
                "header.splits[0].inputs.shape",
            ],
        ),
    ],
)
def test_wrong_header_names_every_field(
    tmp_path: Path, catalog: Catalog, header: UploadHeader, fields: list[str] | None
):
    before = tree(tmp_path)
    with pytest.raises(InvalidDatasetError) as caught:
        catalog.begin_upload(header)
    found = [violation.field for violation in caught.value.violations]
    assert found == fields if fields else "header.splits[0].inputs.shape" in found
    assert caught.value.field == found[0]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("rows", [11, 1 << 40, 1 << 62])
def test_too_large_is_refused_before_a_byte(tmp_path: Path, rows: int):
    catalog = Catalog(tmp_path, max_upload_bytes=10 * 16)
    catalog.begin_upload(UploadHeader("mine", (split((10, 3), (10,)),))).abort()
    before = tree(tmp_path)
    with pytest.raises(DatasetTooLargeError, match=f"{rows * 16} bytes.*at most 160"):
        catalog.begin_upload(UploadHeader("mine", (split((rows, 3), (rows,)),)))
    assert tree(tmp_path) == before


def test_claim_beyond_the_disk_is_refused(tmp_path: Path):
    catalog = Catalog(tmp_path, max_upload_bytes=1 << 80)
    before = tree(tmp_path)
    with pytest.raises(DatasetTooLargeError) as caught:
        catalog.begin_upload(UploadHeader("mine", (split((1 << 50, 3), (1 << 50,)),)))
    assert caught.value.reason == "DISK_FULL"
    assert tree(tmp_path) == before


def test_delete(tmp_path: Path, catalog: Catalog):
    before = tree(tmp_path)
    stored = upload(catalog, {"train": TRAIN})
    upload(catalog, {"train": TRAIN}, "other")
    catalog.delete("mine")
    with pytest.raises(DatasetNotFoundError):
        catalog.get("mine")
    assert catalog.get("other").splits[0].inputs_path.exists()
    catalog.delete("other", keep={stored.digest})
    assert catalog.get_by_digest(stored.digest).classes == 3
    assert catalog.release({stored.digest}, min_age_seconds=0) == 0
    assert catalog.release(set(), min_age_seconds=0) == 1
    assert tree(tmp_path) == before


def test_delete_removes_content_at_once(tmp_path: Path, catalog: Catalog):
    before = tree(tmp_path)
    upload(catalog, {"train": TRAIN})
    catalog.delete("mine")
    assert tree(tmp_path) == before


def test_delete_of_what_is_not_uploaded(catalog: Catalog):
    with pytest.raises(DatasetReadOnlyError):
        catalog.delete("digits")
    for dataset_id in ("nothing", "../names/mine", ""):
        with pytest.raises(DatasetNotFoundError):
            catalog.delete(dataset_id)
        with pytest.raises(DatasetNotFoundError):
            catalog.get(dataset_id)


def test_uploads_at_the_same_time(catalog: Catalog):
    outcomes: list[str] = []

    def race(offset: int) -> None:
        try:
            outcomes.append(upload(catalog, {"train": (TRAIN[0] + offset, TRAIN[1])}).digest)
        except DatasetError as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=race, args=(i % 2,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(outcomes)) == sorted({catalog.get("mine").digest, "DATASET_EXISTS"})
    assert len(outcomes) == 6


def run_and_die(work: Callable[[], object], event: int) -> bool:
    """In a process of its own, end it without any clean-up at the ``event``-th step that makes
    something durable or visible. False when ``work`` came to its end."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    seen = 0

    def dying(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == event:
                os._exit(9)
            return step(*args)

        return call

    try:
        os.fsync, os.rename, os.replace = map(dying, (os.fsync, os.rename, os.replace))
        work()
        os._exit(0)
    finally:
        os._exit(1)


def test_killed_at_any_step_leaves_all_or_nothing(tmp_path: Path):
    visible = []
    for event in range(1, 100):
        data_dir = tmp_path / str(event)
        catalog = Catalog(data_dir)
        clean = tree(data_dir)
        if not run_and_die(lambda c=catalog: upload(c, {"train": TRAIN}), event):
            break
        again = Catalog(data_dir)
        found = [d for d in again.list() if d.origin is Origin.UPLOADED]
        visible.append(len(found))
        if found:
            assert np.array_equal(np.load(found[0].splits[0].inputs_path), TRAIN[0])
            assert np.array_equal(np.load(found[0].splits[0].targets_path), TRAIN[1])
        else:
            catalog = Catalog(data_dir)
            catalog.release(set(), min_age_seconds=0)
            assert tree(data_dir) == clean
        assert upload(again, {"train": TRAIN}).classes == 3
    # manifest, two arrays, their directory, the rename, its directory; name, its rename,
    # its directory, at which it is there already
    assert visible == [0] * 8 + [1]
