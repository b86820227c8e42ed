"""The benchmark of the planner's predictions: that it runs, and what it tells."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_prints_predictions_beside_measurements() -> None:
    command = [sys.executable, "benchmarks/planning.py", "--only", "neuron"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^neuron +([\d,]+) +[\d.]+ +[\d.]+ +[\d.]+$", told, re.MULTILINE)
    assert rows == ["1", "100", "1,000", "10,000"]
    assert "off by a factor of" in told
