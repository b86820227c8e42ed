"""Long computations beside the event loop, a slice at a time: so many can take turns, and each can
be held or given up between two slices. Their threads keep no process from ending."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

T = TypeVar("T")
# What a computation comes to, after steps that are each as short as can be.
Steps = Generator[None, None, T]

# Long beside a thread's start of a tenth of a millisecond, short to whoever waits for a turn.
SLICE_SECONDS = 0.1
_THREAD = "slice"


class SlicedComputation(Generic[T]):
    """Steps, one slice after the other; ``result`` once it ``is_over``."""

    result: T

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.is_over = False

    async def run_slice(self, is_stopped: Callable[[], bool]) -> None:
        """The next steps, to the end of a slice, or until ``is_stopped``. Raises what a step
        raises. Where the caller is cancelled the slice goes on alone to its end."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def tell(error: BaseException | None) -> None:
            if over.done():
                return
            if error is None:
                over.set_result(None)
            else:
                over.set_exception(error)

        def run() -> None:
            error = self._run_steps(is_stopped)
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(tell, error)

        threading.Thread(target=run, name=_THREAD, daemon=True).start()
        await over

    def _run_steps(self, is_stopped: Callable[[], bool]) -> BaseException | None:
        end = time.monotonic() + SLICE_SECONDS
        try:
            while True:
                next(self._steps)
                if time.monotonic() >= end or is_stopped():
                    return None
        except StopIteration as stop:
            self.result, self.is_over = stop.value, True
            return None
        except Exception as error:
            return error


def is_slice_running() -> bool:
    """Whether some slice, which nobody may wait for any longer, has not come to its end."""
    return any(thread.name == _THREAD for thread in threading.enumerate())
