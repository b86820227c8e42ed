"""A long job goes on from its checkpoints, whether the service or its engine is killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.e2e.conftest import engine_of

from packtrain.client import SGD, Client, DatasetSelection, JobSpec, JobState, Network, choice

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

SPEC = JobSpec(
    dataset=DatasetSelection(name="digits", training_rows=1000),
    network=Network(hidden=[100, 100]),
    optimizer=SGD(learning_rate=choice(0.01, 0.1, 0.5, 1.0), momentum=0.5),
    epochs=150,
    seed=11,
)


def test_a_killed_process_costs_few_epochs(
    make_server: Callable[..., object], client: Client
) -> None:
    reference = client.run(SPEC).results()
    server = make_server("data", "--checkpoint-every", "0.2")
    folder = server.data_dir / "artifacts" / "checkpoints"
    read = 0

    def kill_engine() -> None:
        os.kill(engine_of(server.pid), signal.SIGKILL)

    def kill_service() -> None:
        server.kill()
        server.start()

    with Client(server.address) as watcher:
        for kill in (kill_engine, kill_service):
            job = watcher.train(SPEC)
            # A file alone is none yet: what is killed before it is recorded begins anew.
            _wait_for(lambda: _count_recorded(server.data_dir))
            kill()
            assert job.wait().latest.state is JobState.SUCCEEDED
            np.testing.assert_array_equal(job.results().values, reference.values)
            lines = (server.data_dir / "server.log").read_text().splitlines()
            restored = [line for line in lines[read:] if "checkpoint_restored" in line]
            read = len(lines)
            assert restored, kill.__name__
            for line in restored:
                assert int(re.search(r'"epoch": (\d+)', line)[1]) > 0
            _wait_for(lambda: not _files(folder) and not _count_recorded(server.data_dir))


def _count_recorded(data_dir: Path) -> int:
    address = f"file:{data_dir / 'packtrain.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM checkpoints").fetchone()
    return int(count)


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".unfinished"]


def _wait_for(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
