"""Named points around every commit and hand-over, where a test can kill, delay or fail.

Which are armed is read once, at the start of each process, from the variable ``PACKTRAIN_FAILPOINTS``:
orders such as ``store.record_segment.after_commit=kill@3;call.CreateJob.before_reply=delay:0.5``,
separated by semicolons. Without it a point costs a look at an empty dictionary (about 40 ns).

An order is ``NAME=ACTION``: ``kill`` ends the process as ``kill -9`` would, ``fail`` raises an error
that the place can have, ``delay:SECONDS`` waits. ``@N`` does so at the Nth pass of the process
(default: the first), ``@N+`` at that one and every later one.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog

VARIABLE = "PACKTRAIN_FAILPOINTS"

TRANSACTIONS = (
    "add_checkpoint",
    "add_proposal",
    "cancel_job",
    "claim_jobs",
    "create_job",
    "delete_job",
    "end_slice",
    "fail_pack",
    "finish_job",
    "join_replica",
    "pass_rung",
    "pause_job",
    "record_segment",
    "remove_checkpoints",
    "remember_alone",
    "remove_replica",
    "renew_replica",
    "resume_job",
    "retry_job",
    "split_pack",
    "start_pack",
    "update_job",
)
METHODS = (
    "CancelJob",
    "CreateJob",
    "DeleteDataset",
    "DeleteJob",
    "DownloadModel",
    "GetDataset",
    "GetImportance",
    "GetJob",
    "GetServerInfo",
    "GetTrial",
    "ListDatasets",
    "ListJobs",
    "ListTrials",
    "PauseJob",
    "ReadMetrics",
    "ResumeJob",
    "RetryJob",
    "UpdateJob",
    "UploadDataset",
    "WatchJob",
)
NAMES = frozenset(
    {
        *(f"store.{name}.{when}_commit" for name in TRANSACTIONS for when in ("before", "after")),
        # Of a stream: before each of its messages.
        *(f"call.{name}.before_reply" for name in METHODS),
        # Between the rows of a job that is deleted and its models.
        "job.before_models_removed",
        "dataset.before_rename",
        "dataset.after_rename",
        "file.before_rename",
        "file.after_rename",
        "model.before_write",
        "model.before_rename",
        "model.after_rename",
        "checkpoint.before_rename",
        "checkpoint.after_rename",
        "networks.before_rename",
        "networks.after_rename",
        "service.before_segment_sent",
        "service.after_result_received",
        "engine.before_start",
        "engine.before_ready",
        "engine.after_segment_received",
        "engine.before_result_sent",
        "worker.before_segment",
        "worker.after_segment",
    }
)

_ORDER = re.compile(r"([\w.]+)=(kill|fail|delay:(\d+(?:\.\d+)?))(?:@([1-9]\d*)(\+?))?")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False)
class _Order:
    """What a point does, ``first`` counted from 1."""

    action: str
    seconds: float
    first: int
    repeats: bool
    passes: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def is_due(self) -> bool:
        """Count a pass, in whatever thread; whether it is one of those meant."""
        number = next(self.passes)
        return number == self.first or (self.repeats and number > self.first)


_armed: Mapping[str, _Order] = {}


def arm(text: str) -> None:
    """Arm these points and no others. Raises ValueError with a sentence; for an unknown point, it
    lists all there are."""
    global _armed
    orders = [part.strip() for part in text.split(";") if part.strip()]
    _armed = dict(_parse(order) for order in orders)
    if _armed:
        log.warning("failpoints.armed", orders=orders)


def arm_from_environment() -> None:
    """As :meth:`arm`, by the variable that every process of a server inherits."""
    arm(os.environ.get(VARIABLE, ""))


def is_armed() -> bool:
    """Whether any point is: for what is worth computing for them only."""
    return bool(_armed)


def _parse(order: str) -> tuple[str, _Order]:
    found = _ORDER.fullmatch(order)
    if found is None:
        raise ValueError(
            f"{VARIABLE} must hold orders such as NAME=kill, NAME=fail@3 or NAME=delay:0.5@1+, "
            f"separated by semicolons, not {order!r}"
        )
    name, action, seconds, first, repeats = found.groups()
    if name not in NAMES:
        raise ValueError(f"{VARIABLE} names {name!r}, which is none of {', '.join(sorted(NAMES))}")
    kind = action.partition(":")[0]
    return name, _Order(kind, float(seconds or 0), int(first or 1), bool(repeats))


def disk_full() -> Exception:
    """The error of a place that writes files."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def hit(name: str, error: Callable[[], Exception] = disk_full) -> None:
    """Pass a point. ``error`` makes what ``fail`` raises there. A delay blocks: this is for
    threads, and for places that may block."""
    if not _armed:
        return
    order = _armed.get(name)
    if order is not None and order.is_due():
        _act(name, order, error)
        time.sleep(order.seconds)


async def hit_async(name: str, error: Callable[[], Exception] = disk_full) -> None:
    """As :meth:`hit`, for the event loop, which goes on during a delay."""
    if not _armed:
        return
    order = _armed.get(name)
    if order is not None and order.is_due():
        _act(name, order, error)
        await asyncio.sleep(order.seconds)


def _act(name: str, order: _Order, error: Callable[[], Exception]) -> None:
    log.warning("failpoint.reached", point=name, action=order.action)
    if order.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order.action == "fail":
        raise error()
