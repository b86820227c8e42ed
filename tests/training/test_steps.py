"""Steps worked out by hand: every cost, and every term that a step may have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Constant,
    Cost,
    GivenArrays,
    Pack,
    PackState,
    Signature,
    TargetKind,
    TrainingData,
    initial_state,
    make_trials,
    train,
    train_segment,
)


def train_steps(
    x: list[list[float]],
    y: list[list[float]],
    output: Activation = Activation.SIGMOID,
    epochs: int = 1,
    hidden: tuple[int, ...] = (),
    batch_size: int = 10,
    **columns: Any,
) -> PackState:
    inputs, targets = np.array(x, np.float64), np.array(y, np.float64)
    signature = Signature(
        sizes=(inputs.shape[1], *hidden, targets.shape[1]),
        hidden_activation=Activation.RELU,
        output_activation=output,
        batch_size=min(batch_size, len(inputs)),
        epochs=epochs,
        data_type="float64",
        metrics=("training_cost",),
    )
    trials = make_trials(1, **columns)
    state, _ = train(
        Pack(signature, trials), TrainingData(inputs, targets, None, None, TargetKind.NUMBERS)
    )
    return state


def test_quadratic_cost_of_a_neuron():
    # Nielsen, chapter 3: w = 0.6, b = 0.9, x = 1, y = 0: a = sigma(1.5) = 0.8176;
    # dC/dw = (a - y) sigma'(z) x = 0.8176 * 0.8176 * 0.1824 = 0.121938.
    state = train_steps(
        [[1]], [[0]], learning_rate=0.15, cost=Cost.QUADRATIC, initialization=Constant(0.6, 0.9)
    )
    assert state.weights[0].item() == pytest.approx(0.6 - 0.15 * 0.1219383, abs=1e-7)
    assert state.biases[0].item() == pytest.approx(0.9 - 0.15 * 0.1219383, abs=1e-7)


def test_cross_entropy_of_a_neuron():
    # dC/dw = (a - y) x: no sigma'(z), so no slowdown. sigma(2 * 0.5 + 1) = 0.880797.
    state = train_steps([[2]], [[0]], learning_rate=0.1, initialization=Constant(0.5, 1.0))
    assert state.weights[0].item() == pytest.approx(0.5 - 0.1 * 0.880797 * 2, abs=1e-7)
    assert state.biases[0].item() == pytest.approx(1.0 - 0.1 * 0.880797, abs=1e-7)


def test_log_likelihood_of_two_outputs():
    # Equal weights: the softmax is (1/2, 1/2), the error (-1/2, 1/2) for the first class.
    state = train_steps(
        [[3]],
        [[1, 0]],
        Activation.SOFTMAX,
        learning_rate=0.1,
        cost=Cost.LOG_LIKELIHOOD,
        initialization=Constant(1.0, 0.0),
    )
    np.testing.assert_allclose(state.weights[0][0, 0], [1.15, 0.85])
    np.testing.assert_allclose(state.biases[0][0], [0.05, -0.05])


def test_gradient_is_the_mean_over_the_rows_that_the_batch_has():
    # Identity, w = 1, b = 0: errors a - y are 1, 2, 3 and x is 1, 2, 3: mean of x (a - y) 14/3.
    state = train_steps(
        [[1], [2], [3]],
        [[0], [0], [0]],
        Activation.IDENTITY,
        learning_rate=0.01,
        cost=Cost.QUADRATIC,
        initialization=Constant(1.0, 0.0),
    )
    assert state.weights[0].item() == pytest.approx(1 - 0.01 * 14 / 3)
    assert state.biases[0].item() == pytest.approx(-0.01 * 2)


def test_last_batch_of_an_epoch_may_be_smaller():
    # Three equal rows, x = 1, y = 0, b fixed by symmetry with w: batches of 2 and 1 both have
    # the mean gradient w + b, so each step multiplies w + b by 1 - 2 eta.
    state = train_steps(
        [[1]] * 3,
        [[0]] * 3,
        Activation.IDENTITY,
        batch_size=2,
        learning_rate=0.1,
        cost=Cost.QUADRATIC,
        initialization=Constant(0.5, 0.5),
    )
    assert (state.weights[0] + state.biases[0]).item() == pytest.approx(0.8**2)


def test_l2_and_l1_shrink_weights_but_not_biases():
    # Targets met exactly: only the penalties move. n = 2: 1 - eta lambda / n = 1 - 0.1 * 0.4 / 2.
    for columns, expected in (
        ({"l2": 0.4}, 3 * (1 - 0.02)),
        ({"l1": 0.4}, 3 - 0.02),
        ({"l2": 0.4, "l1": 0.4}, 3 * (1 - 0.02) - 0.02),
    ):
        state = train_steps(
            [[1], [1]],
            [[5], [5]],
            Activation.IDENTITY,
            learning_rate=0.1,
            cost=Cost.QUADRATIC,
            initialization=Constant(3.0, 2.0),
            **columns,
        )
        assert state.weights[0].item() == pytest.approx(expected)
        assert state.biases[0].item() == 2.0


def test_momentum_keeps_going():
    # Identity, x = 0: only b moves, with gradient b. v1 = -0.1, b1 = 0.9,
    # v2 = 0.5 * -0.1 - 0.09 = -0.14, b2 = 0.76.
    state = train_steps(
        [[0]],
        [[0]],
        Activation.IDENTITY,
        epochs=2,
        learning_rate=0.1,
        momentum=0.5,
        cost=Cost.QUADRATIC,
        initialization=Constant(1.0, 1.0),
    )
    assert state.biases[0].item() == pytest.approx(0.76)
    assert state.bias_moments[0][0].item() == pytest.approx(-0.14)


@pytest.mark.parametrize("hidden", [4000, 20])  # the stacked kernel and the lanes
def test_dropout_silences_its_share_and_scales_up_the_rest(hidden):
    # Hidden activations are all 1, so a step of the output weights shows each mask:
    # error -1 times 0 or 1 / (1 - p).
    given = GivenArrays(
        (np.ones((1, hidden)), np.zeros((hidden, 1))), (np.zeros(hidden), np.zeros(1))
    )
    steps = [
        train_steps(
            [[1]],
            [[1]],
            Activation.IDENTITY,
            hidden=(hidden,),
            learning_rate=1.0,
            dropout=0.25,
            cost=Cost.QUADRATIC,
            initialization=given,
            seeds=seed,
        )
        .weights[1]
        .ravel()
        for seed in range(20)
    ]
    silenced = np.array(steps) == 0
    assert abs(silenced.mean() - 0.25) < 0.06
    np.testing.assert_allclose(np.array(steps)[~silenced], 1 / 0.75)
    assert not np.array_equal(silenced[0], silenced[1])


def test_dropout_masks_change_with_the_epoch_and_are_not_used_when_measuring():
    given = GivenArrays((np.ones((1, 40)), np.full((40, 1), 0.5)), (np.zeros(40), np.zeros(1)))
    signature = Signature(
        sizes=(1, 40, 1),
        hidden_activation=Activation.RELU,
        output_activation=Activation.IDENTITY,
        batch_size=1,
        epochs=2,
        data_type="float64",
        metrics=("output",),
    )
    data = TrainingData(np.ones((1, 1)), np.zeros((1, 1)), None, None, TargetKind.NUMBERS)
    pack = Pack(
        signature,
        make_trials(1, learning_rate=1e-9, dropout=0.5, cost=Cost.QUADRATIC, initialization=given),
    )
    start = initial_state(pack, data)
    middle, metrics = train_segment(pack, data, start, 1)
    assert metrics.values.item() == pytest.approx(20)
    end, _ = train_segment(pack, data, middle, 1)
    first = middle.weights[1] == start.weights[1]
    second = end.weights[1] == middle.weights[1]
    assert 0 < first.sum() < 40
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 1), (40, 30)])
def test_extreme_weighted_inputs_make_no_nan(dtype, sizes):
    # z = +-10,000: a naive ln(1 - a) is ln 0, and exp(-z) overflows.
    for target, expected in ((0, 10_000), (1, 0)):
        for z in (10_000.0, -10_000.0):
            signature = Signature(
                sizes=sizes,
                hidden_activation=Activation.SIGMOID,
                output_activation=Activation.SIGMOID,
                batch_size=1,
                epochs=1,
                data_type=dtype,
                metrics=("training_bare_cost", "output", "sigma_prime", "saturated_share"),
            )
            goal = target if z > 0 else 1 - target
            data = TrainingData(
                np.zeros((1, sizes[0]), dtype),
                np.full((1, sizes[1]), goal, dtype),
                None,
                None,
                TargetKind.NUMBERS,
            )
            trials = make_trials(1, learning_rate=1e-9, initialization=Constant(0.0, z))
            _, metrics = train(Pack(signature, trials), data)
            outputs = 1.0 if z > 0 else 0.0
            wanted = [expected * sizes[1], outputs, 0.0, 1.0]
            np.testing.assert_allclose(metrics.values[0, 0], wanted, rtol=1e-5)


def test_sigmoid_cost_is_accurate_where_it_is_tiny():
    state = train_steps([[0]], [[0]], learning_rate=1e-12, initialization=Constant(0.0, -30.0))
    signature = Signature(
        sizes=(1, 1),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=1,
        epochs=2,
        data_type="float64",
        metrics=("training_cost",),
    )
    data = TrainingData(np.zeros((1, 1)), np.zeros((1, 1)), None, None, TargetKind.NUMBERS)
    pack = Pack(signature, make_trials(1, learning_rate=1e-12))
    _, metrics = train_segment(pack, data, state, 1)
    assert metrics.values.item() == pytest.approx(math.log1p(math.exp(-30)), rel=1e-6)
