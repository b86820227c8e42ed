"""Activations and costs far from 0, where formulas lose digits or overflow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc, expit

from packtrain.training import Activation, Cost, CostKind
from packtrain.training.activations import NEEDS_Z, activate, differentiate, mark_saturated
from packtrain.training.costs import elementwise_cost, output_error, smooth_targets, weigh_rows

EXACT = {
    Activation.SIGMOID: expit,
    Activation.TANH: np.tanh,
    Activation.RELU: lambda z: np.maximum(z, 0),
    Activation.LEAKY_RELU: lambda z: np.where(z > 0, z, 0.01 * z),
    Activation.ELU: lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    Activation.GELU: lambda z: z * erfc(-z / np.sqrt(2)) / 2,
    Activation.SILU: lambda z: z * expit(z),
    Activation.SOFTPLUS: lambda z: np.logaddexp(0, z),
    Activation.IDENTITY: lambda z: z,
    Activation.EXPONENTIAL: np.exp,
}
ELEMENTWISE = sorted(EXACT)


def apply(activation: Activation, z: np.ndarray) -> np.ndarray:
    a = np.empty_like(z)
    with np.errstate(over="ignore"):
        activate(activation, z, a, -1)
    return a


def slopes(activation: Activation, z: np.ndarray) -> np.ndarray:
    a = apply(activation, z)
    with np.errstate(over="ignore"):
        found = differentiate(activation, z if activation in NEEDS_Z else None, a, a.copy())
    return np.ones_like(z) if found is None else found


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 5e-7), ("float64", 1e-15)])
@pytest.mark.parametrize("activation", ELEMENTWISE)
def test_accurate_from_minus_80_to_80(activation, dtype, digits):
    z = np.linspace(-80, 80, 4001).astype(dtype)
    exact = EXACT[activation](z.astype(np.float64))
    # An error in the exponent is an error in the result: of z in an exponential,
    # of z^2 / 2 in a normal distribution's tail.
    digits *= {Activation.EXPONENTIAL: 80, Activation.GELU: 800}.get(activation, 4)
    tiny = float(np.finfo(dtype).tiny)
    np.testing.assert_allclose(apply(activation, z), exact, rtol=digits, atol=tiny)


@pytest.mark.parametrize("activation", [Activation.ELU, Activation.SOFTPLUS, Activation.GELU])
def test_no_digit_is_lost_near_0(activation):
    z = np.array([-1e-3, -1e-6, 1e-6, 1e-3], np.float32)
    exact = EXACT[activation](z.astype(np.float64))
    np.testing.assert_allclose(apply(activation, z), exact, rtol=3e-7)


@pytest.mark.parametrize("activation", ELEMENTWISE)
def test_derivatives_agree_with_central_differences(activation):
    z = np.linspace(-12, 12, 4000)  # without 0, where some have a kink
    exact = EXACT[activation]
    expected = (exact(z + 1e-5) - exact(z - 1e-5)) / 2e-5
    np.testing.assert_allclose(slopes(activation, z), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ELEMENTWISE)
def test_huge_inputs_make_no_nan(activation, dtype):
    z = np.array([-1e30, -1e4, -800, -100, 0, 100, 800, 1e4, 1e30], dtype)
    a, slope = apply(activation, z), slopes(activation, z)
    assert not np.isnan(a).any()
    assert not np.isnan(slope).any()
    if activation is not Activation.EXPONENTIAL:
        assert np.isfinite(a).all()
        assert (np.abs(slope) <= 1.2).all()


@pytest.mark.parametrize("activation", sorted(set(ELEMENTWISE) - NEEDS_Z))
def test_an_array_may_be_its_own_output(activation):
    z = np.linspace(-3, 3, 50)
    expected = apply(activation, z)
    activate(activation, z, z, -1)
    np.testing.assert_array_equal(z, expected)


@pytest.mark.parametrize("activation", sorted(NEEDS_Z))
def test_what_needs_z_says_so(activation):
    a = np.zeros(3)
    with pytest.raises(ValueError, match="need their weighted inputs"):
        differentiate(activation, None, a, a.copy())
    marks = np.empty(4)
    z = np.array([-6.0, -1.0, 0.0, 6.0])
    mark_saturated(activation, z, apply(activation, z), marks)
    np.testing.assert_array_equal(marks, [1, 0, 0, 0])


def cost_and_error(cost, activation, z, y):
    a, out, scratch = apply(activation, z), np.empty_like(z), np.empty_like(z)
    with np.errstate(over="ignore"):
        elementwise_cost(cost, z, a, y, None, out, scratch, -1)
        parts = out.copy()
        output_error(cost, activation, z, a, y, None, out, scratch, -1)
    return parts, out


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 2e-6), ("float64", 1e-14)])
def test_poisson_of_a_softplus_knows_no_logarithm_of_0(dtype, digits):
    z = np.array([[-1e4, -700, -100, -80, -20, -1, 0, 1, 20, 80, 1e4]], dtype)
    wide = z.astype(np.longdouble)
    rate = np.where(wide < -30, np.exp(wide), np.logaddexp(0, wide))
    log_rate = np.where(wide < -30, wide, np.log(np.maximum(rate, 1e-300)))
    ratio = np.where(wide < -30, 1, expit(z.astype(np.float64)) / np.maximum(rate, 1e-300))
    y = np.full_like(z, 3)
    parts, error = cost_and_error(Cost.POISSON, Activation.SOFTPLUS, z, y)
    np.testing.assert_allclose(parts, (rate - 3 * log_rate).astype(float), rtol=digits)
    np.testing.assert_allclose(error, ((rate - 3) * ratio).astype(float), rtol=digits)


def test_poisson_of_an_exponential_looks_at_z():
    z = np.array([[-500.0, -100.0, 0.0, 2.0]], np.float32)
    parts, error = cost_and_error(Cost.POISSON, Activation.EXPONENTIAL, z, np.ones_like(z))
    np.testing.assert_allclose(parts, np.exp(z) - z, rtol=1e-6)
    np.testing.assert_allclose(error, np.exp(z) - 1, rtol=1e-6)


def test_hand_worked_costs_and_errors():
    z = np.array([[2.0, -0.5, 0.25]])
    y = np.array([[1.0, 0.0, 1.0]])
    for cost, parts, error in (
        (Cost.HINGE, [0, 0.5, 0.75], [0, 1, -1]),
        (Cost.ABSOLUTE, [1, 0.5, 0.75], [1, -1, -1]),
        (Cost(CostKind.HUBER, huber_delta=0.6), [0.42, 0.125, 0.27], [0.6, -0.5, -0.6]),
    ):
        found = cost_and_error(cost, Activation.IDENTITY, z, y)
        np.testing.assert_allclose(found, [[parts], [error]], atol=1e-15)


def test_targets_are_smoothed_over_all_classes():
    cost = Cost(CostKind.CROSS_ENTROPY, label_smoothing=0.2)
    np.testing.assert_allclose(
        smooth_targets(cost, np.eye(4, dtype=np.float32)[:1]), [[0.85, 0.05, 0.05, 0.05]]
    )
    np.testing.assert_allclose(smooth_targets(cost, np.array([[0.0], [1.0]])), [[0.1], [0.9]])
    assert smooth_targets(cost, np.eye(4, dtype=np.float32)).dtype == np.float32
    y = np.eye(2)
    assert smooth_targets(Cost.QUADRATIC, y) is y


def test_rows_count_what_their_class_does():
    cost = Cost(CostKind.QUADRATIC, class_weights=(1.0, 2.5))
    np.testing.assert_array_equal(weigh_rows(cost, np.eye(2)[[1, 0, 1]]), [2.5, 1, 2.5])
    np.testing.assert_array_equal(weigh_rows(cost, np.array([[1.0], [0.0]])), [2.5, 1])
    assert weigh_rows(Cost.QUADRATIC, np.eye(2)) is None
