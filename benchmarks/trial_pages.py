"""How long the server takes for pages, fronts and importance of a job of 100,000 trials.

``python benchmarks/trial_pages.py``; nothing is trained, the values are drawn.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import numpy as np
from google.protobuf import json_format

from packtrain.service.api.training import _shown_trials
from packtrain.service.api.trial_results import TrialQuery, TrialResults
from packtrain.service.records import EndedTrials, JobRecord, MetricsRecorded, NewJob, NewPack
from packtrain.service.states import TrialState
from packtrain.service.store import Database, Store
from packtrain.v1 import spec_pb2

TRIALS, PACK, EPOCHS = 100_000, 1000, 10
METRICS = ("training_cost", "validation_cost", "training_accuracy", "validation_accuracy")
RATE = "optimizer.sgd.learning_rate"
SPEC = {
    "dataset": {"name": "datasets/digits"},
    "seed": 1,
    "search": {
        "random": {"trials": TRIALS},
        "parameters": [
            {"path": RATE, "log_uniform": {"low": 0.01, "high": 10}},
            {"path": "regularization.l2", "choice": {"values": [0, 0.1]}},
            {"path": "cost", "choice": {"values": [{"quadratic": {}}, {"crossEntropy": {}}]}},
        ],
    },
}
REPEATS = 7


async def record_job(store: Store) -> JobRecord:
    """A job of which nine tenths of the trials have ended."""
    every = np.arange(TRIALS, dtype=np.int32)
    packs = [NewPack(trials=p, metrics=METRICS) for p in np.split(every, TRIALS // PACK)]
    spec = json_format.ParseDict(SPEC, spec_pb2.JobSpec())
    job = NewJob(
        job_id="pages",
        uid="uid",
        spec=spec.SerializeToString(),
        plan=b"",
        trials=TRIALS,
        trial_epochs_total=TRIALS * EPOCHS,
        metrics=METRICS,
        layer_sizes=(),
        datasets=(),
        packs=tuple(packs),
    )
    await store.create_job(job, None, "me")
    owned = store.owned_job("uid", "me")
    draw = np.random.default_rng(0)
    for index, pack in enumerate(packs):
        await owned.start_pack(index)
        values = draw.random((PACK, EPOCHS, len(METRICS))).astype(np.float32)
        block = MetricsRecorded(pack.trials, 1, METRICS, values)
        over = EndedTrials(
            TrialState.SUCCEEDED, pack.trials, np.full(PACK, EPOCHS, np.int32), values[:, -1]
        )
        ended = [over] if index < 0.9 * len(packs) else []
        await owned.record_segment(index, 0, 0, EPOCHS, block, ended, PACK * EPOCHS, ("NumPy",))
    return await store.get_job("pages")


async def measure(what: str, call: Callable[[], Awaitable[object]], repeats: int = REPEATS) -> None:
    """Print the median of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - start)
    print(f"{what:<60} {1000 * median(seconds):8.1f} ms", flush=True)


async def main() -> None:
    """Record, then measure."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'store.db'}")
        database.migrate()
        store = Store(database)
        job = await record_job(store)
        results = TrialResults(store)

        def page(size: int = 100, **query: object) -> Callable[[], Awaitable[object]]:
            async def read() -> object:
                found = await results.page(job, TrialQuery(**query), size, "")
                return await asyncio.to_thread(_shown_trials, job, found.records, found.parameters)

            return read

        condition = f"state = SUCCEEDED AND validation_accuracy > 0.9 AND parameters.{RATE} < 1"
        by_accuracy = "validation_accuracy desc"
        await measure("the first page", page(), 1)
        await measure("100 by index", page())
        await measure("100 by a metric", page(order_by=by_accuracy))
        await measure("1,000 by a metric", page(1000, order_by=by_accuracy))
        await measure(
            "100 by a filter and two fields",
            page(filter=condition, order_by="state, validation_cost"),
        )
        await measure("the front of two metrics", page(pareto=METRICS[1::2]))
        await measure("the front of four metrics", page(1000, pareto=METRICS))
        await measure("the best", lambda: results.best(job, "validation_cost"))
        await measure("importance", lambda: results.importance(job, "validation_cost"), 3)
        database.close()


if __name__ == "__main__":
    asyncio.run(main())
