"""Removes checkpoints that nothing goes on from: what a crash left between two steps."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import structlog

from packtrain.service.datasets.folder_lock import ABANDONED_SECONDS
from packtrain.service.errors import StoreUnavailableError
from packtrain.service.store import Store
from packtrain.workers import ArtifactStore

log = structlog.get_logger()

_SWEEP_SECONDS = 3600.0


async def sweep_checkpoints_hourly(store: Store, artifacts: ArtifactStore) -> None:
    """Sweep now and every hour, until cancelled. What fails is logged, and tried again."""
    while True:
        try:
            in_use = await store.checkpoints_in_use()
            await asyncio.to_thread(sweep_checkpoints, artifacts, in_use)
        except StoreUnavailableError as error:
            log.warning("sweep_failed", error=error.message)
        except Exception as error:  # each file system has errors of its own
            log.warning("sweep_failed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(_SWEEP_SECONDS)


def sweep_checkpoints(
    artifacts: ArtifactStore,
    in_use: Mapping[str, Collection[str]],
    least_age_seconds: float = ABANDONED_SECONDS,
) -> None:
    """Remove the files that are not ``in_use``, names by the uid of each job that has not ended,
    and are old enough not to be on their way: another server of the same store may be about to
    record them. Blocks."""
    for uid in artifacts.list_folder():
        names = {f"{uid}/{file}" for file in artifacts.list_folder(uid)}
        orphans = names.difference(in_use.get(uid, ()))
        removed = {n for n in orphans if artifacts.age_seconds(n) >= least_age_seconds}
        artifacts.remove_files(removed)
        if removed == names and uid not in in_use:
            artifacts.remove_folder(uid)
