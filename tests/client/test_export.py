"""Trials as columns, in frames and in files."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.client.conftest import FakeServer, Packtrain, block, get_job

from packtrain.client import AsyncClient, Client, MissingExtra, Trial, TrialColumns, TrialState
from packtrain.v1 import job_pb2, training_service_pb2

RATE = "optimizer.sgd.learning_rate"
MOMENTUM = "optimizer.sgd.momentum"
VALUES: tuple[dict[str, Any], ...] = (
    {RATE: 0.1, "network.hidden": [30, 30], "cost": {"crossEntropy": {}}, "epochs": 3, "seed": 7},
    {RATE: 2, "network.hidden": [5], "cost": 'a, "b"', "epochs": 4, MOMENTUM: 0.5},
)


def trial(index: int, **metrics: float) -> Trial:
    return Trial(
        name=f"jobs/j/trials/{index}",
        index=index,
        state=TrialState.SUCCEEDED,
        parameters=VALUES[index % 2],
        epochs=3,
        final_metrics=metrics,
        failure=None,
    )


def message(index: int, **metrics: float) -> job_pb2.Trial:
    made = job_pb2.Trial(
        name=f"jobs/j/trials/{index}",
        index=index,
        state=job_pb2.TRIAL_STATE_SUCCEEDED,
        epochs=3,
        final_metrics=metrics,
    )
    made.parameters[RATE].number_value = (index + 1) / 10
    if index % 2:
        made.parameters["cost"].struct_value["crossEntropy"] = {}
    else:
        made.parameters["cost"].string_value = "quadratic"
    return made


@pytest.fixture
def sweep(fake: FakeServer) -> None:
    """Three trials of two metrics, recorded in two blocks."""
    first, second = block(1, 2, trials=(0, 2), metrics=("a", "b")), block(1, 3, trials=(1,))
    second.metrics[:] = ["b"]
    values = np.frombuffer(second.values, "<f4").copy()
    values[1] = np.nan
    second.values = values.tobytes()
    fake.script("GetJob", get_job("SUCCEEDED", metrics=["a", "b"]))
    fake.script(
        "ListTrials",
        training_service_pb2.ListTrialsResponse(
            trials=[message(0, a=0.1, b=1), message(1, b=float("inf")), message(2, a=float("nan"))]
        ),
    )
    fake.answers["ReadMetrics"] = lambda request, context: iter(
        training_service_pb2.ReadMetricsResponse(block=b) for b in (first, second)
    )


def test_columns_are_of_one_type_each() -> None:
    columns = TrialColumns([trial(0, a=1.0), trial(1, a=np.nan, b=2.0)])
    found = columns.parameters
    assert found[RATE].kind == "float"
    assert found[RATE].values == [0.1, 2.0]
    assert found["epochs"].kind == "int"
    assert (found["seed"].kind, found["seed"].values) == ("int", [7, None])
    assert found["network.hidden"].values == ["[30,30]", "[5]"]
    assert found["cost"].values == ['{"crossEntropy":{}}', '"a, \\"b\\""']
    assert found[MOMENTUM].values == [None, 0.5]
    np.testing.assert_array_equal(found[MOMENTUM].numbers(), [np.nan, 0.5])
    with pytest.raises(ValueError, match="no numbers"):
        found["cost"].numbers()
    np.testing.assert_array_equal(columns.metric("b"), np.array([np.nan, 2], np.float32))
    assert np.isnan(columns.metric("c")).all()


def test_columns_are_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    frame = TrialColumns([trial(0, a=1.0), trial(1, b=2.0)]).to_frame()
    assert list(frame.index) == [0, 1]
    assert frame.loc[0, f"parameters.{RATE}"] == 0.1
    assert frame.a.dtype == pandas.Series([1], dtype="float32").dtype
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"packtrain\[pandas\]"):
        TrialColumns().to_frame()


def test_trials_as_csv(sweep: None, packtrain: Packtrain, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    (told,) = packtrain.lines("export", "j", str(path), "--json")
    assert told == {"path": str(path), "size_bytes": path.stat().st_size, "history": False}
    assert list(csv.reader(path.read_text().splitlines())) == [
        ["trial", "state", "epochs", "parameters.cost", f"parameters.{RATE}", "a", "b"],
        ["0", "succeeded", "3", '"quadratic"', "0.1", "0.1", "1.0"],
        ["1", "succeeded", "3", '{"crossEntropy":{}}', "0.2", "", "inf"],
        ["2", "succeeded", "3", '"quadratic"', "0.3", "", ""],
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_a_history_as_csv(sweep: None, client: Client, tmp_path: Path) -> None:
    path = client.job("j").export(tmp_path / "out.csv", history=True)
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[0] == ["trial", "epoch", "parameters.cost", f"parameters.{RATE}", "a", "b"]
    assert rows[1] == ["0", "1", '"quadratic"', "0.1", "1.0", "1.1"]
    assert rows[4] == ["2", "2", '"quadratic"', "0.3", "2002.0", "2002.1"]
    # Nothing was measured of its second epoch.
    assert [(r[0], r[1], r[4], r[5]) for r in rows[5:]] == [
        ("1", "1", "", "1001.0"),
        ("1", "3", "", "1003.0"),
    ]


@pytest.mark.parametrize("history", [False, True])
async def test_parquet_has_types_and_nulls(
    sweep: None, fake: FakeServer, tmp_path: Path, history: bool
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    async with AsyncClient(fake.target) as client:
        job = await client.job("j")
        path = await job.export(tmp_path / "out.parquet", history=history)
    table = parquet.read_table(path)
    types = {field.name: str(field.type) for field in table.schema}
    own = {"epoch": "int32"} if history else {"state": "string", "epochs": "int32"}
    assert types == {"trial": "int32"} | own | {
        "parameters.cost": "string",
        f"parameters.{RATE}": "double",
        "a": "float",
        "b": "float",
    }
    found = table.to_pydict()
    if history:
        assert found["trial"] == [0, 0, 2, 2, 1, 1]
        assert found["epoch"] == [1, 2, 1, 2, 1, 3]
        assert found["a"] == [1, 2, 2001, 2002, None, None]
        assert found[f"parameters.{RATE}"] == [0.1, 0.1, 0.3, 0.3, 0.2, 0.2]
    else:
        assert found["trial"] == [0, 1, 2]
        assert found["b"] == [1, float("inf"), None]
        assert found["a"] == [np.float32(0.1), None, None]


def test_a_file_that_can_not_be_written_is_refused_before_anything_is_read(
    fake: FakeServer, packtrain: Packtrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "must end in .parquet or .csv" in " ".join(
        packtrain("export", "j", str(tmp_path / "out.xlsx"), code=2).stderr.split()
    )
    assert "no folder" in packtrain("export", "j", str(tmp_path / "no/o.csv"), code=2).stderr
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    told = packtrain("export", "j", str(tmp_path / "out.parquet"), code=1).stderr
    assert "pip install 'packtrain[export]'" in told
    assert not fake.requests["GetJob"]


def test_an_export_that_is_cut_off_leaves_no_file(
    sweep: None, fake: FakeServer, packtrain: Packtrain, tmp_path: Path
) -> None:
    def break_off(request: Any, context: Any) -> Any:
        yield training_service_pb2.ReadMetricsResponse(block=block(1, 1, metrics=("a",)))
        raise OSError("the disk is on fire")

    fake.answers["ReadMetrics"] = break_off
    packtrain("export", "j", str(tmp_path / "out.csv"), "--history", code=1)
    assert list(tmp_path.iterdir()) == []
