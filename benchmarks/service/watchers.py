"""Many watchers of one job, each with a connection of its own.

    python -m benchmarks.service.watchers ADDRESS JOB COUNT

Prints a line when all have received metrics; follows until standard input ends, and then prints,
as JSON, the seconds from each recording of metrics to their arrival at each watcher.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from packtrain.client import AsyncClient, MetricsReceived


async def _watch(address: str, job: str, delays: list[float], begun: asyncio.Event) -> None:
    arrived = time.time()
    async with AsyncClient(address) as client:
        async for event in client.watch_job(job):
            if isinstance(event, MetricsReceived) and event.time is not None:
                # What was recorded before the watch began is a replay.
                if event.time.timestamp() > arrived:
                    delays.append(time.time() - event.time.timestamp())
                begun.set()


async def _follow(address: str, job: str, count: int) -> list[float]:
    delays: list[float] = []
    begun = [asyncio.Event() for _ in range(count)]
    tasks = [asyncio.create_task(_watch(address, job, delays, event)) for event in begun]
    for event in begun:
        await event.wait()
    delays.clear()
    print(f"{count} watch", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return delays


def main() -> None:
    """Watch until told to stop."""
    address, job, count = sys.argv[1:]
    print(json.dumps(asyncio.run(_follow(address, job, int(count)))))


if __name__ == "__main__":
    main()
