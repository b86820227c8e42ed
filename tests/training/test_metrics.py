"""What is measured is what its description says; the catalogue, names, and footprints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from packtrain.training import (
    METRICS,
    Activation,
    Augmentation,
    Cost,
    Pack,
    Signature,
    TargetKind,
    TrainingData,
    UnitGaussian,
    block_trials,
    epoch_operations,
    make_trials,
    metric_names,
    segment_memory_bytes,
    train,
    train_segment,
)
from packtrain.training.activations import OUTPUT_ONLY
from packtrain.training.choice import suits_lanes

MNIST = Signature(
    sizes=(784, 30, 10),
    hidden_activation=Activation.SIGMOID,
    output_activation=Activation.SIGMOID,
    batch_size=10,
    epochs=60,
    data_type="float32",
    metrics=("validation_accuracy", "weight_norm", "training_cost"),
)


def small(hidden: Activation, output: Activation, batch_size: int) -> Signature:
    return Signature(
        sizes=(3, 4, 2),
        hidden_activation=hidden,
        output_activation=output,
        batch_size=batch_size,
        epochs=1,
        data_type="float64",
        metrics=("output", "saturated_share", "sigma_prime", "weight_norm", "training_accuracy"),
    )


APPLY = {
    Activation.SIGMOID: lambda z: 1 / (1 + np.exp(-z)),
    Activation.TANH: np.tanh,
    Activation.RELU: lambda z: z * (z > 0),
    Activation.LEAKY_RELU: lambda z: np.where(z > 0, z, z / 100),
    Activation.ELU: lambda z: np.where(z > 0, z, np.expm1(z)),
    Activation.GELU: lambda z: z * norm.cdf(z),
    Activation.SILU: lambda z: z / (1 + np.exp(-z)),
    Activation.SOFTPLUS: lambda z: np.logaddexp(0, z),
    Activation.IDENTITY: lambda z: z,
    Activation.EXPONENTIAL: np.exp,
    Activation.SOFTMAX: lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
}
SATURATED = {
    Activation.SIGMOID: lambda z, a: (a < 0.05) | (a > 0.95),
    Activation.SOFTMAX: lambda z, a: (a < 0.05) | (a > 0.95),
    Activation.TANH: lambda z, a: np.abs(a) > 0.9,
    Activation.RELU: lambda z, a: a == 0,
    Activation.LEAKY_RELU: lambda z, a: np.zeros_like(a),
    Activation.ELU: lambda z, a: a < -0.95,
    Activation.GELU: lambda z, a: (z < -0.76) & (a > -0.05),
    Activation.SILU: lambda z, a: (z < -1.28) & (a > -0.05),
    Activation.SOFTPLUS: lambda z, a: a < 0.05,
    Activation.IDENTITY: lambda z, a: np.zeros_like(a),
    Activation.EXPONENTIAL: lambda z, a: a < 0.05,
}


def slope(activation, z):
    """abs f'(z) by central differences; a kink at 0 is so unlikely that it is left out."""
    if activation is Activation.SOFTMAX:
        return np.full_like(z, np.nan)
    f = APPLY[activation]
    return np.abs(f(z + 1e-6) - f(z - 1e-6)) / 2e-6


@pytest.mark.parametrize("batch_size", [4, 300])  # lanes, stacked
@pytest.mark.parametrize("hidden", [a for a in Activation if a not in OUTPUT_ONLY])
@pytest.mark.parametrize("output", list(Activation))
def test_instruments_against_their_descriptions(hidden, output, batch_size):
    signature = small(hidden, output, batch_size)
    rng = np.random.default_rng(4)
    rows = 300  # more than one pass measures
    # An exponential of more would make the step diverge.
    x = rng.normal(size=(rows, 3)) * (0.5 if output is Activation.EXPONENTIAL else 2)
    data = TrainingData(x, np.eye(2)[rng.integers(0, 2, rows)], None, None, TargetKind.CLASSES)
    trials = make_trials(3, learning_rate=1e-6, cost=Cost.QUADRATIC, initialization=UnitGaussian())
    state, metrics = train(Pack(signature, trials), data)
    for k in range(3):
        z1 = x @ state.weights[0][k] + state.biases[0][k]
        a1 = APPLY[hidden](z1)
        z2 = a1 @ state.weights[1][k] + state.biases[1][k]
        a2 = APPLY[output](z2)
        expected = [
            a2.mean(),
            SATURATED[hidden](z1, a1).mean(),
            SATURATED[output](z2, a2).mean(),
            slope(hidden, z1).mean(),
            slope(output, z2).mean(),
            np.linalg.norm(state.weights[0][k]),
            np.linalg.norm(state.weights[1][k]),
            np.mean(a2.argmax(axis=1) == data.y.argmax(axis=1)),
        ]
        np.testing.assert_allclose(metrics.values[k, 0], expected, rtol=1e-6, atol=1e-7)


def test_accuracy_of_one_output_is_told_by_a_half():
    signature = Signature(
        sizes=(1, 1),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=4,
        epochs=1,
        data_type="float32",
        metrics=("training_accuracy",),
    )
    x = np.array([[-3], [-1], [1], [3]], np.float32)
    y = np.array([[0], [1], [1], [1]], np.float32)
    pack = Pack(signature, make_trials(1, learning_rate=1e-6))
    state, _ = train_segment(pack, TrainingData(x, y, None, None, TargetKind.CLASSES), None, 0)
    state.weights[0][:], state.biases[0][:] = 1, 0
    _, metrics = train_segment(pack, TrainingData(x, y, None, None, TargetKind.CLASSES), state, 1)
    assert metrics.values.item() == 0.75


def test_names_expand_per_layer_in_the_requested_order():
    assert metric_names(MNIST) == (
        "validation_accuracy",
        "weight_norm/1",
        "weight_norm/2",
        "training_cost",
    )


def test_catalogue_is_keyed_by_name_and_described():
    assert [metric.name for metric in METRICS.values()] == list(METRICS)
    assert all(metric.description.endswith(".") for metric in METRICS.values())
    assert {name for name, metric in METRICS.items() if metric.needs_validation} == {
        name for name in METRICS if name.startswith("validation_")
    }
    for name, metric in METRICS.items():
        assert metric.higher_is_better == name.endswith(("accuracy", "f1", "r2"))


def test_operations_of_an_epoch():
    weights = 784 * 30 + 30 * 10
    steps = 1000 * 2 * (weights + weights + 300)
    evaluations = 2 * weights * (1000 + 500)
    assert epoch_operations(MNIST, 1000, 500) == steps + evaluations
    rarely = replace(MNIST, measure_every=10, metrics=("weight_norm",))
    assert epoch_operations(rarely, 1000, 500) == steps


def test_memory_grows_with_what_is_held():
    state = 784 * 30 + 30 + 300 + 10
    one = segment_memory_bytes(MNIST, 1000, 1000, moments=0)
    two = segment_memory_bytes(MNIST, 2000, 1000, moments=0)
    # Beyond one block, each trial costs its state twice and its metrics.
    assert two - one == 1000 * (2 * 4 * state + 4 * 60 * 4)
    assert segment_memory_bytes(MNIST, 1000, 1000) - one >= 1000 * 2 * 4 * state
    assert one > segment_memory_bytes(MNIST, 1000, 1000, moments=0, epochs=1)


@pytest.mark.parametrize(
    ("sizes", "expansion"),
    [
        ((784, 30, 10), None),
        ((784, 30, 10), Augmentation(28, 28, 2, 15)),
        ((2, 3, 1), None),
        ((2, 3, 1), Augmentation(1, 2, 1)),
    ],
)
def test_memory_is_not_less_than_what_numpy_allocates(sizes, expansion):
    import tracemalloc

    signature = replace(
        MNIST,
        sizes=sizes,
        batch_size=4,
        epochs=1,
        metrics=("training_cost", "gradient_norm"),
        augmentation=expansion,
    )
    rng = np.random.default_rng(0)
    x = rng.random((300, sizes[0]), dtype=np.float32)
    y = np.full((300, sizes[-1]), 0.5, np.float32)
    data = TrainingData(x, y, None, None, TargetKind.NUMBERS)
    numbers = {"momentum": 0.5, "l1": 0.1, "dropout": 0.2, "input_noise": 0.1 if expansion else 0}
    pack = Pack(signature, make_trials(40, learning_rate=0.1, **numbers))
    state, _ = train_segment(pack, data, None, 0)
    train_segment(pack, data, state, 1)
    held = sum(a.nbytes for a in (*state.weights, *state.weight_moments[0]))
    tracemalloc.start()
    train_segment(pack, data, state, 1)
    peak = tracemalloc.get_traced_memory()[1] + held
    tracemalloc.stop()
    promised = segment_memory_bytes(signature, 40, 300)
    # Python's own objects are not counted: 2 MB for views, generators and code.
    assert peak <= promised + 2_000_000
    assert promised < 3 * peak + 2_000_000


def test_blocks_and_kernels_follow_from_the_signature():
    neuron = replace(MNIST, sizes=(1, 1), batch_size=1)
    assert suits_lanes(neuron)
    assert not suits_lanes(MNIST)
    assert block_trials(neuron) > block_trials(MNIST) >= 1
    assert block_trials(replace(MNIST, sizes=(10_000, 10_000, 10))) >= 1
