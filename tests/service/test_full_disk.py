"""A disk without room: trials wait for it, and do not fail; whoever wants to store something is told
that nothing is wrong with what was asked for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sqlalchemy.exc import OperationalError

from packtrain.service.errors import StoreFullError
from packtrain.service.store import Database, StoreOpenError
from packtrain.service.store.failures import explain
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


async def test_data_of_a_job_that_do_not_fit_are_no_fault_of_the_job(
    api: Any, moons: Callable[..., spec_pb2.JobSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(
            "packtrain.service.datasets.content.shutil.disk_usage",
            lambda _: shutil._ntuple_diskusage(1, 1, 0),
        )
        with pytest.raises(grpc.aio.AioRpcError, match="free on the server's disk") as caught:
            await api.create(moons())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(caught.value)
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.seconds == 10
    assert (await api.train(moons())).state == job_pb2.JOB_STATE_SUCCEEDED


def no_room_beside_the_database(*_: object) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    raise error


def test_no_room_for_what_connections_share_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite calls it an error of input and output."""
    monkeypatch.setattr("packtrain.service.store.sqlite._configure", no_room_beside_the_database)
    database = Database(f"sqlite:///{tmp_path / 'store.db'}")
    with pytest.raises(StoreOpenError, match=r"^its disk is full$"):
        database.migrate()
    database.close()
    with pytest.raises(sqlite3.OperationalError) as caught:
        no_room_beside_the_database()
    assert isinstance(explain(OperationalError("", None, caught.value)), StoreFullError)
