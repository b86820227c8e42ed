"""`make reproduce` in small: the two experiments that need no data of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.ray


def test_the_neurons_come_out_as_published(tmp_path: Path) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    options = ("--only", "1", "--only", "2", "--markdown", str(page), "--json", str(figures))
    command = [sys.executable, "-m", "benchmarks.reproduce", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    told = {e["number"]: e["findings"] for e in json.loads(figures.read_text())["experiments"]}
    assert [len(told[1]), len(told[2])] == [5, 2]
    for finding in told[1]:
        assert finding["mean"] == pytest.approx(finding["published"], abs=0.01)
    # Cross-entropy falls fastest at once: between the first epoch and the second.
    assert told[2][0]["mean"] == 2
    assert "| output after 300 epochs from w = b = 2.0 | 0.20 | 1 | 0.20 |" in page.read_text()
