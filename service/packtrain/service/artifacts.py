"""The artifact store as training uses it: a file system that hangs holds up nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from packtrain.workers import ArtifactStore

log = structlog.get_logger()

# Training waits no longer for a removal.
WAIT_SECONDS = 10.0


class Artifacts:
    """Removes in a thread of its own: those that calls need are few, and soon all held up. No error
    leaves it. While a removal is late others are not even begun: what is left is swept later."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="artifact-removal")
        self._late: set[asyncio.Future[None]] = set()

    def uri_of(self, name: str) -> str:
        """Where the file of this name is."""
        return self._artifacts.uri_of(name)

    async def remove_files(self, names: Sequence[str]) -> None:
        """Remove the files of these names."""
        if names:
            await self._remove(partial(self._artifacts.remove_files, names))

    async def remove_folder(self, name: str) -> None:
        """Remove a folder with all that is in it."""
        await self._remove(partial(self._artifacts.remove_folder, name))

    async def _remove(self, remove: Callable[[], None]) -> None:
        if self._late:
            return
        removing = asyncio.get_running_loop().run_in_executor(self._thread, remove)
        removing.add_done_callback(self._finish)
        done, _ = await asyncio.wait({removing}, timeout=WAIT_SECONDS)
        if not done:
            self._late.add(removing)
            log.warning("checkpoint_not_removed", why=f"not within {WAIT_SECONDS:.0f} s")

    def _finish(self, removing: asyncio.Future[None]) -> None:
        self._late.discard(removing)
        # Each file system has errors of its own.
        if not removing.cancelled() and (error := removing.exception()) is not None:
            log.warning("checkpoint_not_removed", why=f"{type(error).__name__}: {error}")
