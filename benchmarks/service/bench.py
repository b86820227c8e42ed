"""What every row is measured with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.service.server import Server

from packtrain.client import Client

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bench:
    """A warm server of two workers, a client of it, and where to tell how far things are.

    ``datasets`` holds MNIST, or is None; ``scratch`` is a folder on the disk of the data.
    """

    server: Server
    client: Client
    datasets: Path | None
    scratch: Path
    is_quick: bool
    report: Callable[[str], None]

    def rounds(self, few: int, many: int) -> int:
        """How often to measure."""
        return few if self.is_quick else many


class PeerAbsentError(Exception):
    """A peer can't take part; the message says why."""


def start_script(module: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a module of this benchmark that reads standard input and prints JSON."""
    command = [sys.executable, "-m", f"benchmarks.service.{module}", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def run_script(module: str, *arguments: object) -> Any:
    """What it printed last. Raises SystemExit where it failed."""
    process = start_script(module, *arguments)
    told, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{module} failed: see above")
    return json.loads(told.splitlines()[-1])


def run_ray_tune(kind: str, trials: int, epochs: int, files: Sequence[Path] = ()) -> float:
    """Ray Tune's trials a second. Raises PeerAbsentError."""
    needs = ("ray.tune", "torch") if kind == "network" else ("ray.tune",)
    check = "; ".join(f"import {name}" for name in needs)
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    if found.returncode:
        raise PeerAbsentError(f"{' or '.join(needs)} is not installed (packtrain[bench])")
    told = run_script("peers.ray_tune", kind, trials, epochs, *files)
    return float(told["trials"] / told["seconds"])
