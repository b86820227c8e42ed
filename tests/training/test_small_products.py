"""Products that are cut into small ones, and trials that step in matrices of their own."""

from __future__ import annotations

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Pack,
    Rule,
    Signature,
    TargetKind,
    TrainingData,
    first_layer,
    joint,
    make_trials,
    stacked,
    train_segment,
)
from packtrain.training.small_products import multiply_in_parts


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("rows", "inner", "units"),
    [(32, 784, 100), (784, 32, 100), (200, 784, 100), (10, 784, 30), (785, 33, 97), (200, 784, 30)],
)
def test_a_cut_product_is_the_product_and_the_same_for_any_number_of_trials(
    rows, inner, units, dtype
):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, inner)).astype(dtype)
    w = rng.normal(size=(3, inner, units)).astype(dtype)
    out = np.full((3, rows, units), np.nan, dtype)
    multiply_in_parts(x, w, out)
    error = {"float32": 1e-3, "float64": 1e-11}[dtype]
    np.testing.assert_allclose(out, x.astype(float) @ w, rtol=0, atol=error)
    alone = np.empty_like(out[:1])
    multiply_in_parts(x, w[1:2], alone)
    np.testing.assert_array_equal(alone[0], out[1])


@pytest.mark.parametrize("slab_bytes", [first_layer.SLAB_BYTES, 4096])
@pytest.mark.parametrize(
    "numbers",
    [
        {"rule": Rule.ADAM},
        {"rule": Rule.ADAM, "beta1": np.array([0.0, 0.5, 0.9]), "beta2": 0.9, "l2": 1.0},
        {"rule": Rule.ADAMW, "learning_rate": np.array([0.1, 0.01, 0.001]), "l2": 1.0},
        {"rule": Rule.ADAM, "l1": 0.1, "max_norm": 1.0},
        {"rule": Rule.ADAM, "clip_norm": 0.1},
        {"rule": Rule.NADAM},
        {"rule": Rule.RMSPROP},
        {"momentum": 0.9},
    ],
)
def test_trials_step_alone_as_they_do_side_by_side(numbers, slab_bytes, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 50)), np.eye(3)[rng.integers(0, 3, 20)]
    data = TrainingData(x, y, None, None, TargetKind.CLASSES)
    signature = Signature(
        sizes=(50, 30, 3),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=8,
        epochs=2,
        data_type="float64",
        metrics=("training_cost",),
    )
    pack = Pack(signature, make_trials(3, **({"learning_rate": 0.01} | numbers)))
    monkeypatch.setattr(first_layer, "SLAB_BYTES", slab_bytes)
    found = []
    for arrangement in (joint.ALONE, joint.WIDE):
        monkeypatch.setattr(stacked, "arrange", lambda *shape, kept=arrangement: kept)
        # In two segments: moments come out and go in again.
        state, _ = train_segment(pack, data, None, 1)
        found.append(train_segment(pack, data, state, 1)[0])
    for one, other in zip(*map(arrays_of, found), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def arrays_of(state):
    moments = (*state.weight_moments, *state.bias_moments)
    return [*state.weights, *state.biases, *(array for layers in moments for array in layers)]
