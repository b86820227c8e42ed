"""`make reproduce` in small: the two experiments that need no data of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.ray


def reproduce(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.reproduce", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_the_neurons_come_out_as_published_and_mnist_is_asked_for(tmp_path: Path) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    done = reproduce("--only", 1, "--only", 2, "--markdown", page, "--json", figures)
    assert done.returncode == 0, done.stderr
    told = {e["number"]: e["findings"] for e in json.loads(figures.read_text())["experiments"]}
    assert [len(told[1]), len(told[2])] == [5, 2]
    for finding in told[1]:
        assert finding["mean"] == pytest.approx(finding["published"], abs=0.01)
    # Cross-entropy falls fastest at once: between the first epoch and the second.
    assert told[2][0]["mean"] == 2
    assert "| output after 300 epochs from w = b = 2.0 | 0.20 | 1 | 0.20 |" in page.read_text()


def test_without_mnist_it_says_how_to_get_it_and_keeps_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("as it was")
    (tmp_path / "empty").mkdir()
    done = reproduce("--only", 3, "--datasets", tmp_path / "empty", "--markdown", page)
    assert done.returncode == 1
    assert "experiment 3 needs MNIST" in done.stderr
    assert "packtrain datasets download mnist" in done.stderr
    assert page.read_text() == "as it was"
