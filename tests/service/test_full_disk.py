"""A disk without room for models: trials wait for it, and do not fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from packtrain.v1 import job_pb2, spec_pb2
from packtrain.workers import failpoints


async def test_a_job_goes_on_when_there_is_room_for_its_model(
    api: Any, moons: Callable[..., spec_pb2.JobSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.pack_training._DISK_RETRY_SECONDS", 0.01)
    failpoints.arm("model.before_rename=fail@1")
    try:
        job = await api.train(moons())
    finally:
        failpoints.arm("")
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert job.progress.succeeded == 4
