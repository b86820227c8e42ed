"""Arguments and fields of another kind than expected are refused in one sentence, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.training.test_checks import DATA, SIGNATURE, TRIALS

from packtrain.training import (
    Cost,
    GivenArrays,
    Pack,
    PackError,
    Schedule,
    Trials,
    check_pack,
    initial_state,
    make_trials,
    train,
    train_segment,
)

PACK = Pack(SIGNATURE, TRIALS)
STATE = initial_state(PACK, DATA)
W, B = [[0.5, 1, 2], [3, 4, 5]], [0, 1, 2]


@pytest.mark.parametrize(
    ("pack", "data", "said"),
    [
        (None, DATA, "pack: expected a Pack, got None."),
        (SIGNATURE, DATA, "pack: expected a Pack, got Signature("),
        (PACK, None, "data: expected TrainingData, got None."),
        (PACK, (DATA.x, DATA.y), "data: expected TrainingData, got (array("),
        (Pack(None, TRIALS), DATA, "pack.signature: expected a Signature, got None."),
        (Pack(SIGNATURE, 2), DATA, "pack.trials: expected Trials, got 2."),
    ],
)
@pytest.mark.parametrize(
    "use",
    [train, check_pack, initial_state, lambda pack, data: train_segment(pack, data, None, 1)],
    ids=["train", "check_pack", "initial_state", "train_segment"],
)
def test_arguments_are_of_their_kinds(use, pack, data, said):
    with pytest.raises(PackError) as caught:
        use(pack, data)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patience": "x"}, "signature.patience: expected Patience(...), or None, got 'x'."),
        ({"target": 0.5}, "signature.target: expected Target(...), or None, got 0.5."),
        (
            {"augmentation": (1, 2)},
            "signature.augmentation: expected Augmentation(...), or None, got (1, 2).",
        ),
    ],
)
def test_parts_of_a_signature_are_of_their_kinds(changes, said):
    with pytest.raises(PackError) as caught:
        check_pack(Pack(replace(SIGNATURE, **changes), TRIALS), DATA)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": DATA.x.tolist()}, "data.x: expected an array of float32, got [["),
        ({"y": None}, "data.y: expected an array of float32, got None."),
        ({"x": DATA.x.astype(float)}, "data.x: expected an array of float32, got one of float64."),
        ({"x_validation": DATA.x}, "data.y_validation: expected an array of float32, got None."),
        ({"y_validation": DATA.y}, "data.x_validation: expected an array of float32, got None."),
        ({"target_kind": "classes"}, "data.target_kind: expected a TargetKind, got 'classes'."),
    ],
)
def test_parts_of_the_data_are_of_their_kinds(changes, said):
    with pytest.raises(PackError) as caught:
        check_pack(PACK, replace(DATA, **changes))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        (replace(TRIALS, seeds=np.array(3)), "trials.seeds: expected shape (trials,), got ()."),
        (replace(TRIALS, costs=None), "trials.costs: expected a tuple, got None."),
        (
            make_trials(1, cost=Cost("cross")),
            "trials.costs[0].kind: expected a CostKind, such as CostKind.HINGE, got 'cross'.",
        ),
        (
            make_trials(1, cost=replace(Cost.QUADRATIC, class_weights=3)),
            "trials.costs[0].class_weights: expected a tuple of numbers, got 3.",
        ),
        (
            make_trials(1, schedule=Schedule("cosine")),
            "trials.schedules[0].shape: expected a shape, such as CosineDecay(), got 'cosine'.",
        ),
        (
            make_trials(1, initialization=GivenArrays(None, ())),
            "trials.initializations[0].weights: expected a tuple of arrays, one a layer, got None.",
        ),
        (
            make_trials(1, initialization=GivenArrays(([[1, 2, 3], [4]],), (B,))),
            "trials.initializations[0].weights[0]: expected an array of numbers, got [[1, 2, 3], ",
        ),
        (
            make_trials(1, initialization=GivenArrays((W,), (["a", "b", "c"],))),
            "trials.initializations[0].biases[0]: expected an array of numbers, got ['a', ",
        ),
        (
            make_trials(1, initialization=GivenArrays((W,), (B,), "he")),
            "trials.initializations[0].rest: expected an initialization, such as He(), got 'he'.",
        ),
    ],
)
def test_parts_of_trials_are_of_their_kinds(trials: Trials, said):
    with pytest.raises(PackError) as caught:
        check_pack(Pack(SIGNATURE, trials), DATA)
    assert str(caught.value).startswith(said)


def test_given_lists_are_arrays():
    def start(weights, biases):
        return initial_state(
            Pack(SIGNATURE, make_trials(1, initialization=GivenArrays(weights, biases))), DATA
        )

    lists, arrays = start([W], [B]), start((np.array(W),), (np.array(B, float),))
    for name in ("weights", "biases"):
        for found, expected in zip(getattr(lists, name), getattr(arrays, name), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": "1"}, "state.epoch: expected a whole number, got '1'."),
        ({"epoch": -1}, "state.epoch: expected at least 0, got -1."),
        ({"weights": None}, "state.weights: expected float32 of shapes [(2, 2, 3), (2, 3, 1)]."),
        ({"biases": STATE.biases[:1]}, "state.biases: expected float32 of shapes [(2, 3), (2, 1)]"),
        ({"weight_moments": None}, "state.weight_moments: expected a tuple of layers for each "),
        ({"bias_moments": ((1, 2),)}, "state.bias_moments[0]: expected float32 of shapes [(2, 3)"),
        (
            {"diverged_at": [0, 0]},
            "state.diverged_at: expected an array of whole numbers, got [0, ",
        ),
        ({"diverged_at": 0}, "state.diverged_at: expected an array of whole numbers, got 0."),
        ({"stopped_at": np.zeros(2)}, "state.stopped_at: expected an array of whole numbers, got "),
        ({"rate_share": np.ones(3)}, "state.rate_share: expected shape (2,), got (3,)."),
        ({"plateau": None}, "state.plateau: expected a Watch, got None."),
        (
            {"patience": replace(STATE.patience, best=None)},
            "state.patience.best: expected an array of real numbers, got None.",
        ),
    ],
)
def test_parts_of_a_state_are_of_their_kinds(changes, said):
    with pytest.raises(PackError) as caught:
        train_segment(PACK, DATA, replace(STATE, **changes), 1)
    assert str(caught.value).startswith(said)


def test_a_state_is_none_of_arrays():
    with pytest.raises(PackError, match="state: expected a PackState, or None, got "):
        train_segment(PACK, DATA, STATE.weights, 1)


@pytest.mark.parametrize(
    ("epochs", "record_after", "field"), [(None, 0, "epochs"), (1, None, "record_after")]
)
def test_epochs_of_a_segment_are_numbers(epochs, record_after, field):
    with pytest.raises(PackError, match=f"{field}: expected a whole number, got None"):
        train_segment(PACK, DATA, STATE, epochs, record_after=record_after)
