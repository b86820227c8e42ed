"""Starts a Ray cluster for this process alone, or joins one."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import ray

from packtrain.workers.cluster_address import describe_cluster
from packtrain.workers.engine import EngineStartError
from packtrain.workers.machines import Memory
from packtrain.workers.messages import EngineOptions

GIGABYTE = 10**9


def connect(options: EngineOptions) -> None:
    """Make this process a Ray driver. Blocks for some seconds.

    :func:`packtrain.workers.ray_environment.set_environment` comes first, before Ray is imported.
    Raises :class:`EngineStartError`.
    """
    if options.ray_address is None:
        _start_local(options.workers, options.scratch)
    else:
        _join(options.ray_address)


def _start_local(workers: int | None, scratch: Path) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=workers,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=_object_store_bytes(),
            _node_ip_address="127.0.0.1",
            # A folder inside, because Ray opens its own to everybody.
            _temp_dir=str(scratch / "ray"),
        )
    except Exception as error:
        raise EngineStartError(
            f"Ray can't be started on this machine: {_first_line(error)}; check that there are "
            "2 GB of free memory, a writable temporary directory and no limit on processes"
        ) from error


def _join(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise EngineStartError(
            f"{describe_cluster(address)} can't be joined: {_first_line(error)}; run "
            "`ray start --address=HEAD:PORT` on this machine first, with the same versions of "
            "Ray and Python, and the same RAY_AUTH_TOKEN if the cluster has one"
        ) from error


def _object_store_bytes() -> int:
    """2 GB at most, a quarter of the memory, and what fits into /dev/shm, which holds it.

    Where that is tiny, as Docker's default of 64 MB, Ray puts the store into its folder on disk.
    """
    memory = Memory.of_this_machine().total_bytes
    wanted = max(GIGABYTE // 4, min(2 * GIGABYTE, memory // 4))
    shared = Path("/dev/shm")  # noqa: S108 - asked for its size only
    if not shared.is_dir():
        return wanted
    status = os.statvfs(shared)
    free = status.f_bavail * status.f_frsize * 9 // 10
    return wanted if free < GIGABYTE // 4 else min(wanted, free)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
