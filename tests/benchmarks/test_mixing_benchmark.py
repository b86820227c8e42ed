"""The benchmark of what differing trials cost: that it runs, and what it tells."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_prints_what_differing_costs() -> None:
    options = ["--rows", "20", "--rounds", "1", "--only", "costs"]
    command = [sys.executable, "-m", "benchmarks.mixing", *options]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.fullmatch(r"One core of .+\n  two costs +[\d.]+\n", told)
