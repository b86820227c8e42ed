"""Built-in, synthetic and inline sets, and the release of content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from packtrain.service.datasets import (
    Catalog,
    DatasetError,
    DatasetNotFoundError,
    DatasetTooLargeError,
    InvalidDatasetError,
    Origin,
    StoredDataset,
    SyntheticKind,
)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path)


def arrays_of(dataset: StoredDataset) -> tuple[NDArray[Any], NDArray[Any]]:
    assert dataset.rows_by_split() == {"train": dataset.splits[0].rows}
    return np.load(dataset.splits[0].inputs_path), np.load(dataset.splits[0].targets_path)


def fields_of(error: DatasetError) -> list[str]:
    return [violation.field for violation in error.violations]


def test_digits_are_those_of_scikit_learn(catalog: Catalog):
    stored = catalog.get("digits")
    inputs, labels = arrays_of(stored)
    assert (stored.origin, stored.classes, inputs.shape) == (Origin.BUILT_IN, 10, (1797, 64))
    assert "CC BY 4.0" in stored.description
    assert inputs.dtype == np.float32
    assert (inputs.min(), inputs.max()) == (0, 1)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # The first row of the first image, a zero.
    assert (inputs[0, :8] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    datasets = pytest.importorskip("sklearn.datasets")
    peer = datasets.load_digits()
    assert np.array_equal(inputs * 16, peer.data)
    assert np.array_equal(labels, peer.target)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"digest": "d"}'])
def test_a_name_that_is_spoilt_is_none(catalog: Catalog, tmp_path: Path, content: bytes):
    (tmp_path / "datasets" / "names" / "mine.json").write_bytes(content)
    assert [d.dataset_id for d in catalog.list()] == ["digits"]
    assert catalog.release(()) == 0
    with pytest.raises(DatasetNotFoundError):
        catalog.get("mine")


@pytest.mark.parametrize("kind", list(SyntheticKind))
def test_synthetic_sets_are_functions_of_their_arguments(tmp_path: Path, kind: SyntheticKind):
    one, other = Catalog(tmp_path / "one"), Catalog(tmp_path / "other")
    stored = one.store_synthetic(kind, 50, 0.2, 7)
    assert (stored.dataset_id, stored.origin) == ("", None)
    assert one.store_synthetic(kind, 50, 0.2, 7) == stored
    assert other.store_synthetic(kind, 50, 0.2, 7).digest == stored.digest
    assert one.store_synthetic(kind, 50, 0.2, 8).digest != stored.digest
    assert one.store_synthetic(kind, 50, 0.3, 7).digest != stored.digest
    assert one.get_by_digest(stored.digest) == stored
    for array in arrays_of(stored):
        assert len(array) == 50


def test_xor(catalog: Catalog):
    inputs, labels = arrays_of(catalog.store_synthetic(SyntheticKind.XOR))
    assert inputs.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert labels.tolist() == [0, 1, 1, 0]
    inputs, labels = arrays_of(catalog.store_synthetic(SyntheticKind.XOR, 6, 0.01))
    assert labels.tolist() == [0, 1, 1, 0, 0, 1]
    assert 0 < abs(inputs - inputs.round()).max() < 0.1


def test_moons(catalog: Catalog):
    stored = catalog.store_synthetic(SyntheticKind.MOONS, noise=0)
    inputs, labels = arrays_of(stored)
    assert (stored.features, stored.classes, len(inputs)) == (2, 2, 200)
    upper, lower = inputs[labels == 0], inputs[labels == 1]
    assert len(upper) == len(lower) == 100
    np.testing.assert_allclose(np.hypot(*upper.T), 1)
    np.testing.assert_allclose(np.hypot(*(lower - [1, 0.5]).T), 1)
    assert (upper[:, 1] >= 0).all()
    assert (lower[:, 1] <= 0.5).all()


def test_spirals(catalog: Catalog):
    inputs, labels = arrays_of(catalog.store_synthetic(SyntheticKind.SPIRALS, noise=0))
    radius = np.hypot(*inputs.T)
    # Archimedes: the angle grows with the radius, 1.5 turns over a radius of 2.
    angle = 1.5 * np.pi * radius + np.pi * labels
    np.testing.assert_allclose(inputs[:, 0], radius * np.cos(angle), atol=1e-12)
    np.testing.assert_allclose(inputs[:, 1], radius * np.sin(angle), atol=1e-12)
    assert 1.9 < radius.max() <= 2
    assert np.bincount(labels).tolist() == [100, 100]


@pytest.mark.parametrize("noise", [0, 0.5])
def test_linear(catalog: Catalog, noise: float):
    stored = catalog.store_synthetic(SyntheticKind.LINEAR, 2000, noise, 3, 4)
    inputs, targets = arrays_of(stored)
    assert (stored.features, stored.classes, stored.targets) == (4, 0, 1)
    assert targets.shape == (2000, 1)
    design = np.column_stack([inputs, np.ones(2000)])
    fitted = design @ np.linalg.lstsq(design, targets[:, 0])[0]
    assert np.std(targets[:, 0] - fitted) == pytest.approx(noise, rel=0.1, abs=1e-12)
    assert np.std(fitted) > 0.5
    assert catalog.store_synthetic(SyntheticKind.LINEAR).features == 5


def test_noise_is_a_standard_deviation(catalog: Catalog):
    clean, _ = arrays_of(catalog.store_synthetic(SyntheticKind.MOONS, 5000, 0, 1))
    noisy, _ = arrays_of(catalog.store_synthetic(SyntheticKind.MOONS, 5000, 0.3, 1))
    assert np.std(noisy - clean) == pytest.approx(0.3, rel=0.05)


def test_wrong_synthetic_arguments_are_all_named(catalog: Catalog):
    with pytest.raises(InvalidDatasetError) as caught:
        catalog.store_synthetic(SyntheticKind.LINEAR, 0, -1, 1 << 64, 1001)
    assert fields_of(caught.value) == ["rows", "noise", "seed", "features"]
    for noise in (float("nan"), float("inf")):
        with pytest.raises(InvalidDatasetError):
            catalog.store_synthetic(SyntheticKind.XOR, noise=noise)


def test_synthetic_set_beyond_the_limit(tmp_path: Path):
    catalog = Catalog(tmp_path, max_upload_bytes=1 << 20)
    with pytest.raises(DatasetTooLargeError):
        catalog.store_synthetic(SyntheticKind.LINEAR, 1_000_000, features=1000)


def test_inline_labels(catalog: Catalog):
    stored = catalog.store_inline([[0, 1], [0.5, 2]], labels=[2, 0])
    inputs, labels = arrays_of(stored)
    assert (stored.dataset_id, stored.origin, stored.classes) == ("", None, 3)
    assert inputs.tolist() == [[0, 1], [0.5, 2]]
    assert labels.tolist() == [2, 0]
    assert catalog.store_inline([[0, 1], [0.5, 2]], labels=[2, 0]) == stored


def test_inline_targets(catalog: Catalog):
    stored = catalog.store_inline([[1.0]], targets=[[0.0, 0.5]])
    assert (stored.classes, stored.targets, stored.features) == (0, 2, 1)
    assert arrays_of(stored)[1].tolist() == [[0, 0.5]]


NAN = float("nan")


@pytest.mark.parametrize(
    ("inputs", "labels", "targets", "fields"),
    [
        ([], [0], None, ["inputs"]),
        ([[]], [0], None, ["inputs[0]"]),
        (
            [[1, 2], [1], [1, NAN]],
            [0, -1, 70_000],
            None,
            ["inputs[1]", "inputs[2]", "labels[1]", "labels[2]"],
        ),
        ([[1]], None, None, ["labels"]),
        ([[1]], [0], [[1]], ["labels"]),
        ([[1], [2]], [0], None, ["labels"]),
        ([[1], [2]], None, [[0]], ["targets"]),
        ([[1], [2]], None, [[0], [1, 2]], ["targets[1]"]),
        ([[1], [2]], None, [[float("inf")], [1]], ["targets[0]"]),
        ([[1]], None, [], ["targets"]),
    ],
)
def test_wrong_inline_rows_are_all_named(
    catalog: Catalog, inputs: Any, labels: Any, targets: Any, fields: list[str]
):
    with pytest.raises(InvalidDatasetError) as caught:
        catalog.store_inline(inputs, labels, targets)
    assert fields_of(caught.value) == fields


def test_release_spares_what_is_used_or_new(catalog: Catalog):
    kept = catalog.store_inline([[1.0]], labels=[0])
    gone = catalog.store_synthetic(SyntheticKind.XOR)
    digits = catalog.get("digits")
    assert catalog.release({kept.digest}) == 0
    assert catalog.release({kept.digest}, min_age_seconds=0) == 1
    assert catalog.get_by_digest(kept.digest) == kept
    assert arrays_of(digits)
    with pytest.raises(DatasetNotFoundError):
        catalog.get_by_digest(gone.digest)
    assert arrays_of(catalog.store_synthetic(SyntheticKind.XOR))


def test_leftovers_are_swept_on_open(tmp_path: Path):
    Catalog(tmp_path)
    left = tmp_path / "datasets" / "incoming" / "left"
    left.mkdir()
    (left / "train.inputs.npy").write_bytes(b"half")
    half = tmp_path / "datasets" / "names" / "half.json.new"
    half.write_text("{")
    for forgotten in (left, left / "train.inputs.npy", half):
        os.utime(forgotten, (0, 0))
    # Another process writes these now.
    (left.parent / "new").mkdir()
    half.with_name("other.json.new").write_text("{")
    assert [d.dataset_id for d in Catalog(tmp_path).list()] == ["digits"]
    assert not left.exists()
    assert (left.parent / "new").exists()
    assert [path.name for path in half.parent.iterdir()] == ["other.json.new"]


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    stored = Catalog(Path("data")).get("digits")
    assert stored.splits[0].inputs_path.is_absolute()


def test_one_that_is_alone_keeps_nothing_unfinished(tmp_path: Path) -> None:
    left = tmp_path / "datasets" / "incoming" / "left"
    left.mkdir(parents=True)
    Catalog(tmp_path)
    assert left.exists()
    Catalog(tmp_path, alone=True)
    assert not left.exists()
