"""What a segment holds at a time, against what was promised before anything was allocated."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

from packtrain.training import (
    METRICS,
    Activation,
    Cost,
    Pack,
    Rule,
    Signature,
    TargetKind,
    TrainingData,
    make_trials,
    most_moments,
    segment_memory_bytes,
    stacked,
    train_segment,
)
from packtrain.training import segment as segment_module
from packtrain.training.joint import ALONE, ARRANGEMENTS, MARGINED, WIDE

# Python's own objects are not counted: views, generators, code, the calls of a tape.
SPARE = 2_000_000


def make(sizes, batch, rows, trials, *, every=1, epochs=2, diverging=False, **numbers):
    """A pack that measures all there is, and its rows."""
    rng, outputs = np.random.default_rng(0), sizes[-1]

    def split():
        classes = rng.integers(0, max(2, outputs), rows)
        y = np.eye(outputs)[classes] if outputs > 1 else classes[:, np.newaxis]
        return rng.random((rows, sizes[0]), dtype=np.float32), y.astype(np.float32)

    data = TrainingData(*split(), *split(), TargetKind.CLASSES)
    metrics = tuple(
        name
        for name, metric in METRICS.items()
        if TargetKind.CLASSES in metric.target_kinds and outputs >= metric.least_outputs
    )
    signature = Signature(
        sizes=sizes,
        hidden_activation=Activation.SOFTPLUS,
        output_activation=Activation.SIGMOID,
        batch_size=batch,
        epochs=epochs,
        data_type="float32",
        metrics=metrics,
        measure_every=every,
    )
    rates = np.full(trials, 0.01)
    if diverging:
        rates[::2] = 1e30
    columns = make_trials(trials, learning_rate=rates, cost=Cost.CROSS_ENTROPY, **numbers)
    return Pack(signature, columns), data


def assert_bounded(pack: Pack, data: TrainingData) -> None:
    epochs = pack.signature.epochs
    state, _ = train_segment(pack, data, None, 0)
    train_segment(pack, data, state, epochs)
    moments = (*state.weight_moments, *state.bias_moments)
    held = sum(a.nbytes for layers in (state.weights, state.biases, *moments) for a in layers)
    gc.collect()
    tracemalloc.start()
    try:
        train_segment(pack, data, state, epochs)
        peak = tracemalloc.get_traced_memory()[1] + held
    finally:
        tracemalloc.stop()
    rows = len(data.x)
    most = most_moments(pack.trials)
    promised = segment_memory_bytes(pack.signature, len(pack), rows, rows, moments=most)
    assert peak <= promised + SPARE
    assert promised < 4 * peak + SPARE


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("diverging", [False, True])
@pytest.mark.parametrize(
    ("sizes", "rows"), [((1, 1), 1), ((2, 3, 1), 8), ((1, 3, 20), 1), ((8, 12, 10), 4)]
)
def test_tiny_packs_with_all_that_a_tape_keeps(sizes, rows, every, diverging):
    assert_bounded(*make(sizes, rows, rows, 16_000, every=every, epochs=9, diverging=diverging))


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("diverging", [False, True])
@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"momentum": 0.9, "l1": 0.1, "dropout": 0.2, "clip_norm": 1.0},
        {"rule": Rule.ADAM, "max_norm": 1.0},
    ],
)
def test_stacked_packs_in_each_arrangement(arrangement, diverging, numbers, monkeypatch):
    monkeypatch.setattr(stacked, "arrange", lambda *shape: arrangement)
    assert_bounded(*make((784, 100, 10), 100, 200, 16, diverging=diverging, **numbers))


def test_the_arrangements_are_those_that_are_counted():
    assert ARRANGEMENTS == (WIDE, MARGINED, ALONE)


@pytest.mark.parametrize(("sizes", "batch"), [((2, 3, 1), 4), ((64, 30, 10), 2)])
def test_a_kernel_is_gone_when_its_block_is_done(sizes, batch, monkeypatch):
    kernels, make_kernel = [], segment_module.make_kernel

    def note(*arguments):
        kernel = make_kernel(*arguments)
        assert all(known() is None for known in kernels)
        kernels.append(weakref.ref(kernel))
        return kernel

    monkeypatch.setattr(segment_module, "make_kernel", note)
    pack, data = make(sizes, batch, 4, 6, epochs=5, diverging=True)
    gc.disable()
    try:
        train_segment(pack, data, None, 5)
        assert len(kernels) == 2
        assert kernels[-1]() is None
    finally:
        gc.enable()
