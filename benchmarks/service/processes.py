"""What processes have used, as the system tells (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
MEBIBYTE = 2**20


def cpu_seconds(process_id: int) -> float:
    """Processor time of a process and all its threads, not of its children."""
    # The name, in brackets, may hold anything; utime and stime are the 14th and 15th field.
    told = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / _TICKS


def peak_bytes(process_id: int | str = "self") -> int:
    """The most memory that it has held since its start."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(found.split()[1]) * 1024


def forget_peak(process_id: int) -> None:
    """Count the peak from now on."""
    Path(f"/proc/{process_id}/clear_refs").write_text("5")


def child_ids(process_id: int) -> Iterator[int]:
    """Its children that run now."""
    for task in Path(f"/proc/{process_id}/task").iterdir():
        yield from (int(word) for word in (task / "children").read_text().split())
