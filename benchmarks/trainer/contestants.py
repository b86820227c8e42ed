"""Those that are measured, each kind in a process of its own that waits while others run."""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

from benchmarks.trainer.machine import copy_gigabytes, matrix_gflops
from benchmarks.trainer.shapes import SHAPES, make_data

# Ours first. The libraries of one must not set up threads or arithmetic for another.
MODULES = (
    "packed",
    "bare",
    "jax_scan",
    "jax_written_out",
    "torch_eager",
    "torch_ensemble",
    "scikit_learn",
    "plain_numpy",
)
NEEDS = {
    "jax_scan": "jax",
    "jax_written_out": "jax",
    "torch_eager": "torch",
    "torch_ensemble": "torch",
    "scikit_learn": "sklearn",
}
# Long enough for a clock and short enough for many turns.
TURN_SECONDS = 0.4
MOST_EPOCHS = 2_000


class AbsentError(Exception):
    """A contestant can't take part; the message says why."""


class Contestant:
    """A process that trains what it is told to, when it is told to."""

    def __init__(self, module: str) -> None:
        self.module = module
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, module), daemon=True)
        self._process.start()
        theirs.close()

    def describe(self, shape: str) -> tuple[str, tuple[int, ...]]:
        """Its name, and the numbers of networks at a time that suit it. Raises AbsentError."""
        name, sizes = self._ask("describe", shape)
        return name, tuple(sizes)

    def prepare(self, shape: str, pack: int) -> None:
        """Make ready, compile and warm up. Raises AbsentError."""
        self._ask("prepare", shape, pack)

    def measure(self, shape: str, pack: int) -> float:
        """Seconds of an epoch of one network, of what was prepared. Raises AbsentError."""
        return float(self._ask("measure", shape, pack))

    def release(self) -> None:
        """Let go of all that was prepared."""
        self._ask("release")

    def measure_limits(self) -> tuple[float, float]:
        """What the core can do now: GFLOP/s of a matrix product, GB/s of a copy."""
        gflops, gigabytes = self._ask("measure_limits")
        return gflops, gigabytes

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _ask(self, *question: Any) -> Any:
        try:
            self._connection.send(question)
            answer, failure = self._connection.recv()
        except (EOFError, OSError):
            raise AbsentError("its process died") from None
        if failure:
            raise AbsentError(failure)
        return answer


def serve(connection: Any, module: str) -> None:
    """Answer questions, one at a time, until the other end closes."""
    held = Held(module)
    while True:
        try:
            name, *arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            connection.send((getattr(held, name)(*arguments), None))
        except ImportError as error:
            missing = (error.name or "").partition(".")[0]
            known = missing == NEEDS.get(module)
            connection.send((None, f"{missing}: not installed" if known else f"failed: {error}"))
        except Exception as error:
            # One that fails is told of in the table; the others go on.
            connection.send((None, f"failed: {type(error).__name__}: {error}"))


class Held:
    """What a contestant's process keeps between questions."""

    def __init__(self, module: str) -> None:
        self._module = module
        # What to call, and how many epochs of one network that is.
        self._prepared: dict[tuple[str, int], tuple[Callable[[], object], int]] = {}

    def describe(self, shape: str) -> tuple[str, tuple[int, ...]]:
        module = self._load()
        return module.NAME, module.pack_sizes(SHAPES[shape])

    def prepare(self, name: str, pack: int) -> None:
        module, shape = self._load(), SHAPES[name]
        data = make_data(shape)
        # As many epochs as fill a turn, by what a few took when warm.
        epochs = 50 if shape.is_tiny else 1
        call = module.prepare(shape, data, pack, epochs)
        call()
        each = _seconds_of(call) / epochs
        if 2 * each * epochs < TURN_SECONDS:
            epochs = min(round(TURN_SECONDS / each), MOST_EPOCHS)
            call = module.prepare(shape, data, pack, epochs)
            call()
        self._prepared[name, pack] = call, pack * epochs

    def measure(self, name: str, pack: int) -> float:
        call, epochs = self._prepared[name, pack]
        return _seconds_of(call) / epochs

    def release(self) -> None:
        self._prepared.clear()

    def measure_limits(self) -> tuple[float, float]:
        return matrix_gflops(), copy_gigabytes()

    def _load(self) -> Any:
        return importlib.import_module(f"benchmarks.trainer.peers.{self._module}")


def _seconds_of(call: Callable[[], object]) -> float:
    """What the call took, or what it says itself that it took."""
    start = time.perf_counter()
    told = call()
    return told if isinstance(told, float) else time.perf_counter() - start
