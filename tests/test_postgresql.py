"""The tests' own PostgreSQL does not outlive them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from tests.postgresql import find_programs

STARTS = """
import time
from tests.postgresql import OwnPostgres, find_programs

server = OwnPostgres(find_programs())
print(server.url, server._folder, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(find_programs() is None, reason="PostgreSQL's programs are not here")
def test_it_ends_with_a_process_that_is_killed() -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", STARTS]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, folder = process.stdout.readline().split()
        psycopg.connect(url).close()
        process.send_signal(signal.SIGKILL)
    give_up_at = time.monotonic() + 30
    while Path(folder).exists():
        assert time.monotonic() < give_up_at, f"{folder} is still there"
        time.sleep(0.05)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
