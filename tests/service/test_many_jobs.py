"""A server that is started with many jobs in its store."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.service.changes import Gate, pause, state_of

from packtrain.service import coordinator
from packtrain.service.contract import Planner
from packtrain.service.store import Database, Store

pytestmark = pytest.mark.usefixtures("short_segments")

_JOBS = 20


async def test_jobs_are_read_a_few_at_a_time(
    start_api: Any, moons: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(0)
    async with start_api(before_segment=gate) as api:
        names = [(await api.create(moons())).name for _ in range(_JOBS)]
        for name in names:
            await pause(api, name)
        gate.opened.set()
    database = Database(f"sqlite:///{tmp_path}/data/packtrain.db")
    for name in names:
        await Store(database).resume_job(name.removeprefix("jobs/"), None)
    await asyncio.to_thread(database.close)
    # The first ones that are expanded wait: nobody else is read meanwhile.
    listed: list[str] = []
    expanding = threading.Semaphore(0)
    let_go = threading.Event()
    list_packs, expand = Store.list_packs, Planner.expand_stored

    async def list_and_tell(self: Store, uid: str) -> Any:
        listed.append(uid)
        return await list_packs(self, uid)

    def expand_and_tell(self: Planner, *arguments: Any) -> Any:
        expanding.release()
        assert let_go.wait(30)
        return expand(self, *arguments)

    monkeypatch.setattr(Store, "list_packs", list_and_tell)
    monkeypatch.setattr(Planner, "expand_stored", expand_and_tell)
    async with start_api() as api:
        try:
            for _ in range(coordinator._OPENING_JOBS):
                assert await asyncio.to_thread(expanding.acquire, timeout=30)
            assert len(listed) == coordinator._OPENING_JOBS < _JOBS
        finally:
            let_go.set()
        for name in names:
            await api.watch(name)
            assert state_of(await api.get(name)) == "SUCCEEDED"
