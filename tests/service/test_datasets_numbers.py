"""Numbers of stored data that a job's data type can't hold, refused when the job is created."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.service.specifications import read

from packtrain.service.contract import Planner
from packtrain.service.datasets import (
    ArrayHeader,
    Catalog,
    ElementType,
    SplitHeader,
    UploadHeader,
)
from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.settings import Limits
from packtrain.v1 import job_pb2

INPUTS = np.arange(12.0).reshape(6, 2)
TARGETS = np.linspace(0, 1, 6).reshape(6, 1)


def with_number(array: NDArray[Any], number: float, row: int = 3) -> NDArray[Any]:
    changed = array.copy()
    changed[row, -1] = number
    return changed


@pytest.fixture
def catalog(tmp_path: Path, offered: Path) -> Catalog:
    return Catalog(tmp_path / "data", [offered])


def violations(catalog: Catalog, dataset: dict[str, Any], **fields: Any) -> list[Violation]:
    document = {"dataset": dataset, "batchSize": 2, **fields}
    try:
        Planner(catalog, lambda: 1, Limits()).plan(read(document), "job", "uid")
    except InvalidSpecError as error:
        return list(error.violations)
    return []


def test_a_file_beyond_float32_is_refused_with_its_place(catalog: Catalog, offered: Path) -> None:
    np.savez(offered / "wide.npz", x=with_number(INPUTS, -1e39), y=with_number(TARGETS, 1e300, 4))
    named = {"name": "datasets/wide"}
    first, second = violations(catalog, named)
    assert first == Violation(
        "spec.dataset.name",
        "inputs of split 'train' hold -1e+39 (row 3, column 1, counted from 0), which is beyond "
        "the numbers of float32: ask for the data_type FLOAT64",
    )
    assert second.field == "spec.dataset.name"
    assert (
        "targets of split 'train' hold 1e+300 (row 4, column 0, counted from 0)"
        in second.description
    )
    # The rows that hold them are what counts, and so is the data type.
    assert violations(catalog, named, dataType="DATA_TYPE_FLOAT64") == []
    assert violations(catalog, named | {"training": {"count": 3}}) == []
    # Every other wrong field is named too.
    fields = [v.field for v in violations(catalog, named, epochs=0, batchSize=9)]
    assert sorted(set(fields)) == ["spec.batch_size", "spec.dataset.name", "spec.epochs"]


def test_a_table_beyond_float32_is_refused(catalog: Catalog, offered: Path) -> None:
    (offered / "table.csv").write_text("1,2,0.5\n1e39,4,1.5\n5,6,2.5\n")
    (wrong,) = violations(catalog, {"name": "datasets/table"})
    assert wrong.field == "spec.dataset.name"
    assert "1e+39 (row 1, column 0, counted from 0)" in wrong.description


@pytest.mark.parametrize("number", ["nan", "inf", "-1e400"])
def test_a_table_that_is_not_finite_is_refused(
    catalog: Catalog, offered: Path, number: str
) -> None:
    (offered / "table.csv").write_text(f"1,2,0.5\n{number},4,1.5\n5,6,2.5\n")
    for fields in ({}, {"dataType": "DATA_TYPE_FLOAT64"}):
        (wrong,) = violations(catalog, {"name": "datasets/table"}, **fields)
        assert wrong.field == "spec.dataset.name"
        assert "line 2: holds a number that is not finite" in wrong.description


def test_an_upload_beyond_float32_serves_float64_alone(catalog: Catalog) -> None:
    split = SplitHeader(
        "train",
        ArrayHeader(ElementType.FLOAT64, INPUTS.shape),
        ArrayHeader(ElementType.FLOAT64, TARGETS.shape),
    )
    with catalog.begin_upload(UploadHeader("mine", (split,))) as upload:
        upload.write(with_number(INPUTS, 1e39).tobytes() + TARGETS.tobytes())
        upload.commit()
    named = {"name": "datasets/mine"}
    assert [v.field for v in violations(catalog, named)] == ["spec.dataset.name"]
    assert violations(catalog, named, dataType="DATA_TYPE_FLOAT64") == []
    # Scaled, they fit.
    assert violations(catalog, named | {"scaling": "SCALING_STANDARDIZE"}) == []


def test_a_scaling_whose_figures_overflow_is_refused(catalog: Catalog, offered: Path) -> None:
    np.savez(offered / "wide.npz", x=with_number(INPUTS, 1e200), y=TARGETS)
    dataset = {"name": "datasets/wide", "scaling": "SCALING_STANDARDIZE"}
    (wrong,) = violations(catalog, dataset, dataType="DATA_TYPE_FLOAT64")
    assert wrong.field == "spec.dataset.scaling"
    assert "standard deviation of input 1" in wrong.description


def test_inline_rows_fit_once_scaled(catalog: Catalog) -> None:
    rows = [{"values": row.tolist()} for row in with_number(INPUTS, 1e39)]
    dataset = {"inline": {"inputs": rows, "targets": [{"values": [t]} for t in TARGETS[:, 0]]}}
    (wrong,) = violations(catalog, dataset)
    assert wrong.field == "spec.dataset.inline.inputs[3]"
    assert violations(catalog, dataset | {"scaling": "SCALING_MIN_MAX"}) == []


def test_rows_are_read_only_where_a_number_may_not_fit(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trap(*_: object) -> None:
        raise AssertionError("the rows of ordinary data are read once, by the workers")

    monkeypatch.setattr("packtrain.service.contract.selections.find_unfit_numbers", trap)
    standardized = {"name": "datasets/digits", "scaling": "SCALING_STANDARDIZE"}
    assert violations(catalog, standardized) == []


def test_content_that_an_older_server_wrote_is_read(catalog: Catalog, offered: Path) -> None:
    np.savez(offered / "wide.npz", x=with_number(INPUTS, 1e39), y=TARGETS)
    manifest = catalog.get("wide").splits[0].inputs_path.parent / "content.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"largest":1e+39,', ""))
    assert manifest.read_text() != text
    assert [v.field for v in violations(catalog, {"name": "datasets/wide"})] == [
        "spec.dataset.name"
    ]


async def test_a_row_that_only_its_scaling_throws_beyond_float32_is_told_by_the_job(
    api: Any,
) -> None:
    rows = [{"values": [0.0, number]} for number in (0.0, 1e-30, 1e20)]
    dataset = {
        "inline": {"inputs": rows, "labels": [0, 1, 0]},
        "validationRows": {"first": 2},
        "scaling": "SCALING_MIN_MAX",
    }
    job = await api.train(read({"dataset": dataset}))
    assert job.state == job_pb2.JOB_STATE_FAILED
    assert job.failure.message.endswith(
        "inputs of split 'train' hold 1e+20 (row 2, column 1, counted from 0), which is beyond "
        "the numbers of float32, once scaled"
    )
