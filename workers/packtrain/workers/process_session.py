"""The processes of a session: whatever a child and its children started, if it stayed there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

PROC = Path("/proc")


def list_session(session_id: int) -> list[int]:
    """Ids of the processes of a session, without zombies; empty where there is no ``/proc``."""
    return [process for process, _, session in _list_processes() if session == session_id]


def kill_child_sessions() -> None:
    """Kill all that the children of this process started in sessions of their own. Blocks
    shortly."""
    own = os.getpid()
    for child in [process for process, parent, _ in _list_processes() if parent == own]:
        _kill(list_session(child))


def _list_processes() -> Iterator[tuple[int, int, int]]:
    """(process, parent, session), without zombies."""
    if not PROC.is_dir():
        return
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name, in parentheses, may hold blanks; after it: state, parent, group, session.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield int(entry.name), int(fields[1]), int(fields[3])


def _kill(processes: Sequence[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


async def end_session(session_id: int, patience_seconds: float) -> None:
    """Wait for a session's processes to end, then kill those that are left."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience_seconds
    while left := await asyncio.to_thread(list_session, session_id):
        if loop.time() >= give_up_at:
            _kill(left)
            return
        await asyncio.sleep(0.05)
