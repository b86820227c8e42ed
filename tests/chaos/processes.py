"""Processes of the system: children, sessions, what they hold (Linux)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from packtrain.workers.process_session import list_session


def child_ids(process_id: int) -> list[int]:
    """Its children that run now."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process_id}/task").iterdir():
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


def descendant_ids(process_id: int) -> list[int]:
    """Its children, and theirs."""
    children = child_ids(process_id)
    return children + [each for child in children for each in descendant_ids(child)]


def kill_session(session: int) -> None:
    """Kill what a session's leader left behind."""
    for process in list_session(session):
        send(process, signal.SIGKILL)


def send(process_id: int, number: int) -> bool:
    """Send a signal; whether there was such a process."""
    try:
        os.kill(process_id, number)
    except ProcessLookupError:
        return False
    return True


def title_of(process_id: int) -> str:
    """Its command line, which Ray's workers set to what they are."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode(errors="replace").strip()
    return ""


def memory_bytes(process_id: int) -> int:
    """What it holds now (resident)."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(found.split()[1]) * 1024


def count_handles(process_id: int) -> int:
    """Its open files, sockets and pipes."""
    return len(list(Path(f"/proc/{process_id}/fd").iterdir()))


def wait_until(
    is_so: Callable[[], bool], timeout_seconds: float, every_seconds: float = 0.02
) -> float:
    """The seconds that it took; infinity where it did not come in time."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > timeout_seconds:
            return float("inf")
        time.sleep(every_seconds)
    return time.monotonic() - began
