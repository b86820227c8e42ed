"""Threads for transactions, with a bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from packtrain.service.errors import StoreUnavailableError

T = TypeVar("T")

# Waiting longer than this, a caller had better come again: a store that answers is far quicker.
WAIT_SECONDS = 10.0
# A caller that waits holds what it wants to write, a few MiB at most.
_MOST_WAITING = 5_000


class BoundedThreads:
    """Runs functions off the event loop, each as soon as a thread is free."""

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = asyncio.Semaphore(threads)
        self._waiting = 0

    async def run(
        self, function: Callable[[], T], then: Callable[[T | None], None] | None = None
    ) -> T:
        """What the function returns. Cancelled while it runs, it runs to its end all the same, and
        ``then`` is called with what it returned, or with None where it raised.

        Raises StoreUnavailableError where no thread is free for WAIT_SECONDS, or too many wait
        already.
        """
        await self._wait_free()
        running = asyncio.get_running_loop().run_in_executor(self._executor, function)
        running.add_done_callback(partial(self._finish, then))
        return await asyncio.shield(running)

    def run_blocking(self, function: Callable[[], T]) -> T:
        """As :meth:`run`, for one of the few threads that may wait."""
        running: Future[T] = self._executor.submit(function)
        return running.result()

    def close(self) -> None:
        """Wait for what is under way."""
        self._executor.shutdown()

    async def _wait_free(self) -> None:
        if self._waiting >= _MOST_WAITING:
            raise _busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1

    def _finish(self, then: Callable[[T | None], None] | None, running: asyncio.Future[T]) -> None:
        self._free.release()
        # What it raised is told to whoever still waits for it; nobody may.
        has_failed = running.cancelled() or running.exception() is not None
        if then is not None:
            then(None if has_failed else running.result())


def _busy() -> StoreUnavailableError:
    return StoreUnavailableError(
        "STORE_BUSY", "the store does not keep up with what is asked of it", retry_seconds=2.0
    )
