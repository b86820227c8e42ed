"""The disk of the data directory fills up (a small tmpfs, which takes root)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tests.chaos.follower import Follower
from tests.chaos.harness import Chaos, NotRun
from tests.chaos.jobs import KINDS, compare
from tests.chaos.processes import wait_until

from packtrain.client import ApiError, Client, RetrySettings

FAULT = "disk full"
MUST_HOLD = (
    "RESOURCE_EXHAUSTED for what writes, reads go on, nothing corrupt, goes on when there is room"
)
_SIZE = "48m"
_QUICK = RetrySettings(budget_seconds=0)


def run(chaos: Chaos) -> dict[str, Any]:
    """Fill the disk as a job trains, look, make room."""
    if os.geteuid() != 0:
        raise NotRun("it mounts a small tmpfs, which takes root")
    chaos.reference("grid")
    disk = chaos.folder / "disk"
    chaos.owns(_small_disk(disk))
    server = chaos.server(data_dir=disk / "data")
    server.start()
    server.wait_serving()
    refused: dict[str, str] = {}
    with Client(server.address, retry=_QUICK) as client:
        job = client.train(KINDS["grid"], "filled")
        follower = Follower(server.address, job.id)
        wait_until(lambda: follower.log.last_metrics_at > 0, 60)
        ballast = disk / "ballast"
        _fill(ballast)
        chaos.say("the disk is full")
        rng = np.random.default_rng(0)
        x = rng.random((100_000, 10), dtype=np.float32)
        writes = {
            "CreateJob": lambda: [client.create_job(KINDS["grid"]) for _ in range(200)],
            "UploadDataset": lambda: client.upload_dataset("big", x, rng.integers(0, 2, 100_000)),
        }
        for name, write in writes.items():
            try:
                write()
                refused[name] = "was taken"
            except ApiError as error:
                refused[name] = error.code
                chaos.say(f"{name}: {error.code} {error.reason}: {error.message}")
            chaos.check(refused[name] == "RESOURCE_EXHAUSTED", f"{name} {refused[name]}")
        client.get_job(job.name)
        list(client.list_jobs())
        client.read_metrics(job.name)
        ballast.unlink()
        for each in client.list_jobs():
            if each.name != job.name:
                Client(server.address).cancel_job(each.name)
        went_on = wait_until(lambda: not follower.is_alive(), 120)
        chaos.check(went_on < 120, "the job did not go on")
        for fault in follower.log.find_faults(job.id, job.latest.progress.trials):
            chaos.check(False, fault)
        for difference in compare(job, chaos.reference("grid")):
            chaos.check(False, difference)
    _check_store(chaos, disk / "data" / "packtrain.db")
    server.clean_up()
    return {**refused, "from room to the job's end, s": round(went_on, 1)}


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb") as file:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    os.write(file.fileno(), b"\0" * size)


def _check_store(chaos: Chaos, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        (told,) = database.execute("pragma integrity_check").fetchone()
    chaos.check(told == "ok", f"the store is corrupt: {told}")
