"""A TCP proxy that cuts connections."""

from __future__ import annotations

import contextlib
import random
import socket
import threading

_CHUNK_BYTES = 4096


class CuttingProxy:
    """Passes bytes on to ``target``, and cuts each connection after a random number of them."""

    def __init__(self, target: str, rng: random.Random, most_bytes: int) -> None:
        self.cuts = 0
        self._target = (target.rpartition(":")[0], int(target.rpartition(":")[2]))
        self._rng = rng
        self._most_bytes = most_bytes
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._is_open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no further connections; those there are run to their cut."""
        self._is_open = False
        self._listening.close()

    def _accept(self) -> None:
        while self._is_open:
            try:
                ours, _ = self._listening.accept()
            except OSError:
                return
            try:
                theirs = socket.create_connection(self._target, 5)
            except OSError:  # the server is being started
                ours.close()
                continue
            left = self._rng.randrange(self._most_bytes)
            for pair in ((ours, theirs, 10**12), (theirs, ours, left)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, left: int) -> None:
        with contextlib.suppress(OSError):
            while left > 0 and (chunk := source.recv(min(left, _CHUNK_BYTES))):
                sink.sendall(chunk)
                left -= len(chunk)
            if left <= 0:
                self.cuts += 1
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
