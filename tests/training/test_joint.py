"""Products of many trials at once, and whether a trial's place in them matters."""

from __future__ import annotations

import numpy as np
import pytest

from packtrain.training import joint


@pytest.fixture
def _forgetful():
    joint.is_placeless.cache_clear()
    yield
    joint.is_placeless.cache_clear()


@pytest.mark.parametrize("trials", [1, 2, 9, 11, 25])
@pytest.mark.parametrize("units", [1, 30, 128, 200, 900])
@pytest.mark.parametrize("arrangement", joint.ARRANGEMENTS)
def test_a_layout_gives_back_what_it_was_given(trials, units, arrangement):
    layout = arrangement.lay_out(trials, units)
    stacked = np.random.default_rng(0).normal(size=(trials, 4, units))
    loaded = layout.load(stacked)
    assert loaded.shape == (layout.groups, 4, layout.width)
    assert layout.width <= max(arrangement.widest, units)
    assert layout.width % 1024 or layout.each == 1
    assert layout.slots - trials < layout.groups
    np.testing.assert_array_equal(layout.unload(loaded), stacked)
    assert np.count_nonzero(loaded) == stacked.size  # margins and empty slots are 0
    values = layout.across(np.arange(trials) + 1.0, 0, np.float64)
    np.testing.assert_array_equal(layout.unload(values)[:, 0, 0], np.arange(trials) + 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arrangement", joint.ARRANGEMENTS)
def test_joint_products_are_the_products_of_each_trial(dtype, arrangement):
    rng = np.random.default_rng(1)
    layout = arrangement.lay_out(13, 30)
    x = rng.normal(size=(7, 20)).astype(dtype)
    w = rng.normal(size=(13, 20, 30)).astype(dtype)
    out = layout.zeros(7, dtype)
    joint.multiply(x, layout.load(w), out, layout)
    np.testing.assert_allclose(layout.unload(out), x @ w, rtol=1e-3, atol=1e-4)
    errors = rng.normal(size=(13, 7, 30)).astype(dtype)
    less = layout.load(w)
    joint.subtract(x.T, layout.load(errors), less, layout)
    np.testing.assert_allclose(layout.unload(less), w - x.T @ errors, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("_forgetful")
def test_a_product_that_depends_on_the_place_is_found_out(monkeypatch):
    shape = (np.dtype("float32"), 5, 40, 30, True, joint.MARGINED)
    assert joint.is_placeless("subtraction", *shape)
    joint.is_placeless.cache_clear()
    exact = joint._subtract

    def other_at_the_end(x, a, out):
        exact(x, a, out)
        if out.shape[-1] > 200:
            out[..., 150:180] *= 1 + 2**-23

    monkeypatch.setattr(joint, "_subtract", other_at_the_end)
    assert not joint.is_placeless("subtraction", *shape)


def test_the_first_arrangement_without_a_place_that_matters_is_taken(monkeypatch):
    def place_matters_in(*arrangements):
        monkeypatch.setattr(joint, "is_placeless", lambda *shape: shape[-1] not in arrangements)
        return joint.arrange(100, 784, 30, "float32", True)

    assert place_matters_in() is joint.WIDE
    assert place_matters_in(joint.WIDE) is joint.MARGINED
    # Where neither does, each trial gets a product of its own.
    assert place_matters_in(*joint.ARRANGEMENTS) is joint.MARGINED


@pytest.mark.parametrize("is_fast", [False, True])
def test_only_large_layers_that_step_one_by_one_lie_alone(is_fast, monkeypatch):
    monkeypatch.setattr(joint, "are_small_products_fast", lambda: is_fast)
    alone = [
        joint.arrange(32, inputs, 30, "float32", is_deferred) is joint.ALONE
        for inputs, is_deferred in ((784, False), (784, True), (20, False))
    ]
    assert alone == [is_fast, False, False]


@pytest.mark.parametrize("groups", [1, 7, 8, 9])
def test_as_many_trials_are_measured_together_as_fill_a_wide_matrix(groups):
    layout = joint.ALONE.lay_out(groups, 100)
    assert (layout.groups, layout.groups_together) == (groups, min(groups, 8))
    assert joint.WIDE.lay_out(8 * groups, 100).groups_together == 1
