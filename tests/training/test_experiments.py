"""The published experiments (Nielsen, chapter 3) come out."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Constant,
    Cost,
    Pack,
    Signature,
    TargetKind,
    TrainingData,
    UnitGaussian,
    make_trials,
    train,
)

MNIST = Path(__file__).parents[2].parent / "shared" / "data" / "mnist"

NEURON = Signature(
    sizes=(1, 1),
    hidden_activation=Activation.SIGMOID,
    output_activation=Activation.SIGMOID,
    batch_size=1,
    epochs=300,
    data_type="float32",
    metrics=("output", "training_cost", "sigma_prime"),
)
ONE_TO_ZERO = TrainingData(
    np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32), None, None, TargetKind.NUMBERS
)
STARTS = [Constant(0.6, 0.9), Constant(2.0, 2.0)]


def test_experiment_1_the_learning_slowdown():
    trials = make_trials(2, learning_rate=0.15, cost=Cost.QUADRATIC, initialization=STARTS)
    _, metrics = train(Pack(NEURON, trials), ONE_TO_ZERO)
    good, bad = metrics.values[..., 0]
    assert good[0] == pytest.approx(0.81, abs=0.01)
    assert good[-1] == pytest.approx(0.09, abs=0.005)
    assert bad[0] == pytest.approx(0.98, abs=0.005)
    assert bad[149] == pytest.approx(0.93, abs=0.01)
    assert bad[-1] == pytest.approx(0.20, abs=0.005)
    # The cause: sigma'(z) = 0.018 at z = 4.
    assert metrics.values[1, 0, 2] == pytest.approx(0.018, abs=0.001)


def test_experiment_2_cross_entropy_has_no_slowdown():
    trials = make_trials(2, learning_rate=0.005, initialization=STARTS)
    _, metrics = train(Pack(NEURON, trials), ONE_TO_ZERO)
    falls = -np.diff(metrics.values[1, :, 1])
    assert falls.argmax() == 0
    quadratic = make_trials(2, learning_rate=0.15, cost=Cost.QUADRATIC, initialization=STARTS)
    _, slow = train(Pack(NEURON, quadratic), ONE_TO_ZERO)
    assert (-np.diff(slow.values[1, :, 1])).argmax() > 150


def test_xor_is_learnt():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([[0], [1], [1], [0]], np.float32)
    signature = Signature(
        sizes=(2, 3, 1),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=4,
        epochs=1500,
        data_type="float32",
        metrics=("training_accuracy",),
        measure_every=1500,
    )
    trials = make_trials(32, learning_rate=2.0, initialization=UnitGaussian())
    _, metrics = train(Pack(signature, trials), TrainingData(x, y, None, None, TargetKind.CLASSES))
    assert (metrics.values[:, -1, 0] == 1).mean() > 0.7


def read_idx(name: str, offset: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress((MNIST / name).read_bytes()), np.uint8, offset=offset)


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST is not on this machine")
def test_mnist_is_learnt_and_regularization_shrinks_the_weights():
    # Experiment 3 in small: 1,000 images, 12 of its 400 epochs, tested on 1,000 images.
    def rows(kind: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        images = read_idx(f"{kind}-images-idx3-ubyte.gz", 16)[: count * 784]
        labels = read_idx(f"{kind}-labels-idx1-ubyte.gz", 8)[:count]
        x = (images.reshape(count, 784) / 255).astype(np.float32)
        return x, np.eye(10, dtype=np.float32)[labels]

    signature = Signature(
        sizes=(784, 30, 10),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=10,
        epochs=12,
        data_type="float32",
        metrics=("validation_accuracy", "weight_norm"),
    )
    data = TrainingData(*rows("train", 1000), *rows("t10k", 1000), TargetKind.CLASSES)
    trials = make_trials(
        4, learning_rate=0.5, l2=[0, 0, 1, 1], initialization=UnitGaussian(), seeds=[1, 2, 1, 2]
    )
    _, metrics = train(Pack(signature, trials), data)
    assert metrics.values[:, -1, 0].min() > 0.70
    assert (metrics.values[2:, -1, 1] < metrics.values[:2, -1, 1]).all()
