"""The benchmark of the service: what it tells of what was measured."""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the benchmark, which is no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT))

    def import_module(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.service.{name}")

    return import_module


def test_the_table_tells_what_was_measured_asked_and_holds(load: Any) -> None:
    table = load("table")
    lines = [
        table.Line("a", "a job", "2 s"),
        table.Line("a", "a job", "0.9 times", "1.85 times", False),
        table.Line("b", "another", "20 ms", "300 ms", True),
        table.absent("c", "a third", "it takes --datasets DIR"),
    ]
    rows = [[cell.strip() for cell in row.split("|")] for row in table.as_text(lines).split("\n")]
    assert rows[0] == ["job", "measured", "asked", "holds"]
    assert rows[2:] == [
        ["a job", "2 s", "", ""],
        ["", "0.9 times", "1.85 times", "NO"],
        ["another", "20 ms", "300 ms", "yes"],
        ["a third", "not measured: it takes --datasets DIR", "", ""],
    ]


def test_the_json_has_every_figure(load: Any) -> None:
    table = load("table")
    line = table.Line("a", "a job", "2 s", "3 s", True, {"seconds": [2.0]})
    told = json.loads(json.dumps(table.as_json([line])))["lines"]
    expected = {"row": "a", "job": "a job", "measured": "2 s", "asked": "3 s", "holds": True}
    assert told == [expected | {"figures": {"seconds": [2.0]}}]


def test_ratios_are_those_of_turns(load: Any) -> None:
    # The second turn was disturbed as a whole: its ratios count, its seconds do not.
    (overhead,) = load("throughput")._beside_library(
        "networks", "job", np.array([[2.0, 1.9], [4.0, 3.8], [2.0, 1.9]])
    )
    assert overhead.figures["ratio"] == pytest.approx(2 / 1.9)
    assert overhead.holds
    (slow,) = load("throughput")._beside_library("r", "j", np.array([[2.3, 2.0]]))
    assert not slow.holds


def test_a_second_worker_is_held_against_one_and_against_the_library(load: Any) -> None:
    both = {"service_seconds": [2.0, 2.0, 9.0], "library_seconds": [1.9, 1.9, 1.9]}
    throughput = load("throughput")
    gain = throughput._beside_one_worker("r", "j", both, np.array([[3.8, 3.42], [3.8, 3.42]]))
    assert gain.figures["ratio"] == pytest.approx(1.9)
    assert gain.figures["library_ratio"] == pytest.approx(1.8)
    assert gain.holds
    slow = throughput._beside_one_worker("r", "j", both, np.array([[3.6, 3.42]]))
    assert not slow.holds


def test_stopping_early_must_be_quicker_and_as_good(load: Any) -> None:
    found = np.array([[[20.0, 0.950], [2.0, 0.949]], [[20.0, 0.950], [5.0, 0.940]]])
    quicker, as_good = load("early_stopping")._lines("row", "job", found)
    assert quicker.holds
    assert quicker.figures["ratio"] == pytest.approx(7)
    assert "0.9500/0.9490, 0.9500/0.9400" in as_good.measured
    assert not as_good.holds


def test_the_tail_of_delays_counts(load: Any) -> None:
    line = load("delivery")._line
    seconds = [0.01] * 95 + [0.2] * 5
    assert not line("row", "job", "what", seconds).holds
    assert line("row", "job", "what", [0.01] * 1_000 + [0.2]).holds


def test_the_plot_is_drawn(load: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    scaling = load("scaling")
    assert scaling._sizes(10_000, is_quick=True) == [10, 100, 1_000, 10_000]
    lines = [scaling._line("neurons", {10: 0.04, 100: 0.05, 1_000: 0.3})]
    scaling.plot(lines, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_a_commit_that_is_compared_with_is_durable(load: Any, tmp_path: Path) -> None:
    database = load("latency")._Database(tmp_path / "commits.db")
    database.commit()
    with sqlite3.connect(tmp_path / "commits.db") as other:
        assert other.execute("SELECT count(*) FROM rows").fetchone() == (1,)
    synchronous = database._connection.execute("PRAGMA synchronous").fetchone()
    assert synchronous == (2,)  # FULL
    database.close()


def test_ray_tune_that_is_not_there_is_told(
    load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError('hidden', name='ray')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bench = load("bench")
    with pytest.raises(bench.PeerAbsentError, match="not installed"):
        bench.run_ray_tune("neuron", 1, 1)


def test_it_names_its_rows() -> None:
    command = [sys.executable, "-m", "benchmarks.service", "--only", "nothing"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 2
    for row in ("neurons", "networks", "footprint", "delivery", "early-stopping", "scaling"):
        assert row in done.stderr
