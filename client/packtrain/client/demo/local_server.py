"""A server of one's own, for as long as the demo takes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from packtrain.client.errors import PacktrainError

_START_SECONDS = 120.0
_STOP_SECONDS = 30.0


class ServerStartError(PacktrainError):
    """The server did not start; its own words say why."""


@contextlib.contextmanager
def local_server(data_dir: Path, datasets: Sequence[Path] = ()) -> Iterator[str]:
    """Start `packtrain serve` on a free port; its address. It is stopped at the end.

    ``datasets`` are directories of datasets that it offers by name.

    Raises ServerStartError.
    """
    log_path = data_dir / "server.log"
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "packtrain.service"]
    command += ["--listen", "127.0.0.1:0", "--data-dir", str(data_dir)]
    for directory in datasets:
        command += ["--datasets", str(directory)]
    with log_path.open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield _read_address(process, log_path)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read_address(process: subprocess.Popen[str], log_path: Path) -> str:
    assert process.stdout is not None
    # A server that hangs is stopped; that ends the read.
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    words = line.split()
    if "on" not in words:
        process.wait()
        last_words = log_path.read_text().strip().splitlines()[-1:] or ["it gave no reason"]
        raise ServerStartError(f"the server did not start: {last_words[0]}")
    return words[words.index("on") + 1]
