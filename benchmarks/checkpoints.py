"""What checkpoints cost: the same job with and without them, by the size of its state.

    python benchmarks/checkpoints.py [--rounds 3] [--seconds 20]

Each job is one pack on one worker of a real engine, segment after segment, as the service hands
them out; the checkpoints are written to a temporary folder by the service's own clock. The best of
the rounds counts, with and without in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np

from packtrain.service.checkpoint_clock import CheckpointClock, state_bytes
from packtrain.training import (
    Activation,
    Cost,
    Pack,
    Rule,
    ScaledGaussian,
    Selection,
    Signature,
    make_trials,
)
from packtrain.workers import DataSource, Segment, Snapshot, Source, SupervisedEngine

LEAST_SECONDS = 5.0
# Name, layers, trials.
SIZES = [
    ("16 x [784, 30, 10]", (784, 30, 10), 16),
    ("64 x [784, 100, 10]", (784, 100, 10), 64),
    ("64 x [784, 300, 100, 10]", (784, 300, 100, 10), 64),
]


def make_pack(sizes: tuple[int, ...], trials: int) -> Pack:
    signature = Signature(
        sizes=sizes,
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=10,
        epochs=10**6,
        data_type="float32",
        metrics=("training_cost",),
        measure_every=10**6,
    )
    return Pack(
        signature,
        make_trials(
            trials,
            seeds=np.arange(trials),
            order_seeds=np.zeros(trials, int),
            learning_rate=0.01,
            rule=[Rule.ADAM] * trials,
            cost=[Cost.CROSS_ENTROPY] * trials,
            initialization=[ScaledGaussian()] * trials,
        ),
    )


def make_rows(folder: Path) -> DataSource:
    rng = np.random.default_rng(1)
    np.save(folder / "x.npy", rng.random((1000, 784), dtype=np.float32))
    np.save(folder / "y.npy", rng.integers(0, 10, 1000))
    split = ("train", folder / "x.npy", folder / "y.npy")
    return DataSource((split,), Selection(one_hot_outputs=10), "float32")


async def train(
    engine: SupervisedEngine, pack: Pack, data: DataSource, plan: list[int], folder: Path | None
) -> tuple[float, list[float]]:
    """Seconds, and those that each checkpoint took, of segments of so many epochs each."""
    clock = CheckpointClock(state_bytes(pack), LEAST_SECONDS)
    trials = np.arange(len(pack), dtype=np.int32)
    epoch = 0
    writes: list[float] = []
    saving: asyncio.Task[None] | None = None

    async def save(at: int) -> None:
        snapshot = Snapshot("pack", at, trials, "any")
        writes.append((await engine.save_state(snapshot, str(folder / f"{at}"))).seconds)
        clock.save(writes[-1])

    began = time.perf_counter()
    for epochs in plan:
        sources = (Source("pack"),) if epoch else ()
        segment = Segment(
            pack_key="pack", pack=pack, data=data, start_epoch=epoch, epochs=epochs, sources=sources
        )
        clock.train((await engine.run_segment(segment)).seconds)
        epoch += epochs
        if folder is not None and clock.is_due and (saving is None or saving.done()):
            saving = asyncio.create_task(save(epoch))
    if saving is not None:
        await saving
    seconds = time.perf_counter() - began
    await engine.drop_state("pack")
    return seconds, writes


async def measure(rounds: int, seconds: float) -> None:
    engine = SupervisedEngine(1)
    await engine.start()
    print(
        "| pack, Adam | state, MB | without, s | with, s | ratio | checkpoints | of these each, s |"
    )
    print("|---|---|---|---|---|---|---|")
    try:
        with tempfile.TemporaryDirectory() as name:
            data = make_rows(Path(name))
            for title, sizes, trials in SIZES:
                pack = make_pack(sizes, trials)
                epoch_seconds, _ = await train(engine, pack, data, [1], None)
                epochs = max(1, round(1 / epoch_seconds))
                plan = [epochs] * max(1, round(seconds / (epochs * epoch_seconds)))
                without, with_them, writes = [], [], []
                for turn in range(rounds):
                    folder = Path(name) / f"{trials}-{len(sizes)}-{turn}"
                    without.append((await train(engine, pack, data, plan, None))[0])
                    took, wrote = await train(engine, pack, data, plan, folder)
                    with_them.append(took)
                    writes += wrote
                megabytes = state_bytes(pack) / 1e6
                ratio = min(with_them) / min(without)
                print(
                    f"| {title} | {megabytes:.1f} | {min(without):.2f} | {min(with_them):.2f} "
                    f"| {ratio:.3f} | {len(writes) / rounds:g} | {np.mean(writes or [0]):.3f} |",
                    flush=True,
                )
    finally:
        await engine.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turns")
    parser.add_argument("--seconds", type=float, default=20.0, help="about so long is a job")
    options = parser.parse_args()
    asyncio.run(measure(options.rounds, options.seconds))


if __name__ == "__main__":
    main()
