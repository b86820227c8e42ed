"""Messages between the service and its engine process, over a socket pair that both inherit.

Messages are pickled: both ends are the same program, and nobody else can reach the channel. It
must never become a socket that others can connect to.

A frame is a header of sizes, a pickle, and the arrays' bytes beside it. Arrays are neither copied
into the pickle nor sent in one piece, so a large message never holds an event loop up.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import struct
from typing import Any

CHUNK_BYTES = 256 * 1024
"""What is handed to the socket at a time: well under a millisecond of copying."""

CLOSE_SECONDS = 1.0

_COUNT = struct.Struct("<I")
_SIZE = struct.Struct("<Q")


class Channel:
    """One end. Messages are sent in the order in which they were posted."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._outbox: asyncio.Queue[list[memoryview] | None] = asyncio.Queue()
        self._sending = asyncio.create_task(self._send_all())

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """The channel over one end of a socket pair."""
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end, limit=4 * CHUNK_BYTES))

    def post(self, message: object) -> None:
        """Send soon. A message to an end that is gone is lost, and :meth:`receive` says so."""
        if not self._sending.done():
            self._outbox.put_nowait(_encode(message))

    async def receive(self) -> Any:
        """The next message. Raises :class:`EOFError` when the other end is closed or dead."""
        try:
            (count,) = _COUNT.unpack(await self._reader.readexactly(_COUNT.size))
            sizes = [
                _SIZE.unpack(await self._reader.readexactly(_SIZE.size))[0] for _ in range(count)
            ]
            parts = [await self._read(size) for size in sizes]
        except OSError as error:
            raise EOFError(str(error)) from error
        return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - our own process

    async def close(self) -> None:
        """Send what was posted, then close this end; after a second at the latest, since a stopped
        process takes nothing."""
        self._outbox.put_nowait(None)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._sending
        except TimeoutError:
            self._writer.transport.abort()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        at = 0
        while at < size:
            piece = await self._reader.read(min(CHUNK_BYTES, size - at))
            if not piece:
                raise EOFError("the channel was closed within a message")
            content[at : at + len(piece)] = piece
            at += len(piece)
        return content

    async def _send_all(self) -> None:
        while (parts := await self._outbox.get()) is not None:
            try:
                for part in parts:
                    for at in range(0, len(part), CHUNK_BYTES):
                        self._writer.write(part[at : at + CHUNK_BYTES])
                        await self._writer.drain()
            except OSError:
                return


def _encode(message: object) -> list[memoryview]:
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(content), *(buffer.raw() for buffer in buffers)]
    header = _COUNT.pack(len(parts)) + b"".join(_SIZE.pack(part.nbytes) for part in parts)
    return [memoryview(header), *parts]
