"""Where weights start: variances, orthogonality, transfer."""

from __future__ import annotations

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Constant,
    Distribution,
    GivenArrays,
    He,
    LeCun,
    Orthogonal,
    Pack,
    ScaledGaussian,
    Signature,
    TargetKind,
    TrainingData,
    UnitGaussian,
    Xavier,
    initial_state,
    make_trials,
)
from packtrain.training.initializers import initialize_layer, is_drawn

DRAWN = [
    (ScaledGaussian(), 1 / 300, 1),
    (UnitGaussian(), 1, 1),
    (Xavier(), 2 / 500, 0),
    (Xavier(Distribution.UNIFORM), 2 / 500, 0),
    (He(), 2 / 300, 0),
    (He(Distribution.UNIFORM), 2 / 300, 0),
    (LeCun(), 1 / 300, 0),
    (LeCun(Distribution.UNIFORM), 1 / 300, 0),
]


@pytest.mark.parametrize(("initialization", "variance", "bias_variance"), DRAWN)
def test_variance(initialization, variance, bias_variance):
    weights, biases = initialize_layer(initialization, 7, 0, 300, 200)
    assert weights.shape == (300, 200)
    assert biases.shape == (200,)
    # The relative deviation of a variance of 60,000 numbers is at most sqrt(2 / 60000).
    assert weights.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / 60000))
    assert abs(weights.mean()) < 4 * np.sqrt(variance / 60000)
    assert biases.var() == pytest.approx(bias_variance, rel=4 * np.sqrt(2 / 200))
    if getattr(initialization, "distribution", None) is Distribution.UNIFORM:
        assert np.abs(weights).max() <= np.sqrt(3 * variance)


@pytest.mark.parametrize("shape", [(5, 5), (12, 5), (5, 12), (1, 7), (7, 1), (1, 1)])
def test_orthogonal_rows_or_columns(shape):
    weights, biases = initialize_layer(Orthogonal(gain=1.5), 3, 1, *shape)
    assert weights.shape == shape
    assert not biases.any()
    inner = weights.T @ weights if shape[0] >= shape[1] else weights @ weights.T
    np.testing.assert_allclose(inner, 1.5**2 * np.eye(min(shape)), atol=1e-13)


def test_orthogonal_matrices_have_no_preferred_sign():
    corners = [initialize_layer(Orthogonal(), seed, 0, 3, 3)[0].diagonal() for seed in range(400)]
    # Without the signs' correction, QR leaves some diagonals mostly negative.
    assert np.abs(np.mean(corners, axis=0)).max() < 4 * np.sqrt(1 / 3 / 400)


def test_first_layers_are_given_and_the_rest_drawn():
    given = GivenArrays((np.full((3, 4), 0.5),), (np.arange(4.0),), rest=He())
    signature = Signature(
        sizes=(3, 4, 2, 1),
        hidden_activation=Activation.TANH,
        output_activation=Activation.SIGMOID,
        batch_size=1,
        epochs=1,
        data_type="float64",
        metrics=(),
    )
    data = TrainingData(np.zeros((1, 3)), np.zeros((1, 1)), None, None, TargetKind.NUMBERS)
    trials = make_trials(3, initialization=[given, He(), given], seeds=[4, 4, 5])
    state = initial_state(Pack(signature, trials), data)
    for k in (0, 2):
        assert (state.weights[0][k] == 0.5).all()
        np.testing.assert_array_equal(state.biases[0][k], np.arange(4))
    for layer in (1, 2):
        np.testing.assert_array_equal(state.weights[layer][0], state.weights[layer][1])
        assert (state.weights[layer][0] != state.weights[layer][2]).all()


def test_only_random_numbers_need_the_seed():
    given = GivenArrays((np.zeros((3, 4)),), (np.zeros(4),), rest=Constant())
    assert not is_drawn(given, 0)
    assert not is_drawn(given, 1)
    assert is_drawn(GivenArrays(given.weights, given.biases), 1)
    assert not is_drawn(Constant(), 0)
    assert is_drawn(Orthogonal(), 0)
