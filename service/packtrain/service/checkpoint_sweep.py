"""Removes checkpoints that nothing goes on from: what a crash left between two steps."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping

import structlog

from packtrain.service.datasets.folder_lock import ABANDONED_SECONDS
from packtrain.service.errors import StoreUnavailableError
from packtrain.service.store import Store
from packtrain.workers import ArtifactStore

log = structlog.get_logger()

_SWEEP_SECONDS = 3600.0
# Folders and files of any other name are not ours.
_UID = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"\d+-\d+-[0-9a-f]{12}(\.[0-9a-f]{8}\.unfinished)?")


async def sweep_checkpoints_hourly(store: Store, artifacts: ArtifactStore) -> None:
    """Sweep now and every hour, until cancelled. What fails is logged, and tried again."""
    while True:
        try:
            # In this order: a job whose folder is there was created before, so that one that is
            # not among the active ones has ended.
            found = await asyncio.to_thread(artifacts.list_folder)
            in_use = await store.checkpoints_in_use()
            await asyncio.to_thread(sweep_checkpoints, artifacts, found, in_use)
        except StoreUnavailableError as error:
            log.warning("sweep_failed", error=error.message)
        except Exception as error:  # each file system has errors of its own
            log.warning("sweep_failed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(_SWEEP_SECONDS)


def sweep_checkpoints(
    artifacts: ArtifactStore,
    found: Iterable[str],
    in_use: Mapping[str, Collection[str]],
    least_age_seconds: float = ABANDONED_SECONDS,
) -> None:
    """Remove, in the folders ``found``, the files that are not ``in_use``, names by the uid of each
    job that has not ended. Those of a job that trains have to be old enough not to be on their
    way: another server of the same store may be about to record them. Blocks."""
    for uid in filter(_UID.fullmatch, found):
        names = {f"{uid}/{file}" for file in artifacts.list_folder(uid)}
        orphans = {n for n in names if _FILE.fullmatch(n.rpartition("/")[2])}
        orphans.difference_update(in_use.get(uid, ()))
        if uid in in_use:
            orphans = {n for n in orphans if artifacts.age_seconds(n) >= least_age_seconds}
        artifacts.remove_files(orphans)
        if orphans == names and uid not in in_use:
            artifacts.remove_folder(uid)
