"""A reader that takes nothing, beside a hundred that take all."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY
from tests.chaos.processes import memory_bytes

from packtrain.client import SGD, Client, DatasetSelection, Grid, Network, log_uniform
from packtrain.v1 import training_service_pb2

FAULT = "slow reader beside 100 fast ones"
MUST_HOLD = "nobody else notices; memory bounded"
_READERS = 100
_SLOW = 20
# What gRPC itself buffers for a stream before it holds its writer: facts of grpcio 1.85.
_STREAM_BYTES = 8 << 20
_MOST_GROWTH = _SLOW * _STREAM_BYTES + (150 << 20)


def run(chaos: Chaos) -> dict[str, Any]:
    """Replay a log of some 10 MB to a hundred readers, without and with slow ones beside."""
    spec = replace(
        KINDS["grid"],
        dataset=DatasetSelection(name="digits", training_rows=20),
        network=Network(hidden=[2]),
        optimizer=SGD(learning_rate=log_uniform(0.01, 1)),
        search=Grid(points=500),
        epochs=1000,
    )
    server = chaos.server()
    server.start()
    server.wait_serving()
    with Client(server.address, retry=RETRY) as client:
        job = client.run(spec)
        alone = _read_all(server.address, job.name)
        before = memory_bytes(server.pid)
        slow = [Client(server.address) for _ in range(_SLOW)]
        streams = []
        for each in slow:
            stub = each._stubs["Training"]  # a stream that is begun, and never read on
            streams.append(stub.WatchJob(training_service_pb2.WatchJobRequest(name=job.name)))
            next(streams[-1])
        time.sleep(2)
        beside = _read_all(server.address, job.name)
        grown = memory_bytes(server.pid) - before
        for stream, each in zip(streams, slow, strict=True):
            stream.cancel()
            each.close()
        chaos.check(
            beside < 1.5 * alone + 1, f"{beside:.1f} s beside slow readers, {alone:.1f} s alone"
        )
        chaos.check(grown < _MOST_GROWTH, f"the service grew by {grown >> 20} MiB")
    return {
        "100 readers alone, s": round(alone, 1),
        "beside 20 slow ones, s": round(beside, 1),
        "service grown by, MiB": grown >> 20,
    }


def _read_all(address: str, name: str) -> float:
    def read(_: int) -> int:
        with Client(address, retry=RETRY) as client:
            return sum(1 for _ in client.watch_job(name))

    began = time.monotonic()
    with ThreadPoolExecutor(_READERS) as pool:
        counts = set(pool.map(read, range(_READERS)))
    assert len(counts) == 1, counts
    return time.monotonic() - began
