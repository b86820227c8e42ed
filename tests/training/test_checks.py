"""Library users hear in one sentence which field is wrong."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Augmentation,
    Constant,
    CosineDecay,
    Cost,
    CostKind,
    ExponentialDecay,
    GivenArrays,
    He,
    LeCun,
    OneCycle,
    Orthogonal,
    Pack,
    PackError,
    Patience,
    Plateau,
    PolynomialDecay,
    Schedule,
    Signature,
    StepDecay,
    Target,
    TargetKind,
    TrainingData,
    Xavier,
    check_pack,
    initial_state,
    make_trials,
    train,
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
        ({}, {}, {"x_validation": X, "y_validation": Y[:2]}, "data.y_validation"),
    ],
)
def test_field_is_named(signature, trials, data, field):
    pack = Pack(replace(SIGNATURE, **signature), replace(TRIALS, **trials))
    with pytest.raises(PackError) as caught:
        check_pack(pack, replace(DATA, **data))
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")
    assert "\n" not in str(caught.value)


CLASSES = TrainingData(
    np.zeros((4, 3), np.float32),
    np.eye(3, dtype=np.float32)[[0, 1, 2, 0]],
    None,
    None,
    TargetKind.CLASSES,
)
THREE = replace(SIGNATURE, sizes=(3, 4, 3))


def refused_field(pack: Pack, data: TrainingData) -> str:
    with pytest.raises(PackError) as caught:
        check_pack(pack, data)
    assert str(caught.value).startswith(f"{caught.value.field}: ")
    assert "\n" not in str(caught.value)
    return caught.value.field


@pytest.mark.parametrize(
    ("cost", "output", "y", "field"),
    [
        (Cost.CROSS_ENTROPY, "softmax", {}, "trials.costs[0]"),
        (Cost.LOG_LIKELIHOOD, "sigmoid", {}, "trials.costs[0]"),
        (Cost.HINGE, "sigmoid", {}, "trials.costs[0]"),
        (Cost.POISSON, "identity", {}, "trials.costs[0]"),
        (Cost.CROSS_ENTROPY, "sigmoid", {(0, 1): 1.5}, "data.y"),
        (Cost.LOG_LIKELIHOOD, "softmax", {(0, 0): 1.5, (0, 1): -0.5}, "data.y"),
        (Cost.HINGE, "identity", {(1, 0): 0.5}, "data.y"),
        (Cost.POISSON, "exponential", {(1, 0): -1}, "data.y"),
        (Cost(CostKind.HUBER, huber_delta=0.0), "tanh", {}, "trials.costs[0].huber_delta"),
        (Cost(CostKind.HUBER, huber_delta=np.inf), "tanh", {}, "trials.costs[0].huber_delta"),
        (Cost("quadratic", label_smoothing=1.0), "tanh", {}, "trials.costs[0].label_smoothing"),
        (Cost("quadratic", label_smoothing=-0.1), "tanh", {}, "trials.costs[0].label_smoothing"),
        (Cost("hinge", label_smoothing=0.1), "identity", {}, "trials.costs[0].label_smoothing"),
        (Cost("quadratic", label_smoothing=0.1), "tanh", {(0, 0): 2}, "trials.costs[0].label_smoo"),
        (Cost("quadratic", class_weights=(1, 2)), "tanh", {}, "trials.costs[0].class_weights"),
        (
            Cost("quadratic", class_weights=(1, -2, 1)),
            "tanh",
            {},
            "trials.costs[0].class_weights[1]",
        ),
        (
            Cost("quadratic", class_weights=(1, 2, 1)),
            "tanh",
            {(0, 1): 1},
            "trials.costs[0].class_w",
        ),
    ],
)
def test_costs_go_with_outputs_and_targets(cost, output, y, field):
    targets = CLASSES.y.copy()
    for place, value in y.items():
        targets[place] = value
    cost = replace(cost, kind=CostKind(cost.kind))
    signature = replace(THREE, output_activation=Activation(output))
    pack = Pack(signature, make_trials(1, cost=cost))
    assert refused_field(pack, replace(CLASSES, y=targets)).startswith(field)
    if y:
        check_pack(pack, CLASSES)


def test_weights_of_classes_need_classes():
    cost = Cost(CostKind.QUADRATIC, class_weights=(1, 2))
    pack = Pack(SIGNATURE, make_trials(1, cost=cost))
    assert refused_field(pack, DATA) == "trials.costs[0].class_weights"
    check_pack(pack, replace(DATA, target_kind=TargetKind.CLASSES))


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (StepDecay(0), "every"),
        (StepDecay(1, factor=0), "factor"),
        (StepDecay(1, factor=1.1), "factor"),
        (ExponentialDecay(0), "factor"),
        (PolynomialDecay(power=0), "power"),
        (PolynomialDecay(final=-0.1), "final"),
        (CosineDecay(period=-1), "period"),
        (CosineDecay(growth=0.5), "growth"),
        (CosineDecay(final=2), "final"),
        (OneCycle(peak_at=0), "peak_at"),
        (OneCycle(peak_at=1), "peak_at"),
        (OneCycle(start=-1), "start"),
        (OneCycle(final=np.nan), "final"),
        (Plateau("training_cost", patience=0), "patience"),
        (Plateau("training_cost", factor=1), "factor"),
        (Plateau("training_cost", least=1), "least"),
        (Plateau("validation_cost"), "metric"),
        (Plateau("loss"), "metric"),
    ],
)
def test_schedules_are_in_range(shape, name):
    pack = Pack(SIGNATURE, make_trials(1, schedule=Schedule(shape)))
    assert refused_field(pack, DATA) == f"trials.schedules[0].shape.{name}"


def test_warmup_is_in_range():
    pack = Pack(SIGNATURE, make_trials(1, schedule=Schedule(warmup_epochs=-1)))
    assert refused_field(pack, DATA) == "trials.schedules[0].warmup_epochs"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"patience": Patience("training_cost", 0)}, "signature.patience.epochs"),
        ({"patience": Patience("training_cost", 1, -1)}, "signature.patience.min_delta"),
        ({"patience": Patience("weight_norm", 1)}, "signature.patience.metric"),
        ({"target": Target("output", 1)}, "signature.target.metric"),
        ({"target": Target("training_cost", np.nan)}, "signature.target.value"),
        ({"augmentation": Augmentation(2, 2)}, "signature.augmentation"),
        ({"augmentation": Augmentation(-1, -2)}, "signature.augmentation.height"),
        ({"augmentation": Augmentation(1, 2, shift=-1)}, "signature.augmentation.shift"),
        ({"augmentation": Augmentation(1, 2, rotation=181)}, "signature.augmentation.rotation"),
        ({"hidden_activation": Activation.EXPONENTIAL}, "signature.hidden_activation"),
        ({"metrics": ("training_top5_accuracy",)}, "signature.metrics[0]"),
        ({"metrics": ("training_label_accuracy",)}, "signature.metrics[0]"),
        ({"metrics": ("training_f1",)}, "signature.metrics[0]"),
    ],
)
def test_the_course_of_a_run_makes_sense(changes, field):
    metrics = {"metrics": ("training_cost", "weight_norm")}
    pack = Pack(replace(SIGNATURE, **metrics | changes), TRIALS)
    assert refused_field(pack, DATA) == field


@pytest.mark.parametrize(
    ("initialization", "name"),
    [
        (Constant(np.nan), "weight"),
        (Constant(0, np.inf), "bias"),
        (Orthogonal(0), "gain"),
        (GivenArrays((), ()), "weights"),
        (GivenArrays((np.zeros((2, 3)),), ()), "biases"),
        (GivenArrays((np.full((2, 3), np.nan),), (np.zeros(3),)), "weights"),
        (GivenArrays((np.zeros((2, 3)),), (np.zeros(3),), Orthogonal(np.nan)), "rest.gain"),
    ],
)
def test_initializations_are_finite_and_fit(initialization, name):
    pack = Pack(SIGNATURE, make_trials(1, initialization=initialization))
    assert refused_field(pack, DATA) == f"trials.initializations[0].{name}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_data_are_finite(name, value):
    array = getattr(DATA, name).copy()
    array[2, 0] = value
    pack = Pack(SIGNATURE, make_trials(1, cost=Cost.QUADRATIC))
    assert refused_field(pack, replace(DATA, **{name: array})) == f"data.{name}"


def test_data_whose_sum_overflows_are_finite():
    check_pack(Pack(SIGNATURE, TRIALS), replace(DATA, x=np.full((4, 2), 3e38, np.float32)))


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


def test_a_refusal_comes_whole_from_another_process():
    error = PackError("trials.cost", "is wrong.")
    again = pickle.loads(pickle.dumps(error))
    assert (again.field, str(again)) == ("trials.cost", "trials.cost: is wrong.")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"batch_size": 5},
            "signature.batch_size: expected at most the 4 rows to train on, got 5.",
        ),
        ({"batch_size": 4.0}, "signature.batch_size: expected a whole number, got 4.0."),
        ({"batch_size": True}, "signature.batch_size: expected a whole number, got True."),
        ({"batch_size": "4"}, "signature.batch_size: expected a whole number, got '4'."),
        ({"epochs": 2.5}, "signature.epochs: expected a whole number, got 2.5."),
        ({"epochs": np.float64(3)}, "signature.epochs: expected a whole number, got 3.0."),
        ({"epochs": 0}, "signature.epochs: expected at least 1, got 0."),
        ({"measure_every": None}, "signature.measure_every: expected a whole number, got None."),
        (
            {"sizes": (2, 3.0, 1)},
            "signature.sizes: expected two or more whole numbers from 1, got (2, 3.0, 1).",
        ),
        (
            {"sizes": [2, 3, 1]},
            "signature.sizes: expected a tuple of the layers' widths, got [2, 3, 1].",
        ),
        ({"sizes": 3}, "signature.sizes: expected a tuple of the layers' widths, got 3."),
        (
            {"data_type": "float16"},
            "signature.data_type: expected 'float32' or 'float64', got 'float16'.",
        ),
        (
            {"data_type": np.float32},
            "signature.data_type: expected 'float32' or 'float64', got <class 'numpy.float32'>.",
        ),
        (
            {"data_type": ["float32"]},
            "signature.data_type: expected 'float32' or 'float64', got ['float32'].",
        ),
        (
            {"output_activation": "softmax"},
            "signature.output_activation: expected an Activation, such as Activation.SIGMOID, got "
            "'softmax'.",
        ),
        (
            {"metrics": "training_cost"},
            "signature.metrics: expected a tuple of names, got 'training_cost'.",
        ),
        (
            {"patience": Patience("training_cost", 2.5)},
            "signature.patience.epochs: expected a whole number, got 2.5.",
        ),
        (
            {"patience": Patience(["training_cost"], 2)},
            "signature.patience.metric: expected one of ",
        ),
        (
            {"target": Target("training_cost", "low")},
            "signature.target.value: expected a number, got 'low'.",
        ),
        (
            {"augmentation": Augmentation(1.0, 2)},
            "signature.augmentation.height: expected a whole number, got 1.0.",
        ),
    ],
)
def test_what_is_no_such_number_is_refused_in_one_sentence(changes, said):
    with pytest.raises(PackError) as caught:
        train(Pack(replace(SIGNATURE, **changes), TRIALS), DATA)
    assert str(caught.value).startswith(said)


def test_whole_numbers_of_numpy_are_whole_numbers():
    changes = {"batch_size": np.int64(2), "epochs": np.int32(1), "sizes": (2, np.int64(3), 1)}
    train(Pack(replace(SIGNATURE, **changes), TRIALS), DATA)


@pytest.mark.parametrize("name", ["seeds", "order_seeds"])
@pytest.mark.parametrize(
    ("seeds", "place", "found"),
    [
        (-1, "", "expected 0 to 18446744073709551615, got -1."),
        ([3, -1], "[1]", "expected 0 to 18446744073709551615, got -1."),
        (np.array([3, -1]), "[1]", "expected 0 to 18446744073709551615, got -1."),
        (2**64, "", "expected 0 to 18446744073709551615, got 18446744073709551616."),
        ([2**64, 1], "[0]", "expected 0 to 18446744073709551615, got 18446744073709551616."),
        (2.5, "", "expected a whole number, got 2.5."),
        (np.array([1.0, 2.0]), "[0]", "expected a whole number, got 1.0."),
        ([1, None], "[1]", "expected a whole number, got None."),
        ("7", "", "expected a whole number, got '7'."),
        ([True, False], "[0]", "expected a whole number, got True."),
        ([1, 2, 3], "", "expected one value or 2, got shape (3,)."),
    ],
)
def test_seeds_are_whole_numbers_of_64_bits(name, seeds, place, found):
    with pytest.raises(PackError) as caught:
        make_trials(2, **{name: seeds})
    assert str(caught.value) == f"{name}{place}: {found}"


def test_the_largest_seeds_are_kept():
    assert make_trials(2, seeds=[2**64 - 1, 1]).seeds.tolist() == [2**64 - 1, 1]
    assert make_trials(2, order_seeds=2**64 - 1).order_seeds.tolist() == [2**64 - 1] * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": np.array([1, -1])}, "trials.seeds[1]: expected at least 0, got -1."),
        (
            {"seeds": np.array([1.0, 2.0])},
            "trials.seeds: expected an array of whole numbers, got float64.",
        ),
        ({"seeds": 3}, "trials.seeds: expected an array of whole numbers, got 3."),
        (
            {"order_seeds": [1, 2]},
            "trials.order_seeds: expected an array of whole numbers, got [1, 2].",
        ),
        (
            {"learning_rate": np.array(["a", "b"])},
            "trials.learning_rate: expected an array of numbers, got <U1.",
        ),
        ({"cost": np.zeros(2)}, "trials.cost: expected an array of whole numbers, got float64."),
        (
            {"costs": ("quadratic",)},
            "trials.costs[0]: expected a cost of packtrain.training, got 'quadratic'.",
        ),
        ({"rules": ("sgd",)}, "trials.rules[0]: expected a rule of packtrain.training, got 'sgd'."),
    ],
)
def test_columns_and_tables_are_of_their_kinds(changes, said):
    with pytest.raises(PackError) as caught:
        train(Pack(SIGNATURE, replace(TRIALS, **changes)), DATA)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("count", "numbers", "said"),
    [
        (2.0, {}, "count: expected a whole number, got 2.0."),
        (0, {}, "count: expected at least 1, got 0."),
        (2, {"learning_rate": "0.5"}, "learning_rate: expected numbers, got '0.5'."),
        (2, {"l2": [0.1, None]}, "l2: expected numbers, got [0.1, None]."),
        (2, {"l2": [[0.1], [1, 2]]}, "l2: expected numbers, got [[0.1], [1, 2]]."),
        (2, {"l2": [0.1] * 3}, "l2: expected one value or 2, got shape (3,)."),
        (2, {"cost": [Cost.QUADRATIC] * 3}, "cost: expected one value or 2, got 3."),
    ],
)
def test_what_makes_no_columns_is_refused(count, numbers, said):
    with pytest.raises(PackError) as caught:
        make_trials(count, **numbers)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (StepDecay(2.5), "every"),
        (CosineDecay(period=1.5), "period"),
        (Plateau("training_cost", patience=2.0), "patience"),
    ],
)
def test_epochs_of_schedules_are_whole(shape, name):
    pack = Pack(SIGNATURE, make_trials(1, schedule=Schedule(shape)))
    assert refused_field(pack, DATA) == f"trials.schedules[0].shape.{name}"


@pytest.mark.parametrize(
    ("epochs", "record_after"), [(2.5, 0), (-1, 0), ("3", 0), (1, 0.5), (1, -2)]
)
def test_the_epochs_of_a_segment_are_whole(epochs, record_after):
    pack = Pack(SIGNATURE, make_trials(1))
    with pytest.raises(PackError) as caught:
        train_segment(pack, DATA, None, epochs, record_after=record_after)
    assert caught.value.field == ("epochs" if record_after == 0 else "record_after")


@pytest.mark.parametrize("kind", [He, LeCun, Xavier])
def test_a_distribution_is_none_of_text(kind):
    pack = Pack(SIGNATURE, make_trials(1, initialization=kind("uniform")))
    assert refused_field(pack, DATA) == "trials.initializations[0].distribution"


def test_no_metric_is_named_twice():
    twice = replace(SIGNATURE, metrics=("training_cost", "output", "training_cost"))
    assert refused_field(Pack(twice, make_trials(1)), DATA) == "signature.metrics[2]"
