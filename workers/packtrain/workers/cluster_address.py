"""Where a Ray cluster is that others run, and whether anybody answers there. Without Ray."""

from __future__ import annotations

import asyncio
import os

from packtrain.workers.engine import EngineStartError

CONNECT_SECONDS = 5.0


def split_address(address: str) -> tuple[str, int] | None:
    """Host and port of the cluster's head; None of "auto", which Ray itself looks for.

    Raises ValueError with a sentence.
    """
    if address == "auto":
        return None
    host, _, port = address.rpartition(":")
    # Neither a Ray Client's "ray://", nor a number that is no port.
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(
            f'the address of a Ray cluster must be "auto" or HOST:PORT, as in 10.0.0.1:6379, not '
            f"{address!r}"
        )
    return host.strip("[]"), int(port)


def describe_cluster(address: str) -> str:
    """The cluster in a few words."""
    return (
        "the Ray cluster of this machine" if address == "auto" else f"the Ray cluster at {address}"
    )


async def require_answer(address: str) -> None:
    """Raise EngineStartError where nobody answers. A driver would try for a minute or more, and is
    a process that takes seconds to start: this costs next to nothing."""
    found = split_address(address)
    if found is None:
        return
    host, port = found
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise EngineStartError(
            f"no Ray cluster answers at {address} ({_explain(error)}); start one there with "
            f"`ray start --head --port={port}`, or leave --ray-address out to run without a cluster"
        ) from error
    writer.close()


def _explain(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came within {CONNECT_SECONDS:.0f} s"
    # A name that is not known has a number below 0, and words of its own.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else str(error)
