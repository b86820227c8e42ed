"""Whether a worker is there: it is dead, or it hangs, or its node does."""

from __future__ import annotations

import asyncio
from typing import Any

import ray

PING_SECONDS = 3.0
"""A worker is asked so long after its last answer: a message and its answer take a millisecond."""
SILENCE_SECONDS = 12.0
"""One that takes longer to answer is given up. It answers while it trains, in a thread of its own;
Ray notices a hung node only after a minute, and a hung process never."""
CATCH_UP_SECONDS = 1.0
"""If this process was held up itself, the answer is here, but not taken yet."""

DIED = "died"
SILENT = "is silent"


async def wait_until_lost(handle: Any) -> str:
    """Return when the actor is lost: ``DIED`` at once when its process ends, ``SILENT`` within 16
    seconds of when it stops to answer."""
    stay = _ask(handle.stay)
    while True:
        if await _wait(stay, seconds=PING_SECONDS):
            return DIED
        ping = _ask(handle.ping)
        answered = await _wait(ping, stay, seconds=SILENCE_SECONDS)
        if not answered and not await _wait(ping, stay, seconds=CATCH_UP_SECONDS):
            return SILENT


def _ask(method: Any) -> asyncio.Future[Any]:
    reference: ray.ObjectRef[Any] = method.remote()
    answer = asyncio.wrap_future(reference.future())
    # Whatever it ends with, and however late: it only counts that it has ended.
    answer.add_done_callback(lambda late: late.cancelled() or late.exception())
    return answer


async def _wait(*answers: asyncio.Future[Any], seconds: float) -> bool:
    done, _ = await asyncio.wait(answers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)
