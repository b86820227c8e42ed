"""Searches as typed objects: domains within choices, conditions, points and repeats."""

from __future__ import annotations

from typing import Any

import pytest
from tests.client.test_specs import form

from packtrain import client as api
from packtrain.client import (
    NSGA2,
    SGD,
    TPE,
    Adam,
    CmaEs,
    CosineDecay,
    CrossEntropy,
    DatasetSelection,
    GaussianProcess,
    Grid,
    LatinHypercube,
    Network,
    Points,
    RandomSearch,
    Regularization,
    RowRange,
    Sobol,
    SpecError,
    StepDecay,
    choice,
    conditional,
    integer,
    log_uniform,
    normal,
    uniform,
)
from packtrain.client.converters import range_document, spec_message

RATE = "optimizer.sgd.learning_rate"
TEN = RandomSearch(trials=10)


def parameters(**fields: Any) -> dict[str, Any]:
    """The JSON form of each parameter, by path; the first is the first written."""
    found = form(**({"search": TEN} | fields))["search"]["parameters"]
    assert len({p["path"] for p in found}) == len(found)
    return {p.pop("path"): p for p in found}


def test_domains_within_a_choice_exist_under_its_values() -> None:
    optimizer = choice(
        SGD(learning_rate=log_uniform(0.01, 10), momentum=uniform(0, 0.99)),
        Adam(learning_rate=log_uniform(0.0001, 0.1), beta2=0.9),
        SGD(nesterov=True),
    )
    sgd, adam = {"sgd": {}}, {"adam": {"beta2": 0.9}}
    assert parameters(optimizer=optimizer) == {
        "optimizer": {"choice": {"values": [sgd, adam, {"sgd": {"nesterov": True}}]}},
        RATE: {
            "logUniform": {"low": 0.01, "high": 10},
            "condition": {"path": "optimizer", "values": [sgd]},
        },
        "optimizer.sgd.momentum": {
            "uniform": {"high": 0.99},
            "condition": {"path": "optimizer", "values": [sgd]},
        },
        "optimizer.adam.learning_rate": {
            "logUniform": {"low": 0.0001, "high": 0.1},
            "condition": {"path": "optimizer", "values": [adam]},
        },
    }


def test_choices_nest() -> None:
    schedule = choice(CosineDecay(final=uniform(0, 0.1)), StepDecay(every=integer(1, 9)))
    found = parameters(optimizer=choice(SGD(schedule=schedule), Adam(schedule=schedule)))
    assert list(found) == [
        "optimizer",
        "optimizer.schedule",
        "optimizer.schedule.cosine.final",
        "optimizer.schedule.step.every",
    ]
    # The same domain under two values is one parameter.
    assert found["optimizer.schedule"]["condition"] == {
        "path": "optimizer",
        "values": [{"sgd": {}}, {"adam": {}}],
    }
    assert found["optimizer.schedule.cosine.final"]["condition"] == {
        "path": "optimizer.schedule",
        "values": [{"cosine": {}}],
    }


def test_a_condition_names_another_field() -> None:
    found = parameters(
        network=Network(hidden=choice([30], [100], [300])),
        regularization=Regularization(
            dropout=conditional(uniform(0, 0.5), "network.hidden", [100], [300])
        ),
        dataset=DatasetSelection(
            name="d",
            training_rows=conditional(choice(RowRange(count=3)), "network.hidden", [30]),
        ),
    )
    assert found["regularization.dropout"] == {
        "uniform": {"high": 0.5},
        "condition": {"path": "network.hidden", "values": [[100], [300]]},
    }
    assert found["dataset.training"]["choice"] == {"values": [{"split": "train", "count": "3"}]}
    named = parameters(
        epochs=choice(1, 2),
        dataset=DatasetSelection(name=conditional(choice("a", "b"), "epochs", 1)),
    )
    assert named["dataset.name"]["choice"]["values"] == ["datasets/a", "datasets/b"]


def test_domains_have_steps_logarithms_and_bounds() -> None:
    found = parameters(
        optimizer=SGD(
            learning_rate=log_uniform(0.1, 1, step=0.1), momentum=uniform(0, 0.5, step=0.25)
        ),
        regularization=Regularization(l2=normal(1, 2, step=0.5, low=0, high=3)),
        batch_size=integer(1, 64, log=True),
    )
    assert found == {
        RATE: {"logUniform": {"low": 0.1, "high": 1, "step": 0.1}},
        "optimizer.sgd.momentum": {"uniform": {"high": 0.5, "step": 0.25}},
        "regularization.l2": {
            "normal": {"mean": 1, "standardDeviation": 2, "step": 0.5, "low": 0, "high": 3}
        },
        "batch_size": {"integer": {"low": "1", "high": "64", "log": True}},
    }


def test_each_algorithm_is_written() -> None:
    def algorithm(search: Any) -> dict[str, Any]:
        found: dict[str, Any] = form(epochs=choice(1, 2), search=search)["search"]
        del found["parameters"]
        return found

    assert algorithm(Sobol(trials=8)) == {"sobol": {"trials": 8}}
    assert algorithm(LatinHypercube(trials=8, repeats=2)) == {
        "latinHypercube": {"trials": 8},
        "repeats": 2,
    }
    assert algorithm(Grid(repeats=3)) == {"grid": {}, "repeats": 3}
    assert form(search=Grid(repeats=3))["search"] == {"repeats": 3}
    assert algorithm(TPE(trials=9, batch_size=3, startup_trials=4, continues="jobs/a")) == {
        "tpe": {"trials": 9, "batchSize": 3, "startupTrials": 4},
        "continues": "jobs/a",
    }
    assert algorithm(GaussianProcess(trials=9)) == {"gaussianProcess": {"trials": 9}}
    assert algorithm(CmaEs(trials=9, population_size=4)) == {
        "cmaEs": {"trials": 9, "populationSize": 4}
    }
    assert algorithm(NSGA2(trials=9, repeats=2)) == {"nsga2": {"trials": 9}, "repeats": 2}


def test_wrong_options_of_an_algorithm_are_named() -> None:
    for search, field in (
        (TPE(trials=9, batch_size=2.5), "search.batch_size"),  # type: ignore[arg-type]
        (CmaEs(trials="x"), "search.trials"),  # type: ignore[arg-type]
        (NSGA2(trials=9, continues=3), "search.continues"),  # type: ignore[arg-type]
    ):
        with pytest.raises(SpecError) as error:
            form(epochs=choice(1, 2), search=search)
        assert error.value.violations[0].field == field


def test_domains_in_steps_make_a_grid_by_themselves() -> None:
    assert form(optimizer=SGD(momentum=uniform(0, 1, step=0.5)))["search"]["grid"] == {}
    with pytest.raises(SpecError, match="can't all be listed"):
        form(optimizer=SGD(momentum=normal(0, 1, step=0.5)))


def test_points_give_values_by_path() -> None:
    points = [
        {RATE: 0.5, "network.hidden": [30, 10], "network.hidden_activation": "tanh"},
        {"cost": CrossEntropy(), "seed": 2**60},
    ]
    assert form(search=Points(points, repeats=2))["search"] == {
        "points": {
            "points": [
                {
                    "values": {
                        RATE: 0.5,
                        "network.hidden": [30, 10],
                        "network.hidden_activation": "ACTIVATION_TANH",
                    }
                },
                {"values": {"cost": {"cross_entropy": {}}, "seed": str(2**60)}},
            ]
        },
        "repeats": 2,
    }


def test_every_wrong_value_of_points_is_named() -> None:
    points = [{"optimizer.newton": 1, "epochs": "x"}, {3: 4, "cost": SGD(), "seed": choice(1)}]
    with pytest.raises(SpecError) as error:
        form(search=Points(points))  # type: ignore[list-item]
    assert [v.field for v in error.value.violations] == [
        'search.points[0]["optimizer.newton"]',
        'search.points[0]["epochs"]',
        'search.points[1]["3"]',
        'search.points[1]["cost"]',
        'search.points[1]["seed"]',
    ]


def test_points_are_checked_in_files() -> None:
    search = {"points": {"points": [{"values": {"epochs": 3}}]}, "repeats": 2}
    assert spec_message({"search": search}).search.points.points[0].values["epochs"].number_value
    wrong = {"points": {"points": [{"values": [3]}, {"values": {"epochs": float("nan")}}]}}
    with pytest.raises(SpecError) as error:
        spec_message({"search": wrong})
    assert [v.field for v in error.value.violations] == [
        "search.points.points[0].values",
        'search.points.points[1].values["epochs"]',
    ]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"optimizer": choice(SGD(momentum=uniform(0, 1)), SGD())},
            "optimizer: has two values that differ only in their domains",
        ),
        (
            {
                "optimizer": choice(
                    SGD(momentum=uniform(0, 1)), SGD(nesterov=True, momentum=uniform(0, 0.5))
                )
            },
            "optimizer.momentum: has different domains",
        ),
        (
            {"optimizer": choice(SGD(momentum=conditional(uniform(0, 1), "epochs", 1)), Adam())},
            "optimizer.momentum: exists with a value of optimizer, and takes no other",
        ),
        (
            {"epochs": conditional(choice(1, 2), "network.widths", 1)},
            "epochs: has a condition on 'network.widths', which is the path of no field",
        ),
        (
            {"epochs": choice(1, 2), "search": Points([{"epochs": 2}])},
            "epochs: holds a domain, and a Points has no other search",
        ),
        ({"search": Sobol(trials=3, repeats=2)}, "nothing to search"),
        ({"epochs": choice(1), "search": Sobol(trials=0.5)}, "search.trials: expected a who"),
        ({"epochs": choice(1), "search": Grid(repeats="x")}, "search.repeats: expected a whole"),
    ],
)
def test_what_can_not_be_searched_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        form(**fields)


def test_points_become_no_range() -> None:
    document = {"search": {"points": {"points": [{"values": {RATE: 1, "epochs": 3}}]}}}
    with pytest.raises(SpecError, match="give epochs a value instead"):
        range_document(document, api.LearningRateRange(), None)
