"""An artifact store that hangs, or fails, as files are to be removed."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from packtrain.service import artifacts
from packtrain.service.artifacts import Artifacts
from packtrain.workers import ArtifactStore


class Hanging(ArtifactStore):
    def __init__(self) -> None:
        self.answers = threading.Event()
        self.removed: list[str] = []

    def remove_files(self, names: Sequence[str]) -> None:
        if "unlucky" in names:
            raise RuntimeError("no such bucket")
        self.answers.wait()
        self.removed += names


async def test_a_removal_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "WAIT_SECONDS", 0.05)
    store = Hanging()
    removing = Artifacts(store)
    with capture_logs() as logs:
        await removing.remove_files(["late"])
        await removing.remove_files(["left for the sweep"])
    assert [log["why"] for log in logs] == ["not within 0 s"]
    (late,) = removing._late
    store.answers.set()
    await late
    await removing.remove_files(["soon"])
    assert store.removed == ["late", "soon"]


async def test_an_error_of_any_kind_is_logged() -> None:
    store = Hanging()
    store.answers.set()
    removing = Artifacts(store)
    with capture_logs() as logs:
        await removing.remove_files(["unlucky"])
        await removing.remove_files(["lucky"])
    assert [log["why"] for log in logs] == ["RuntimeError: no such bucket"]
    assert store.removed == ["lucky"]
