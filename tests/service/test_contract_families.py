"""Wrong numbers and alternatives of costs, optimizers, schedules and the like are named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.service.specifications import PLAIN, read

from packtrain.service.errors import InvalidSpecError

WRONG: list[tuple[str, dict[str, object], list[str]]] = [
    (
        "a hidden exponential",
        {"network": {"hidden": [3], "hiddenActivation": "ACTIVATION_EXPONENTIAL"}},
        ["network.hidden_activation"],
    ),
    (
        "an orthogonal gain of zero",
        {"initialization": {"orthogonal": {"gain": 0}}},
        ["initialization.orthogonal.gain"],
    ),
    (
        "numbers of adam out of their ranges",
        {"optimizer": {"adam": {"learningRate": -1, "beta1": 1, "beta2": -0.1, "epsilon": 0}}},
        [f"optimizer.adam.{name}" for name in ("learning_rate", "beta1", "beta2", "epsilon")],
    ),
    (
        "bounds of zero",
        {"regularization": {"maxNorm": 0, "clipNorm": 0, "inputNoise": -1}},
        [f"regularization.{name}" for name in ("max_norm", "clip_norm", "input_noise")],
    ),
    (
        "images of no square",
        {"regularization": {"augmentation": {"shift": 1}}},
        ["regularization.augmentation"],
    ),
    (
        "images of another size",
        {"regularization": {"augmentation": {"height": 2, "width": 2, "shift": -1}}},
        ["regularization.augmentation", "regularization.augmentation.shift"],
    ),
    (
        "images turned too far",
        {"regularization": {"augmentation": {"height": 0, "width": 2, "rotation": 181}}},
        [f"regularization.augmentation.{name}" for name in ("height", "rotation")],
    ),
    *(
        (
            f"a schedule's numbers out of their ranges: {shape}",
            {"optimizer": {"schedule": {shape: numbers, "warmupEpochs": -1}}},
            [
                "optimizer.schedule.warmup_epochs",
                *(f"optimizer.schedule.{field}" for field in fields),
            ],
        )
        for shape, numbers, fields in [
            ("step", {"every": 0, "factor": 2}, ["step.every", "step.factor"]),
            ("exponential", {"factor": 0}, ["exponential.factor"]),
            ("polynomial", {"power": 0, "final": 2}, ["polynomial.power", "polynomial.final"]),
            (
                "cosine",
                {"period": 0, "growth": 0.5, "final": -1},
                ["cosine.period", "cosine.growth", "cosine.final"],
            ),
            (
                "oneCycle",
                {"peakAt": 1, "start": 2, "final": 2},
                ["one_cycle.peak_at", "one_cycle.start", "one_cycle.final"],
            ),
            (
                "plateau",
                {"metric": "speed", "patience": 0, "factor": 1, "least": 1},
                ["plateau.metric", "plateau.patience", "plateau.factor", "plateau.least"],
            ),
        ]
    ),
    (
        "stopping by what can't be had",
        {
            "stopping": {
                "patience": {"metric": "validation_cost", "epochs": 0, "minDelta": -1},
                "target": {"metric": "weight_norm"},
            }
        },
        [
            "stopping.patience.metric",
            "stopping.patience.epochs",
            "stopping.patience.min_delta",
            "stopping.target.metric",
            "stopping.target.value",
        ],
    ),
    *(
        (
            f"a target that {metric} can't reach",
            {
                "dataset": PLAIN["dataset"] | {"validationShare": 0.5},
                "stopping": {"target": {"metric": metric, "value": value}},
            },
            ["stopping.target.value"],
        )
        for metric, value in [
            ("validation_accuracy", 97),
            ("", 97),
            ("training_f1", -0.1),
            ("training_mean_squared_error", -1),
            ("validation_r2", 1.5),
        ]
    ),
    (
        "going by what is not measured",
        {
            "measurement": {"metrics": ["output"]},
            "optimizer": {"schedule": {"plateau": {}}},
            "stopping": {"patience": {"metric": "training_accuracy"}},
        },
        ["optimizer.schedule.plateau.metric", "stopping.patience.metric"],
    ),
    (
        "metrics of other targets",
        {"measurement": {"metrics": ["training_label_accuracy", "training_top5_accuracy"]}},
        ["measurement.metrics[0]", "measurement.metrics[1]"],
    ),
    (
        "what needs no data of the new fields is checked without it",
        {
            "dataset": {"name": "datasets/none"},
            "cost": {"huber": {"delta": -1}},
            "optimizer": {"lion": {"beta2": 1}, "schedule": {"step": {"every": 0}}},
            "regularization": {"augmentation": {"rotation": -1}},
            "stopping": {"target": {"metric": "speed", "value": 1}},
        },
        [
            "dataset.name",
            "cost.huber.delta",
            "optimizer.lion.beta2",
            "optimizer.schedule.step.every",
            "regularization.augmentation.rotation",
            "stopping.target.metric",
        ],
    ),
]


@pytest.mark.parametrize(("document", "fields"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_every_wrong_field_is_named(
    plan: Callable[..., object], document: dict[str, object], fields: list[str]
) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | document))
    found = [v.field for v in caught.value.violations]
    assert sorted(found) == sorted(f"spec.{field}" for field in fields)
    assert all(v.description for v in caught.value.violations)


def test_a_target_out_of_its_metrics_range_is_told_the_range(plan: Callable[..., object]) -> None:
    target = {"stopping": {"target": {"metric": "training_accuracy", "value": 97}}}
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | target))
    (violation,) = caught.value.violations
    assert violation == (
        "spec.stopping.target.value",
        "must be at least 0 and at most 1, not 97.0: that is the range of training_accuracy",
    )


@pytest.mark.parametrize(
    ("metric", "value"), [("training_accuracy", 1), ("training_cost", 97), ("training_r2", -3)]
)
def test_a_target_within_its_metrics_range_is_taken(
    plan: Callable[..., object], metric: str, value: float
) -> None:
    plan(read(PLAIN | {"stopping": {"target": {"metric": metric, "value": value}}}))


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ({}, "is not 1 * 1: give both"),
        ({"width": 3}, "is not 0 * 3: give both"),
        ({"height": 2, "width": 2}, "is not 2 * 2"),
    ],
)
def test_images_of_another_size_are_told_in_one_sentence(
    plan: Callable[..., object], sides: dict[str, int], said: str
) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | {"regularization": {"augmentation": sides}}))
    (violation,) = caught.value.violations
    expected = "height * width must be the number of inputs, 2, which "
    assert violation == ("spec.regularization.augmentation", f"{expected}{said}")
