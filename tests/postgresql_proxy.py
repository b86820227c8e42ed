"""What may happen between a service and its PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

_PIECE = 1 << 16


class Proxy:
    """Passes on what comes. Its connections may be cut, refused, left without an answer, or cut at
    a commit that the server carries out."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self.commits_to_cut = 0

    @property
    def url(self) -> str:
        user = self._parts.netloc.rpartition("@")[0]
        return self._parts._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()

    async def open(self) -> None:
        """Take connections, at first or again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut all connections, and refuse others."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        self.thaw()
        await self._server.wait_closed()

    def freeze(self) -> None:
        """Take whatever comes, and pass on nothing."""
        self._passes.clear()

    def thaw(self) -> None:
        self._passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            host, port = self._parts.hostname, self._parts.port or 5432
            their_reader, their_writer = await asyncio.open_connection(host, port)
            self._writers.add(their_writer)
            try:
                await asyncio.wait(
                    [
                        asyncio.create_task(self._pass_on(reader, their_writer, writer)),
                        asyncio.create_task(self._pass_on(their_reader, writer)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                self._writers.discard(their_writer)
                their_writer.close()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        asker: asyncio.StreamWriter | None = None,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(_PIECE):
                await self._passes.wait()
                if asker is not None and self.commits_to_cut and b"COMMIT" in piece:
                    self.commits_to_cut -= 1
                    asker.transport.abort()
                writer.write(piece)
                await writer.drain()


@contextlib.asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server of this URL."""
    proxy = Proxy(url)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
