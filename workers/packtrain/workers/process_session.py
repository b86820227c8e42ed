"""The processes of a session: whatever a child and its children started, if it stayed there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

PROC = Path("/proc")


def list_session(session_id: int) -> list[int]:
    """Ids of the processes of a session, without zombies; empty where there is no ``/proc``."""
    if not PROC.is_dir():
        return []
    return [
        int(entry.name)
        for entry in PROC.iterdir()
        if entry.name.isdigit() and _session_of(entry) == session_id
    ]


def _session_of(entry: Path) -> int | None:
    try:
        # The name, in parentheses, may hold blanks; after it: state, parent, group, session.
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[3])


async def end_session(session_id: int, patience_seconds: float) -> None:
    """Wait for a session's processes to end, then kill those that are left."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience_seconds
    while left := await asyncio.to_thread(list_session, session_id):
        if loop.time() >= give_up_at:
            for process_id in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process_id, signal.SIGKILL)
            return
        await asyncio.sleep(0.05)
