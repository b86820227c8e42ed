"""The machine: one core of it, and its limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Fills the arithmetic units, and fits a level-2 cache by blocks: 2 GFLOP.
MATRIX = 1024
# Far more than a level-3 cache holds.
COPIED_BYTES = 128 * 2**20


def hold_to_one_core() -> int | None:
    """Pin this process, and those that it starts, to one core; which. None: the system can't.

    Threads are set too, for where processes can't be pinned; both bind the processes that are
    started after this call.
    """
    for name in THREADS:
        os.environ[name] = "1"
    if not hasattr(os, "sched_setaffinity"):
        return None
    # The last one: interrupts tend to go to the first.
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def fastest(call: Callable[[], object], repeats: int) -> float:
    """The least seconds that ``call`` took."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def matrix_gflops() -> float:
    """GFLOP/s of a large float32 product in NumPy's BLAS: the most that products can reach."""
    a = np.random.default_rng(0).random((MATRIX, MATRIX), dtype=np.float32)
    out = np.empty_like(a)
    return 2 * MATRIX**3 / fastest(lambda: np.matmul(a, a, out=out), 5) / 1e9


def copy_gigabytes() -> float:
    """GB/s of a copy that no cache holds, read and written bytes both counted."""
    source = np.ones(COPIED_BYTES // 4, np.float32)
    target = np.empty_like(source)
    return 2 * COPIED_BYTES / fastest(lambda: np.copyto(target, source), 3) / 1e9


def available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024
