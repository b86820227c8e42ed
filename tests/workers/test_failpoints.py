"""Failpoints: orders, passes, and a catalogue that names every point there is."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest

from packtrain.workers import failpoints

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def sources() -> str:
    """The code of the service and the workers, without the catalogue itself."""
    paths = [*(ROOT / "service").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]
    return "\n".join(p.read_text() for p in paths if p.name != "failpoints.py")


def test_the_catalogue_is_complete() -> None:
    code = sources()
    literal = set(re.findall(r"failpoints\.hit(?:_async)?\(\s*\"([\w.]+)\"", code))
    folder = ROOT / "service/packtrain/service/store"
    files = ("store.py", "owned_job.py", "replicas.py")
    store = "\n".join((folder / name).read_text() for name in files)
    written = re.findall(r"(?:\.write|_change|_write)\(\s*partial\(\s*(?:\w+\.)?(\w+)", store)
    transactions = {f"store.{n}.{when}_commit" for n in written for when in ("before", "after")}
    protos = "\n".join(p.read_text() for p in (ROOT / "proto").rglob("*.proto"))
    calls = {f"call.{n}.before_reply" for n in re.findall(r"rpc (\w+)\(", protos)}
    assert literal | transactions | calls == failpoints.NAMES
    # A transaction that is no partial of its function would have no name.
    assert len(re.findall(r"_database\.write\(", store)) == len(
        re.findall(r"_database\.write\(\s*(?:partial\(|transaction\b|fenced\b)", store)
    )


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ("store.nothing.before_commit=kill", "none of call.CancelJob.before_reply, call.Create"),
        ("model.before_rename=explode", "must hold orders such as"),
        ("model.before_rename=fail@0", "must hold orders such as"),
        ("model.before_rename", "must hold orders such as"),
    ],
)
def test_a_wrong_order_is_refused_with_a_sentence(orders: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        failpoints.arm(orders)


def test_an_order_is_for_one_pass() -> None:
    failpoints.arm("model.before_rename=fail@2; model.before_write=fail@2+")
    failpoints.hit("model.before_rename")
    with pytest.raises(OSError, match="No space left"):
        failpoints.hit("model.before_rename")
    failpoints.hit("model.before_rename")
    failpoints.hit("model.after_rename")
    failpoints.hit("model.before_write")
    for _ in range(2):
        with pytest.raises(KeyError):
            failpoints.hit("model.before_write", KeyError)


async def test_a_delay_leaves_the_event_loop_to_others() -> None:
    failpoints.arm("engine.before_ready=delay:0.05")
    delayed = asyncio.create_task(failpoints.hit_async("engine.before_ready"))
    await asyncio.sleep(0)
    assert not delayed.done()
    await delayed


def test_a_process_is_killed_by_its_environment() -> None:
    program = (
        "from packtrain.workers import failpoints as f; f.arm_from_environment(); "
        "f.hit('model.before_write'); print('alive', flush=True); f.hit('model.before_write')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={failpoints.VARIABLE: "model.before_write=kill@2"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -9
    assert "alive" in done.stdout


def test_a_server_does_not_start_with_an_unknown_point(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "packtrain.service", "--data-dir", str(tmp_path)],
        env={failpoints.VARIABLE: "store.nothing=kill"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "which is none of call.CancelJob.before_reply" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_point_that_is_not_armed_costs_nothing() -> None:
    passes = 100_000
    took = min(timeit.repeat(lambda: failpoints.hit("model.before_write"), number=passes, repeat=3))
    assert took / passes < 1e-6
