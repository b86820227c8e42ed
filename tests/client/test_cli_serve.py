"""Commands that hand on to the server or the demonstration, and what all commands cost."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import (
    Packtrain,
)

from packtrain.client import demo


def test_serve_hands_all_arguments_on(
    packtrain: Packtrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda path, args: called.append((path, args)))
    packtrain("serve", "--listen", ":0", "-h", "-x")
    (path, args) = called[0]
    assert path == sys.executable
    assert args[1:] == ["-m", "packtrain.service", "--listen", ":0", "--help", "-x"]


def test_serve_without_its_extra_says_what_brings_it(
    packtrain: Packtrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = packtrain("serve", code=1).stderr
    assert "pip install 'packtrain[server]'" in told


def test_demo_is_handed_its_options(
    packtrain: Packtrain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[Any] = []
    monkeypatch.setattr(demo, "run_demo", lambda *args: called.append(args) or 7)
    packtrain("demo", "-o", str(tmp_path), "--json", code=7)
    assert called == [(tmp_path, True)]


def test_the_command_line_is_light() -> None:
    """Help comes up without what only some commands, or only the server, need."""
    code = (
        "import sys, packtrain.client.cli; "
        "heavy = {'ray', 'scipy', 'sqlalchemy', 'matplotlib', 'pandas', 'pyarrow', 'optuna', 'packtrain.service', "
        "'packtrain.training', 'packtrain.workers'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
