"""A clock that steps while processes run by it; what counts seconds is left alone.

libfaketime (0.9.10) can't do this here: with it Python's time.sleep and Ray's start fail.
"""

from __future__ import annotations

import contextlib
import mmap
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.harness import NotRun

_SOURCE = Path(__file__).with_name("stepping_clock.c")
_OFFSET = struct.Struct("q")


class SteppingClock:
    """Processes that are started with ``environment``, and theirs, see its time."""

    def __init__(self, folder: Path) -> None:
        path = folder / "offset"
        path.write_bytes(_OFFSET.pack(0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _OFFSET.size)
        self.environment = {
            "LD_PRELOAD": str(folder / "stepping_clock.so"),
            "CHAOS_CLOCK": str(path),
        }

    def step_to(self, seconds: int) -> None:
        """From now on it is so much ahead of the machine's."""
        self._shared[:] = _OFFSET.pack(seconds)


@contextlib.contextmanager
def stepping_clock() -> Iterator[SteppingClock]:
    """Raises NotRun where this machine has no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotRun("it needs a C compiler (Debian: gcc), for the clock that it steps")
    with tempfile.TemporaryDirectory(prefix="packtrain-clock-") as name:
        folder = Path(name)
        # PostgreSQL runs as another user.
        folder.chmod(0o755)
        library = folder / "stepping_clock.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-Wall", "-o", library, _SOURCE]
        subprocess.run(command, check=True)
        yield SteppingClock(folder)
