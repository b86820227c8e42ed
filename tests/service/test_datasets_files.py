"""Files in the directories that the server was started with."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from packtrain.service.datasets import (
    Catalog,
    DatasetError,
    DatasetNotFoundError,
    DatasetReadOnlyError,
    DatasetTooLargeError,
    InvalidDatasetError,
    Origin,
    StoredDataset,
)

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 2, 3) * 10
LABELS = np.array([1, 0, 9, 2], dtype=np.uint8)


@pytest.fixture
def catalog(tmp_path: Path, offered: Path) -> Catalog:
    return Catalog(tmp_path / "data", [offered], max_file_bytes=100_000)


def idx(array: NDArray[np.uint8]) -> bytes:
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write_idx(directory: Path, split: str = "train", rows: int = 4, *, gz: bool = False) -> None:
    directory.mkdir(exist_ok=True)
    for name, array in (
        (f"{split}-images-idx3-ubyte", PIXELS[:rows]),
        (f"{split}-labels-idx1-ubyte", LABELS[:rows]),
    ):
        content = idx(array)
        path = directory / (f"{name}.gz" if gz else name)
        path.write_bytes(gzip.compress(content) if gz else content)


def arrays_of(dataset: StoredDataset, split: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.load(dataset.splits[split].inputs_path), np.load(dataset.splits[split].targets_path)


def fails(catalog: Catalog, dataset_id: str, message: str) -> DatasetError:
    """The error of its use; a listing goes on with it, and nothing of it is left behind."""
    with pytest.raises((InvalidDatasetError, DatasetTooLargeError), match=message) as caught:
        catalog.get(dataset_id)
    listed = next(d for d in catalog.list() if d.dataset_id == dataset_id)
    assert (listed.origin, listed.digest, listed.splits) == (Origin.FILE, "", ())
    assert catalog.release(set(), min_age_seconds=0) == 0
    return caught.value


@pytest.mark.parametrize("gz", [True, False])
def test_idx_directory(catalog: Catalog, offered: Path, gz: bool):
    write_idx(offered / "tiny", gz=gz)
    write_idx(offered / "tiny", "t10k", rows=2, gz=gz)
    before = {d.dataset_id: d for d in catalog.list()}
    assert (before["tiny"].digest, before["tiny"].origin) == ("", Origin.FILE)
    stored = catalog.get("tiny")
    assert stored.rows_by_split() == {"train": 4, "test": 2}
    assert (stored.features, stored.classes) == (6, 10)
    inputs, labels = arrays_of(stored)
    assert inputs.dtype == np.float32
    assert np.array_equal(inputs, PIXELS.reshape(4, 6).astype(np.float32) / np.float32(255))
    assert np.array_equal(labels, LABELS)
    assert len(arrays_of(stored, 1)[0]) == 2
    assert next(d for d in catalog.list() if d.dataset_id == "tiny") == stored
    assert str(offered) not in stored.description


def test_idx_directory_itself(tmp_path: Path):
    write_idx(tmp_path / "tiny")
    inside = Catalog(tmp_path / "a", [tmp_path / "tiny"]).get("tiny")
    around = Catalog(tmp_path / "b", [tmp_path]).get("tiny")
    assert inside.digest == around.digest


def test_mnist(tmp_path: Path):
    if not MNIST.is_dir():
        pytest.skip("MNIST is not on this machine")
    stored = Catalog(tmp_path, [MNIST.parent]).get("mnist")
    assert stored.rows_by_split() == {"train": 60_000, "test": 10_000}
    assert (stored.features, stored.classes) == (784, 10)
    inputs = np.load(stored.splits[0].inputs_path, mmap_mode="r")
    labels = np.load(stored.splits[0].targets_path)
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert (inputs.dtype, inputs.min(), inputs[:1000].max()) == (np.float32, 0, 1)
    # Read once: known again after a restart, without a file being opened.
    again = Catalog(tmp_path, [MNIST])
    assert next(d for d in again.list() if d.dataset_id == "mnist") == stored


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: b"\0\0\x0d\x03" + c[4:], "starts with 00000d03"),
        (lambda c: b"\0\0\x08\x01" + c[4:], "starts with 00000801"),
        (lambda c: b"", "starts with nothing"),
        (lambda c: c[:9], "cut off within its header"),
        (lambda c: c[:-1], "announces 24 bytes, but 23 are there"),
        (lambda c: c + b"x", "announces 24 bytes, but more are there"),
        (lambda c: c[:4] + struct.pack(">3I", 0, 2, 3), "is empty"),
        (lambda c: c[:4] + struct.pack(">3I", 3, 2, 3) + c[16:-6], "4 rows of targets, but 3"),
    ],
)
@pytest.mark.parametrize("gz", [True, False])
def test_bad_idx(catalog: Catalog, offered: Path, change: Any, message: str, gz: bool):
    write_idx(offered / "tiny", gz=gz)
    path = offered / "tiny" / ("train-images-idx3-ubyte" + (".gz" if gz else ""))
    content = change(idx(PIXELS))
    path.write_bytes(gzip.compress(content) if gz else content)
    assert fails(catalog, "tiny", message).reason == "INVALID_DATASET_FILE"


@pytest.mark.parametrize("kept", [5, 30, -9, -4])
def test_truncated_gz(catalog: Catalog, offered: Path, kept: int):
    write_idx(offered / "tiny", gz=True)
    path = offered / "tiny" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:kept])
    fails(catalog, "tiny", "cut off or damaged")


def test_damaged_gz(catalog: Catalog, offered: Path):
    write_idx(offered / "tiny", gz=True)
    path = offered / "tiny" / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF  # its checksum
    path.write_bytes(content)
    fails(catalog, "tiny", "cut off or damaged")


def test_idx_that_claims_the_world(catalog: Catalog, offered: Path):
    write_idx(offered / "tiny")
    head = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)
    (offered / "tiny" / "train-images-idx3-ubyte").write_bytes(head)
    assert fails(catalog, "tiny", "images-idx3-ubyte announces").reason == "DATASET_TOO_LARGE"


def test_gz_that_unfolds_is_read_no_further_than_announced(catalog: Catalog, offered: Path):
    write_idx(offered / "tiny")
    (offered / "tiny" / "train-images-idx3-ubyte").unlink()
    bomb = gzip.compress(idx(PIXELS) + bytes(32 << 20))
    (offered / "tiny" / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    tracemalloc.start()
    fails(catalog, "tiny", "more are there")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_npz(catalog: Catalog, offered: Path):
    x, y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 4])
    np.savez(offered / "My_Set.npz", x=x, y=y, x_test=x[:1], y_test=y[:1])
    stored = catalog.get("my-set")
    assert stored.rows_by_split() == {"train": 3, "test": 1}
    assert (stored.classes, stored.features) == (5, 2)
    assert np.array_equal(arrays_of(stored)[0], x)
    assert np.array_equal(arrays_of(stored)[1], y)


@pytest.mark.parametrize(
    ("x", "y", "inputs", "targets"),
    [
        (np.ones((2, 2), ">f4"), np.array([1, 0], ">i2"), "float32", "int64"),
        (np.asfortranarray([[1, 2], [3, 4]]), np.array([[1], [0]]), "float64", "int64"),
        (np.ones((2, 2, 3), np.uint8), np.array([0.5, 1]), "uint8", "float64"),
        (np.ones((2, 2), np.float16), np.ones((2, 3), np.float32), "float64", "float32"),
        (np.array([[True], [False]]), np.array([True, False]), "float64", "int64"),
    ],
)
def test_npz_types(
    catalog: Catalog,
    offered: Path,
    x: NDArray[Any],
    y: NDArray[Any],
    inputs: str,
    targets: str,
):
    np.savez_compressed(offered / "set.npz", x_train=x, y_train=y)
    held_x, held_y = arrays_of(catalog.get("set"))
    assert (held_x.dtype, held_y.dtype) == (inputs, targets)
    assert np.array_equal(held_x, x.reshape(2, -1))
    assert np.array_equal(held_y.ravel(), y.ravel())


def member(header: dict[str, Any], content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def npz(path: Path, x: bytes, y: bytes = b"") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", y)


def test_npz_bomb(catalog: Catalog, offered: Path):
    """7 TiB claimed, and 32 MiB that unfold from 32 KiB behind a modest claim."""
    claim = {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 20)}
    npz(offered / "claim.npz", member(claim))
    assert fails(catalog, "claim", "announces 8796093022208").reason == "DATASET_TOO_LARGE"
    modest = claim | {"shape": (10, 10)}
    npz(offered / "unfold.npz", member(modest, bytes(32 << 20)), member(modest))
    tracemalloc.start()
    fails(catalog, "unfold", "y in unfold.npz announces 800 bytes, but 0")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def test_pickled_npz_is_refused_and_not_run(
    catalog: Catalog, offered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    trap = np.array([[Trap()]], dtype=object)
    header = {"descr": "|O", "fortran_order": False, "shape": (1, 1)}
    npz(offered / "trap.npz", member(header, pickle.dumps(trap)))
    fails(catalog, "trap", "expected real numbers")
    npz(offered / "bare.npz", pickle.dumps(trap))
    fails(catalog, "bare", "not a readable npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((2, 2))}, "no array 'y'"),
        ({"y": np.ones(2)}, "no array 'x'"),
        ({"x": np.ones((2, 2)), "y": np.ones(2), "x_test": np.ones((2, 2))}, "no array 'y_test'"),
        ({"x": np.ones((2, 2)), "y": np.ones(3)}, "3 rows of targets, but 2"),
        ({"x": np.ones(2), "y": np.ones(2)}, "x in set.npz has 1 axes"),
        ({"x": np.ones((0, 2)), "y": np.ones(0)}, "is empty"),
        ({"x": np.ones((2, 2)), "y": np.ones((2, 2, 2))}, "y in set.npz has the shape"),
        ({"x": np.ones((2, 2), complex), "y": np.ones(2)}, "holds complex128"),
        ({"x": np.array([["a", "b"]]), "y": np.ones(1)}, "holds <U1"),
        (
            {"x": np.array([[1], [np.nan]]), "y": np.ones(2)},
            r"not finite \(row 1, counted from 0\)",
        ),
        ({"x": np.ones((2, 1)), "y": np.array([0, -1])}, r"label -1; .*\(row 1, counted from 0\)"),
        ({"x": np.ones((200, 100)), "y": np.ones(200)}, "at most 100000"),
    ],
)
def test_bad_npz(catalog: Catalog, offered: Path, arrays: dict[str, Any], message: str):
    np.savez(offered / "set.npz", **arrays)
    fails(catalog, "set", message)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY"])
def test_no_npz_at_all(catalog: Catalog, offered: Path, content: bytes):
    (offered / "set.npz").write_bytes(content)
    fails(catalog, "set", "NPZ file set.npz: .*not a readable npz file")


def test_damaged_npz(catalog: Catalog, offered: Path):
    npz(offered / "set.npz", b"not an array")
    fails(catalog, "set", "not a readable npz")
    np.savez(offered / "cut.npz", x=np.ones((20, 2)), y=np.ones(20))
    content = bytearray((offered / "cut.npz").read_bytes())
    content[content.index(np.ones(1).tobytes())] ^= 0xFF
    (offered / "cut.npz").write_bytes(content)
    fails(catalog, "cut", "not a readable npz")


@pytest.mark.parametrize(
    ("text", "inputs", "targets"),
    [
        ("1,2,0\n3,4,1\n", [[1, 2], [3, 4]], [0, 1]),
        ("a,b,c\n1,2,0\n\n3,4,1\n", [[1, 2], [3, 4]], [0, 1]),
        ("\ufeffa, Label ,c\r\n1,2,0\r\n3,4,1\r\n", [[1, 0], [3, 1]], [2, 4]),
        ("target,b\n0.5,2\n1,3\n", [[2], [3]], [[0.5], [1]]),
        ('"class","b"\n"-1","2"\n"0","1e3"', [[2], [1000]], [[-1], [0]]),
    ],
)
def test_csv(catalog: Catalog, offered: Path, text: str, inputs: list[Any], targets: list[Any]):
    (offered / "set.csv").write_text(text, encoding="utf-8", newline="")
    stored = catalog.get("set")
    held_x, held_y = arrays_of(stored)
    assert held_x.tolist() == inputs
    assert held_y.tolist() == targets
    assert stored.classes == (max(targets) + 1 if held_y.ndim == 1 else 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"a,b\n", "has no rows"),
        (b"1\n2\n", "has 1 column"),
        (b"1,2\n3\n", "line 2: expected 2 numbers"),
        (b"1,2\n3,x\n", "line 2: expected 2 numbers, not 'x': classes must be whole"),
        (b"1,2\n3,\n", "line 2: expected 2 numbers"),
        (b"a,b\n\n1,2\n\n3\n", "line 5: expected 2 numbers"),
        (b"1,2\nnan,1\n", "line 2: holds a number that is not finite"),
        (b"a,b\n\n1,2\ninf,1\n", "line 4: holds a number that is not finite"),
        (b"\xff\xfe1,2\n", "not a CSV file in UTF-8"),
        (b'1,"2\n', "not a CSV file"),
        (b"1,2\n" * 10_000, "more than the 100000 bytes"),
        (b"1" * 200_000, "not a CSV file"),
    ],
)
def test_bad_csv(catalog: Catalog, offered: Path, content: bytes, message: str):
    (offered / "set.csv").write_bytes(content)
    fails(catalog, "set", message)


def test_changed_file_is_read_again(catalog: Catalog, offered: Path):
    path = offered / "set.csv"
    path.write_text("1,2,0\n3,4,1\n")
    first = catalog.get("set")
    assert catalog.get("set") == first
    path.write_text("1,2,0\n3,4,1\n5,6,1\n")
    assert next(d for d in catalog.list() if d.dataset_id == "set").digest == ""
    second = catalog.get("set")
    assert second.rows_by_split() == {"train": 3}
    # The content that was, for jobs that run on it; then it goes.
    assert catalog.get_by_digest(first.digest).rows_by_split() == {"train": 2}
    assert catalog.release({first.digest}, min_age_seconds=0) == 0
    assert catalog.release(set(), min_age_seconds=0) == 1
    assert catalog.get("set") == second


def test_vanished_file(catalog: Catalog, offered: Path):
    path = offered / "set.csv"
    path.write_text("1,2,0\n3,4,1\n")
    catalog.get("set")
    path.unlink()
    with pytest.raises(DatasetNotFoundError):
        catalog.get("set")
    assert catalog.release(set(), min_age_seconds=0) == 1


def test_links_out_of_the_directory_are_not_followed(
    catalog: Catalog, offered: Path, tmp_path: Path
):
    (tmp_path / "secret.csv").write_text("1,2,0\n3,4,1\n")
    (offered / "secret.csv").symlink_to(tmp_path / "secret.csv")
    write_idx(tmp_path / "hidden")
    (offered / "hidden").symlink_to(tmp_path / "hidden")
    assert [d.dataset_id for d in catalog.list()] == ["digits"]
    with pytest.raises(DatasetNotFoundError):
        catalog.get("secret")


def test_files_are_read_only_and_names_are_never_paths(catalog: Catalog, offered: Path):
    (offered / "set.csv").write_text("1,2,0\n3,4,1\n")
    (offered / "notes.txt").write_text("not offered")
    (offered / "ÄÖ.csv").write_text("no name of ASCII letters")
    with pytest.raises(DatasetReadOnlyError):
        catalog.delete("set")
    for dataset_id in ("set.csv", "./set", "../offered/set", str(offered / "set.csv"), "notes"):
        with pytest.raises(DatasetNotFoundError):
            catalog.get(dataset_id)
    assert [d.dataset_id for d in catalog.list()] == ["digits", "set"]


def test_directory_that_is_gone(tmp_path: Path):
    catalog = Catalog(tmp_path / "data", [tmp_path / "gone"])
    assert [d.dataset_id for d in catalog.list()] == ["digits"]
