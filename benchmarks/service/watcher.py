"""A client in a process of its own, which tells what it has held at most.

python -m benchmarks.service.watcher ADDRESS TRIALS EPOCHS
"""

from __future__ import annotations

import json
import sys

from benchmarks.service.jobs import follow, neurons
from benchmarks.service.processes import peak_bytes

from packtrain.client import Client


def main() -> None:
    """Train neurons, and keep every metric of every epoch."""
    address, trials, epochs = sys.argv[1:]
    with Client(address) as client:
        followed = follow(client, neurons(int(trials), int(epochs)))
    told = {
        "seconds": followed.seconds,
        "acknowledged_seconds": followed.acknowledged_seconds,
        "values": sum(block.values.size for block in followed.blocks),
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
