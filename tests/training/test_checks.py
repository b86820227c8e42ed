"""Library users hear in one sentence which field is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Cost,
    GivenArrays,
    He,
    Pack,
    PackError,
    Signature,
    TargetKind,
    TrainingData,
    check_pack,
    initial_state,
    make_trials,
    train_segment,
)

SIGNATURE = Signature(
    sizes=(2, 3, 1),
    hidden_activation=Activation.SIGMOID,
    output_activation=Activation.SIGMOID,
    batch_size=4,
    epochs=1,
    data_type="float32",
    metrics=("training_cost",),
)
X, Y = np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32)
DATA = TrainingData(X, Y, None, None, TargetKind.NUMBERS)
TRIALS = make_trials(2, learning_rate=0.1)


@pytest.mark.parametrize(
    ("signature", "trials", "data", "field"),
    [
        ({"sizes": (2,)}, {}, {}, "signature.sizes"),
        ({"sizes": (2, 0, 1)}, {}, {}, "signature.sizes"),
        ({"hidden_activation": Activation.SOFTMAX}, {}, {}, "signature.hidden_activation"),
        ({"output_activation": Activation.TANH}, {}, {}, "trials.costs[0]"),
        ({"batch_size": 0}, {}, {}, "signature.batch_size"),
        ({"data_type": "float16"}, {}, {}, "signature.data_type"),
        ({"data_type": "float64"}, {}, {}, "data.x"),
        ({"metrics": ("loss",)}, {}, {}, "signature.metrics[0]"),
        ({"metrics": ("validation_cost",)}, {}, {}, "signature.metrics[0]"),
        ({"metrics": ("output", "training_accuracy")}, {}, {}, "signature.metrics[1]"),
        ({}, {"learning_rate": np.array([0.1, 0.0])}, {}, "trials.learning_rate[1]"),
        ({}, {"learning_rate": np.array([0.1, np.nan])}, {}, "trials.learning_rate[1]"),
        ({}, {"momentum": np.array([1.0, 0.0])}, {}, "trials.momentum[0]"),
        ({}, {"l2": np.zeros(3)}, {}, "trials.l2"),
        ({}, {"cost": np.array([0, 1])}, {}, "trials.cost[1]"),
        (
            {},
            {"initializations": (GivenArrays((np.zeros((3, 2)),), (np.zeros(3),)),)},
            {},
            "trials.initializations[0].weights",
        ),
        ({}, {}, {"x": np.zeros((4, 3), np.float32)}, "data.x"),
        ({}, {}, {"x": np.zeros((2, 4), np.float32).T}, "data.x"),
        ({}, {}, {"y": np.zeros((5, 1), np.float32)}, "data.y"),
        ({}, {}, {"y": np.full((4, 1), 2, np.float32)}, "data.y"),
        ({}, {}, {"x": np.zeros((0, 2), np.float32)}, "data.x"),
        ({}, {}, {"x_validation": X, "y_validation": Y[:2]}, "data.validation.y"),
    ],
)
def test_field_is_named(signature, trials, data, field):
    pack = Pack(replace(SIGNATURE, **signature), replace(TRIALS, **trials))
    with pytest.raises(PackError) as caught:
        check_pack(pack, replace(DATA, **data))
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")
    assert "\n" not in str(caught.value)


def test_log_likelihood_needs_rows_that_sum_to_one():
    signature = replace(SIGNATURE, sizes=(2, 2), output_activation=Activation.SOFTMAX)
    pack = Pack(signature, make_trials(1, learning_rate=1, cost=Cost.LOG_LIKELIHOOD))
    data = TrainingData(X, np.ones((4, 2), np.float32), None, None, TargetKind.CLASSES)
    with pytest.raises(PackError, match=r"data\.y: log_likelihood"):
        initial_state(pack, data)


def test_state_must_be_of_the_pack():
    pack = Pack(SIGNATURE, TRIALS)
    state = initial_state(pack, DATA)
    with pytest.raises(PackError, match=r"state: .*2 trials"):
        train_segment(pack, DATA, state.select(np.array([0])), 1)
    wide = Pack(replace(SIGNATURE, sizes=(2, 4, 1)), TRIALS)
    with pytest.raises(PackError, match=r"state\.weights"):
        train_segment(wide, DATA, state, 1)


def test_columns_are_broadcast_and_choices_are_indexed():
    trials = make_trials(
        3, learning_rate=[1, 2, 3], l2=0.5, initialization=[He(), He(), He()], cost=Cost.QUADRATIC
    )
    np.testing.assert_array_equal(trials.learning_rate, [1, 2, 3])
    np.testing.assert_array_equal(trials.l2, [0.5] * 3)
    np.testing.assert_array_equal(trials.seeds, [0, 1, 2])
    assert trials.initializations == (He(),)
    assert trials.costs == (Cost.QUADRATIC,)
    with pytest.raises(ValueError, match="momentum: expected one value or 3"):
        make_trials(3, learning_rate=1, momentum=[0.5, 0.9])
