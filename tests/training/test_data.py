"""From stored rows to the arrays that a pack trains on."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from packtrain.training import (
    DataError,
    RowRange,
    Scaling,
    Selection,
    Split,
    TargetKind,
    find_unfit_numbers,
    prepare_data,
    select_rows,
)

ROWS = {"train": 10, "test": 4}


def labelled(rows: int, features: int = 3, seed: int = 0) -> Split:
    draw = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    return Split(draw.normal(size=(rows, features)), labels)


def test_all_of_train_is_the_default():
    training, validation = select_rows(Selection(), ROWS)
    assert training[0] == "train"
    assert training[1].tolist() == list(range(10))
    assert training[1].dtype == np.int64
    assert validation is None


def test_ranges():
    selection = Selection(training=RowRange(first=2, count=3), validation=RowRange("test", first=1))
    training, validation = select_rows(selection, ROWS)
    assert training[1].tolist() == [2, 3, 4]
    assert validation is not None
    assert validation[0] == "test"
    assert validation[1].tolist() == [1, 2, 3]


def test_validation_range_leaves_the_rest_of_the_split():
    training, validation = select_rows(Selection(validation=RowRange(first=3, count=2)), ROWS)
    assert training[1].tolist() == [0, 1, 2, 5, 6, 7, 8, 9]
    assert validation is not None
    assert validation[1].tolist() == [3, 4]


def test_validation_on_another_split_leaves_all():
    training, _ = select_rows(Selection(validation=RowRange("test")), ROWS)
    assert len(training[1]) == 10


@pytest.mark.parametrize(
    ("rows", "share", "drawn"), [(10, 0.2, 2), (10, 0.26, 3), (10, 0.01, 1), (2, 0.99, 1)]
)
def test_share_is_rounded_and_leaves_a_row(rows: int, share: float, drawn: int):
    training, validation = select_rows(Selection(validation=share, seed=5), {"train": rows})
    assert validation is not None
    assert len(validation[1]) == drawn
    assert sorted([*training[1], *validation[1]]) == list(range(rows))
    assert (np.diff(training[1]) > 0).all()


def test_share_is_drawn_from_the_training_range_by_the_seed():
    def drawn(seed: int) -> list[int]:
        selection = Selection(training=RowRange(first=50), validation=0.25, seed=seed)
        training, validation = select_rows(selection, {"train": 100})
        assert validation is not None
        assert training[1].min() >= 50
        return validation[1].tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1) != list(range(50, 50 + len(drawn(1))))
    assert len(drawn(2**64 - 1)) == len(drawn(0)) == 12


@pytest.mark.parametrize(
    ("selection", "field"),
    [
        (Selection(training=RowRange("dev")), "training.split"),
        (Selection(training=RowRange(first=-1)), "training.first"),
        (Selection(training=RowRange(first=10)), "training.first"),
        (Selection(training=RowRange(count=0)), "training.count"),
        (Selection(training=RowRange(first=8, count=3)), "training.count"),
        (Selection(validation=RowRange("dev")), "validation_rows.split"),
        (Selection(validation=RowRange(first=99)), "validation_rows.first"),
        (Selection(validation=RowRange(count=11)), "validation_rows.count"),
        (Selection(validation=RowRange()), "validation_rows.count"),
        (
            Selection(training=RowRange(count=5), validation=RowRange(first=4)),
            "validation_rows",
        ),
        (Selection(validation=0.0), "validation_share"),
        (Selection(validation=1.0), "validation_share"),
        (Selection(validation=float("nan")), "validation_share"),
        (Selection(training=RowRange(count=1), validation=0.5), "validation_share"),
        (Selection(validation="a fifth"), "validation_share"),
        (Selection(training=RowRange(first=1.0)), "training.first"),
        (Selection(training=RowRange(count=2.5)), "training.count"),
        (Selection(validation=0.5, seed=-1), "seed"),
        (Selection(validation=0.5, seed=2**64), "seed"),
        (Selection(validation=0.5, seed=1.5), "seed"),
    ],
)
def test_wrong_selection_names_the_field(selection: Selection, field: str):
    with pytest.raises(DataError) as caught:
        select_rows(selection, ROWS)
    assert caught.value.field == field
    assert str(caught.value)


@pytest.mark.parametrize("data_type", ["float32", "float64"])
def test_labels_become_one_hot_rows(data_type: str):
    split = labelled(6)
    selection = Selection(validation=RowRange(first=4), one_hot_outputs=4)
    data = prepare_data({"train": split}, selection, data_type)
    assert data.target_kind is TargetKind.CLASSES
    assert data.y.tolist() == np.eye(4)[[0, 1, 2, 0]].tolist()
    assert data.y_validation is not None
    assert data.y_validation.tolist() == np.eye(4)[[1, 2]].tolist()
    assert np.array_equal(data.x, split.inputs[:4].astype(data_type))
    for array in (data.x, data.y, data.x_validation, data.y_validation):
        assert array is not None
        assert array.dtype == data_type
        assert array.flags.c_contiguous


def test_labels_as_they_are_are_one_column():
    data = prepare_data({"train": labelled(4)}, Selection(), "float64")
    assert data.y.tolist() == [[0], [1], [2], [0]]
    assert data.target_kind is TargetKind.NUMBERS
    assert data.x_validation is None


def test_real_targets_are_no_classes():
    targets = np.arange(8.0).reshape(4, 2)
    data = prepare_data({"train": Split(np.ones((4, 1)), targets)}, Selection(), "float64")
    assert data.target_kind is TargetKind.NUMBERS
    assert np.array_equal(data.y, targets)
    assert not np.shares_memory(data.y, targets)


def test_bytes_stay_as_they_are():
    inputs = np.array([[0, 255], [7, 16]], dtype=np.uint8)
    data = prepare_data({"train": Split(inputs, np.array([0, 1]))}, Selection(), "float32")
    assert data.x.tolist() == [[0, 255], [7, 16]]


def test_standardized_by_the_training_rows_alone():
    draw = np.random.default_rng(3)
    inputs = (draw.normal(size=(5000, 2)) * [3, 1e-3] + [1000, 2]).astype(np.float32)
    inputs[4000:] += 50
    selection = Selection(validation=RowRange(first=4000), scaling=Scaling.STANDARDIZE)
    data = prepare_data({"train": Split(inputs, np.zeros(5000, int))}, selection, "float64")
    learnt = inputs[:4000].astype(np.float64)
    expected = (inputs - learnt.mean(axis=0)) / learnt.std(axis=0)
    np.testing.assert_allclose(data.x, expected[:4000], rtol=1e-9, atol=1e-9)
    assert data.x_validation is not None
    np.testing.assert_allclose(data.x_validation, expected[4000:], rtol=1e-9, atol=1e-9)


def test_min_max_by_the_training_rows_alone():
    inputs = np.array([[0, 1], [10, 3], [5, 2], [20, 0]], dtype=np.uint8)
    selection = Selection(validation=RowRange(first=3), scaling=Scaling.MIN_MAX)
    data = prepare_data({"train": Split(inputs, np.zeros(4, int))}, selection, "float32")
    assert data.x.tolist() == [[0, 0], [1, 1], [0.5, 0.5]]
    assert data.x_validation is not None
    assert data.x_validation.tolist() == [[2, -0.5]]


@pytest.mark.parametrize("scaling", [Scaling.STANDARDIZE, Scaling.MIN_MAX])
def test_constant_input_becomes_zero(scaling: Scaling):
    # 0.1 summed 7 times over is not 0.7: its rounded variance is not 0.
    inputs = np.column_stack([np.full(7, 0.1), np.arange(7.0)])
    selection = Selection(training=RowRange(count=6), validation=RowRange(first=6), scaling=scaling)
    inputs[6, 0] = 5
    data = prepare_data({"train": Split(inputs, np.zeros(7, int))}, selection, "float64")
    assert data.x[:, 0].tolist() == [0] * 6
    assert data.x_validation is not None
    assert data.x_validation[0, 0] == 0


def test_memory_map_gives_the_same_in_any_order_of_rows(tmp_path: Path):
    split = labelled(300, features=5)
    np.save(tmp_path / "x.npy", split.inputs)
    mapped = Split(np.load(tmp_path / "x.npy", mmap_mode="r"), split.targets)
    selection = Selection(validation=0.3, seed=9, scaling=Scaling.STANDARDIZE, one_hot_outputs=3)
    from_disk = prepare_data({"train": mapped}, selection, "float32")
    in_memory = prepare_data({"train": split}, selection, "float32")
    assert np.array_equal(from_disk.x, in_memory.x)
    assert np.array_equal(from_disk.y, in_memory.y)
    assert type(from_disk.x) is np.ndarray


X, LABELS = np.ones((4, 2)), np.array([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("splits", "selection", "field"),
    [
        ({"train": Split(X, LABELS)}, Selection(one_hot_outputs=2), "targets"),
        ({"train": Split(X, LABELS - 1)}, Selection(one_hot_outputs=3), "targets"),
        ({"train": Split(X, X)}, Selection(one_hot_outputs=3), "one_hot_outputs"),
        ({"train": Split(X, LABELS[:3])}, Selection(), "targets"),
        ({"train": Split(X[0], LABELS)}, Selection(), "inputs"),
        ({"train": Split(X * 1e300, LABELS)}, Selection(), "inputs"),
        ({"train": Split(X * np.nan, LABELS)}, Selection(), "inputs"),
        ({"train": Split(X, X * 1e300)}, Selection(), "targets"),
        (
            {"train": Split(X, LABELS), "test": Split(np.ones((4, 3)), LABELS)},
            Selection(validation=RowRange("test")),
            "inputs",
        ),
    ],
)
def test_wrong_data_names_the_field(splits: dict[str, Split], selection: Selection, field: str):
    with pytest.raises(DataError) as caught:
        prepare_data(splits, selection, "float32")
    assert caught.value.field == field


SPREAD = np.array([[0.0, 1e200], [0.0, -1e200], [0.0, 1.0], [1e300, 2.0]])


@pytest.mark.parametrize(
    ("scaling", "training", "data_type", "wrong"),
    [
        (Scaling.NONE, RowRange(), "float64", []),
        (Scaling.NONE, RowRange(first=2, count=1), "float32", []),
        (
            Scaling.NONE,
            RowRange(first=2),
            "float32",
            [("inputs", 3, "1e+300 (row 3, column 0, counted from 0)")],
        ),
        (Scaling.STANDARDIZE, RowRange(first=2), "float32", [("scaling", None, "input 0 ")]),
        (Scaling.STANDARDIZE, RowRange(count=3), "float64", [("scaling", None, "input 1 ")]),
        (Scaling.MIN_MAX, RowRange(count=3), "float32", []),
    ],
)
def test_numbers_that_do_not_fit_are_told_without_being_held(
    scaling: Scaling,
    training: RowRange,
    data_type: str,
    wrong: list[tuple[str, int | None, str]],
):
    splits = {"train": Split(SPREAD, LABELS)}
    selection = Selection(training=training, scaling=scaling)
    found = find_unfit_numbers(splits, selection, data_type)
    assert [(error.field, error.row) for error in found] == [(w[0], w[1]) for w in wrong]
    for error, (_, _, words) in zip(found, wrong, strict=True):
        assert words in str(error)
    if wrong:
        with pytest.raises(DataError) as caught:
            prepare_data(splits, selection, data_type)
        assert str(caught.value) == str(found[0])
    else:
        assert np.isfinite(prepare_data(splits, selection, data_type).x).all()


def test_unfit_inputs_and_targets_are_both_told():
    splits = {"train": Split(SPREAD, SPREAD)}
    found = find_unfit_numbers(splits, Selection(validation=RowRange(first=2)), "float32")
    assert [(error.field, error.row) for error in found] == [("inputs", 0), ("targets", 0)]
    assert "which is beyond the numbers of float32" in str(found[0])


def test_a_row_that_scaling_puts_out_of_range_is_told():
    inputs = np.array([[0.0], [1e-30], [1e20]])
    selection = Selection(validation=RowRange(first=2), scaling=Scaling.MIN_MAX)
    (error,) = find_unfit_numbers({"train": Split(inputs, LABELS[:3])}, selection, "float32")
    assert str(error) == (
        "inputs: inputs of split 'train' hold 1e+20 (row 2, column 0, counted from 0), which is beyond "
        "the numbers of float32, once scaled"
    )
    again = pickle.loads(pickle.dumps(error))
    assert (again.field, again.message, str(again)) == (error.field, error.message, str(error))
    assert pickle.loads(pickle.dumps(error)).row == 2


def test_figures_that_overflow_are_no_zeros():
    # 1e308 / infinity would be 0: training on nothing, without a word.
    inputs = np.array([[1.7e308], [-1.7e308], [0.0]])
    for scaling in (Scaling.STANDARDIZE, Scaling.MIN_MAX):
        data = {"train": Split(inputs, LABELS[:3])}
        with pytest.raises(DataError, match="input 0 over the training rows can't be told"):
            prepare_data(data, Selection(scaling=scaling), "float64")


@pytest.mark.parametrize("data_type", ["float16", "double", np.float32])
def test_another_data_type_is_refused(data_type: object):
    with pytest.raises(DataError, match="expected 'float32' or 'float64', got ") as caught:
        prepare_data({"train": labelled(4)}, Selection(), data_type)
    assert caught.value.field == "data_type"


@pytest.mark.parametrize("scaling", ["none", "min_max", "STANDARDIZE", 7, None])
def test_a_scaling_is_none_of_text(scaling):
    splits = {"train": Split(np.zeros((4, 2)), np.zeros(4))}
    with pytest.raises(DataError, match=r"expected one of Scaling\.NONE") as caught:
        prepare_data(splits, Selection(scaling=scaling), "float32")
    assert caught.value.field == "scaling"


def test_lists_are_arrays():
    lists = {"train": Split([[0.5, 1], [2, 3], [4, 5]], [0, 1, 1])}
    data = prepare_data(lists, Selection(one_hot_outputs=2), "float32")
    np.testing.assert_array_equal(data.x, np.array([[0.5, 1], [2, 3], [4, 5]], np.float32))
    np.testing.assert_array_equal(data.y, np.array([[1, 0], [0, 1], [0, 1]], np.float32))
    assert data.target_kind is TargetKind.CLASSES


PLAIN = Split(X, LABELS)


@pytest.mark.parametrize(
    ("splits", "selection", "said"),
    [
        (PLAIN, Selection(), "splits: expected Splits by name, got Split("),
        (None, Selection(), "splits: expected Splits by name, got None"),
        ({"train": (X, LABELS)}, Selection(), "splits: expected a Split as 'train', got (array("),
        ({"train": PLAIN}, None, "selection: expected a Selection, got None"),
        (
            {"train": PLAIN},
            Selection(one_hot_outputs="3"),
            "one_hot_outputs: expected a whole number from 1, or None, got '3'",
        ),
        (
            {"train": PLAIN},
            Selection(one_hot_outputs=0),
            "one_hot_outputs: expected a whole number from 1, or None, got 0",
        ),
        (
            {"train": PLAIN},
            Selection(training=3),
            "training: expected a RowRange, or None, got 3",
        ),
        (
            {"train": PLAIN},
            Selection(training=RowRange(["train"])),
            "training.split: expected the name of a split, got ['train']",
        ),
        (
            {"train": PLAIN},
            Selection(validation=RowRange(first=None)),
            "validation_rows.first: expected a whole number, got None",
        ),
        (
            {"train": PLAIN},
            Selection(validation="a fifth"),
            "validation_share: expected a number above 0 and below 1, or a RowRange, got 'a fifth'",
        ),
        ({"train": PLAIN}, Selection(seed="x"), "seed: expected a whole number of 0 to 2^64 - 1"),
        ({"train": Split(None, LABELS)}, Selection(), "inputs: inputs of split 'train' must be"),
        ({"train": Split(X, "labels")}, Selection(), "targets: targets of split 'train' must be"),
        ({"train": Split(X[:0], LABELS[:0])}, Selection(), "training.split: split 'train' has no"),
    ],
)
def test_what_is_of_no_such_kind_is_refused_in_one_sentence(splits, selection, said):
    with pytest.raises(DataError) as caught:
        prepare_data(splits, selection, "float32")
    assert str(caught.value).startswith(said)
    assert [str(found) for found in find_unfit_numbers(splits, selection, "float32")] == [
        str(caught.value)
    ]


@pytest.mark.parametrize("name", ["inputs", "targets"])
def test_lists_of_different_lengths_are_no_arrays(name: str):
    with pytest.raises(DataError) as caught:
        Split(**{"inputs": X, "targets": LABELS, name: [[1, 2], [3]]})
    assert str(caught.value) == f"{name}: expected an array of numbers, got [[1, 2], [3]]"


@pytest.mark.parametrize("rows", [None, {"train": "10"}, [10]])
def test_rows_are_counted_by_split(rows):
    with pytest.raises(DataError, match="rows: expected numbers of rows by split, got "):
        select_rows(Selection(), rows)
