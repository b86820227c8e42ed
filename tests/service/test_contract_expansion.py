"""Searches expanded: what is a column, a table entry or a group of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.service.specifications import RATE, choice, inline, search

from packtrain.service.contract import NumberField, TrialParameters, catalogue
from packtrain.service.contract.expansion import Expansion
from packtrain.service.errors import InvalidSpecError
from packtrain.training import (
    NUMBERS,
    Constant,
    CosineDecay,
    Cost,
    He,
    Rule,
    ScaledGaussian,
    Schedule,
    Signature,
    StepDecay,
    Target,
    UnitGaussian,
)


def test_costs_and_initializations_are_choices_within_a_pack(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    found = expanded(
        search(
            choice("cost", {"quadratic": {}}, {"crossEntropy": {}}),
            choice("initialization", {"he": {}}, {"constant": {"weight": 0.6, "bias": 0.9}}),
            choice(RATE, 0.5, 2),
        )
    )
    (group,) = found.groups
    trials = group.pack.trials
    costs = [trials.costs[i] for i in trials.cost]
    assert costs == [Cost.QUADRATIC] * 4 + [Cost.CROSS_ENTROPY] * 4
    starts = [trials.initializations[i] for i in trials.initialization]
    assert starts == [He(), He(), Constant(0.6, 0.9), Constant(0.6, 0.9)] * 2
    assert trials.learning_rate.tolist() == [0.5, 2.0] * 4


def test_structure_tells_groups_apart(expanded: Callable[[dict[str, object]], Expansion]) -> None:
    found = expanded(
        search(
            choice("network.hidden", [], [4], [4, 3]),
            choice("batch_size", 5, 10),
            choice("network.hidden_activation", "ACTIVATION_TANH", "ACTIVATION_RELU"),
        )
    )
    assert found.trials == 12
    everyone = np.concatenate([g.indices for g in found.groups])
    assert sorted(everyone.tolist()) == list(range(12))
    for group in found.groups:
        (index,) = group.indices.tolist()
        signature = group.pack.signature
        assert signature.sizes == [(2, 1), (2, 4, 1), (2, 4, 3, 1)][index // 4]
        assert signature.batch_size == [5, 10][index // 2 % 2]
        assert signature.hidden_activation.name == ["TANH", "RELU"][index % 2]
    assert found.layer_sizes == ()


def test_a_whole_optimizer_can_be_chosen(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    rates = [{"sgd": {"learningRate": 2}}, {"sgd": {"momentum": 0.9}}, {"sgd": {}}]
    (group,) = expanded(search(choice("optimizer", *rates))).groups
    assert group.pack.trials.learning_rate.tolist() == [2.0, 0.5, 0.5]
    assert group.pack.trials.momentum.tolist() == [0.0, 0.9, 0.0]


def test_optimizers_schedules_and_numbers_differ_within_a_pack(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    (group,) = expanded(
        search(
            choice(
                "optimizer",
                {"sgd": {"nesterov": True, "momentum": 0.9}, "schedule": {"cosine": {"period": 4}}},
                {"adam": {"beta1": 0.8}},
                {"lion": {}, "schedule": {"step": {}, "warmupEpochs": 2}},
            ),
            choice("regularization.max_norm", 1, 3),
            choice("cost.label_smoothing", 0, 0.1),
        )
    ).groups
    trials = group.pack.trials
    assert len(trials) == 12
    rules = [trials.rules[i] for i in trials.rule]
    assert rules == [Rule.NESTEROV] * 4 + [Rule.ADAM] * 4 + [Rule.LION] * 4
    assert trials.learning_rate.tolist() == [0.5] * 4 + [0.001] * 4 + [0.0001] * 4
    assert trials.momentum.tolist() == [0.9] * 4 + [0.0] * 8
    assert trials.beta1.tolist() == [NUMBERS["beta1"].default] * 4 + [0.8] * 4 + [0.9] * 4
    assert trials.beta2.tolist()[4:] == [0.999] * 4 + [0.99] * 4
    schedules = [trials.schedules[i] for i in trials.schedule]
    assert schedules[::4] == [
        Schedule(CosineDecay(4)),
        Schedule(),
        Schedule(StepDecay(10, 0.5), warmup_epochs=2),
    ]
    assert trials.max_norm.tolist() == [1, 1, 3, 3] * 3
    assert [trials.costs[i].label_smoothing for i in trials.cost] == [0, 0.1] * 6


NUMBER_PATHS = [(path, field) for path, field in catalogue.NUMBERS.items() if field.column]


@pytest.mark.parametrize(("path", "field"), NUMBER_PATHS, ids=[path for path, _ in NUMBER_PATHS])
def test_every_number_of_the_trainer_is_searched_by_its_path(
    expanded: Callable[[dict[str, object]], Expansion], path: str, field: NumberField
) -> None:
    (group,) = expanded(search((path, {"uniform": {"low": 0.25, "high": 0.75}}), trials=3)).groups
    trials = group.pack.trials
    column = getattr(trials, field.column)
    assert len(set(column.tolist())) == 3
    assert ((column >= 0.25) & (column < 0.75)).all()
    if path.startswith("optimizer"):
        assert [str(rule) for rule in trials.rules] == [path.split(".")[1]]


def test_every_number_of_the_trainer_has_a_path() -> None:
    assert set(catalogue.COLUMNS.values()) == set(NUMBERS)


def test_schedules_are_searched_within_a_pack(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    (group,) = expanded(
        {"epochs": 7}
        | search(
            ("optimizer.schedule.cosine.final", {"uniform": {"low": 0, "high": 1}}),
            choice("optimizer.sgd.nesterov", True, False),
            trials=6,
        )
    ).groups
    trials = group.pack.trials
    finals = [trials.schedules[i].shape.final for i in trials.schedule]
    assert len(set(finals)) == 6
    assert all(schedule.shape.period == 7 for schedule in trials.schedules)
    assert set(trials.rules) <= {Rule.NESTEROV, Rule.SGD}


@pytest.mark.parametrize(
    ("path", "values", "found"),
    [
        ("stopping.patience.epochs", [2, 5], lambda s: s.patience.epochs),
        ("stopping.target.value", [0.5, 0.9], lambda s: s.target.value),
        ("regularization.augmentation.shift", [0, 1], lambda s: s.augmentation.shift),
        (
            "regularization",
            [{"augmentation": {"height": 1, "width": 2, "shift": 3}}, {"l2": 5}],
            lambda s: (
                {"augmentation": {"height": 1, "width": 2, "shift": s.augmentation.shift}}
                if s.augmentation
                else {"l2": 5}
            ),
        ),
    ],
)
def test_what_is_shared_tells_groups_apart(
    expanded: Callable[[dict[str, object]], Expansion],
    path: str,
    values: list[object],
    found: Callable[[Signature], object],
) -> None:
    given = {"regularization": {"augmentation": {"height": 2}}} if "shift" in path else {}
    groups = expanded(given | search(choice(path, *values))).groups
    assert [found(g.pack.signature) for g in groups] == values
    if path == "regularization":
        assert [g.pack.trials.l2.tolist() for g in groups] == [[0], [5]]


def test_what_is_gone_by_is_measured(expanded: Callable[[dict[str, object]], Expansion]) -> None:
    plateau = {"plateau": {"metric": "training_f1"}}
    found = expanded(
        {"stopping": {"target": {"metric": "training_r2", "value": 0.5}}}
        | search(choice("optimizer.schedule", {"cosine": {}}, plateau))
    )
    expected = ["training_cost", "training_accuracy", "training_r2", "training_f1"]
    assert list(found.metrics) == list(found.spec.measurement.metrics) == expected
    (group,) = found.groups
    assert group.pack.signature.target == Target("training_r2", 0.5)
    # Where metrics are named, they are the ones that are measured.
    given = {"measurement": {"metrics": ["training_f1"]}}
    found = expanded(given | {"optimizer": {"schedule": plateau}})
    assert list(found.metrics) == ["training_f1"]


def test_labels_are_learnt_by_cross_entropy(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    document = inline([[0, 1], [1, 1], [0, 0]]) | {
        "network": {"outputActivation": "ACTIVATION_SIGMOID"},
        "measurement": {"metrics": ["training_label_accuracy", "training_f1"]},
    }
    (group,) = expanded(document).groups
    assert group.pack.trials.costs == (Cost.CROSS_ENTROPY,)
    assert group.pack.signature.sizes == (2, 2)
    wrong = document | {"cost": {"crossEntropy": {}, "labelSmoothing": 0.1}}
    with pytest.raises(InvalidSpecError, match="targets that stand for labels"):
        expanded(wrong)


def test_rows_of_shares_are_learnt_by_log_likelihood(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    softmax = {"network": {"outputActivation": "ACTIVATION_SOFTMAX"}}
    (group,) = expanded(inline([[0.25, 0.75], [1, 0]]) | softmax).groups
    assert group.pack.trials.costs == (Cost.LOG_LIKELIHOOD,)
    with pytest.raises(InvalidSpecError, match="in rows that sum to 1"):
        expanded(inline([[0.5, 0.75], [1, 0]]) | softmax)


def test_class_weights_cover_the_outputs(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    weights = {"cost": {"crossEntropy": {}, "classWeights": [1, 3]}}
    (group,) = expanded(weights).groups
    assert group.pack.trials.costs[0].class_weights == (1, 3)
    assert group.pack.signature.sizes[-1] == 1
    (group,) = expanded(weights | {"network": {"outputs": 4}}).groups
    assert group.pack.trials.costs[0].class_weights == (1, 3, 1, 1)


def test_a_searched_seed_is_the_plain_job_with_that_seed(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    (group,) = expanded(search(choice("seed", 7, 3, 2**63))).groups
    plain = [expanded({"seed": seed}).groups[0].pack.trials for seed in (7, 3, 2**63)]
    for name in ("seeds", "order_seeds"):
        expected = [getattr(trials, name)[0] for trials in plain]
        assert getattr(group.pack.trials, name).tolist() == expected


def test_a_trial_depends_on_its_index_alone(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    domain = {"logUniform": {"low": 1e-3, "high": 10}}
    few = expanded(search((RATE, domain), trials=5)).groups[0].pack.trials
    many = expanded(search((RATE, domain), trials=500)).groups[0].pack.trials
    np.testing.assert_array_equal(many.learning_rate[:5], few.learning_rate)
    np.testing.assert_array_equal(many.seeds[:5], few.seeds)


def test_parameters_are_told_as_they_are_trained(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    found = expanded(
        search(
            (RATE, {"uniform": {"low": 0.1, "high": 2}}),
            ("batch_size", {"integer": {"low": 2, "high": 8, "step": 3}}),
            choice("initialization", {"scaledGaussian": {}}, {"unitGaussian": {}}),
            trials=40,
        )
    )
    told = [TrialParameters(found.spec, found.trials).values(k) for k in (1, 7, 8, 39)]
    for trial, values in zip([1, 7, 8, 39], told, strict=True):
        (group,) = (g for g in found.groups if trial in g.indices)
        row = int(np.searchsorted(group.indices, trial))
        assert values[RATE].number_value == group.pack.trials.learning_rate[row]
        assert values["batch_size"].number_value == group.pack.signature.batch_size
        trials = group.pack.trials
        start = trials.initializations[trials.initialization[row]]
        kinds = {"scaledGaussian": ScaledGaussian(), "unitGaussian": UnitGaussian()}
        (kind,) = values["initialization"].struct_value.fields
        assert start == kinds[kind]
