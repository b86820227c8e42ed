"""The script that runs the service on a node of a Ray cluster, with stand-ins for both programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "serve-on-ray"


# The first process of a container buries nobody's children but its own.
FIRST_PROCESS = f"exec {sys.executable} -c 'import signal; signal.pause()'"
# Ray's node ends soon, and is an orphan then.
SHORT_LIVED = 'echo "$@"; raylet 0.1 > /dev/null &'
IN_A_CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@contextlib.contextmanager
def running(tmp_path: Path, *command: str | Path, ray: str, packtrain: str) -> Iterator[IO[str]]:
    """What it prints, with stand-ins for the two programs."""
    for name, text in (("ray", ray), ("packtrain", packtrain)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    started = subprocess.Popen(
        command,
        env={"PATH": path, "RAY_HEAD_ADDRESS": "head:6379"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert started.stdout is not None
    try:
        yield started.stdout
    finally:
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        started.stdout.close()


@pytest.mark.timeout(30)
def test_the_service_does_not_wait_for_the_cluster(tmp_path: Path) -> None:
    command = (SCRIPT, "--data-dir", "/data")
    with running(tmp_path, *command, ray="exit 1", packtrain='echo "$@"') as printed:
        assert printed.readline() == "serve --ray-address head:6379 --data-dir /data\n"


@pytest.mark.timeout(30)
def test_what_joins_the_cluster_ends_with_the_service(tmp_path: Path) -> None:
    with running(tmp_path, SCRIPT, ray="exit 1", packtrain="echo served") as printed:
        # To its end: nobody is left who could print.
        assert printed.read() == "served\n"


@pytest.mark.timeout(30)
def test_a_node_that_has_ended_is_joined_again(tmp_path: Path) -> None:
    if subprocess.run([*IN_A_CONTAINER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("processes of its own, as a container has them, take root")
    shutil.copy(shutil.which("sleep") or "", tmp_path / "raylet")
    command = (*IN_A_CONTAINER, SCRIPT)
    with running(tmp_path, *command, ray=SHORT_LIVED, packtrain=FIRST_PROCESS) as printed:
        for _ in range(3):
            assert printed.readline().startswith("start --address=head:6379 --num-cpus=0")
