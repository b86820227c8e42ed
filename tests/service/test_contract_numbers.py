"""Numbers of a specification that its data type can't hold, refused when the job is created."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from tests.service.specifications import PLAIN, RATE, choice, read, require_refusal, search

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.models import Origins, read_model_initialization
from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.networks import Network, Origin
from packtrain.service.records import NewJob
from packtrain.v1 import spec_pb2

TOO_LARGE = "must be at most 3.4e38 in float32, not 1e39"
TOO_LOW = "must be at least -3.4e38 in float32, not -1e39"
TOO_SMALL = "must be at least 1.2e-38 in float32, not 1e-60"
FLOAT64 = {"dataType": "DATA_TYPE_FLOAT64"}


def layers(weight: float) -> dict[str, object]:
    one = {"weights": [0.5, weight], "biases": [weight]}
    return {"initialization": {"arrays": {"layers": [one]}}}


GIVEN: list[tuple[dict[str, object], dict[str, str]]] = [
    ({"optimizer": {"sgd": {"learningRate": 1e39}}}, {RATE: TOO_LARGE}),
    ({"optimizer": {"sgd": {"learningRate": 1e-60}}}, {RATE: TOO_SMALL}),
    (
        {"optimizer": {"adam": {"learningRate": 1e39, "epsilon": 1e-60}}},
        {"optimizer.adam.learning_rate": TOO_LARGE, "optimizer.adam.epsilon": TOO_SMALL},
    ),
    (
        {"initialization": {"constant": {"weight": 1e39, "bias": -1e39}}},
        {"initialization.constant.weight": TOO_LARGE, "initialization.constant.bias": TOO_LOW},
    ),
    (
        {"initialization": {"orthogonal": {"gain": 1e-60}}},
        {"initialization.orthogonal.gain": TOO_SMALL},
    ),
    (
        layers(-1e39),
        {
            "initialization.arrays.layers[0].weights[1]": TOO_LOW,
            "initialization.arrays.layers[0].biases[0]": TOO_LOW,
        },
    ),
    (
        {"regularization": {"l2": 1e39, "maxNorm": 1e-60, "inputNoise": 1e39}},
        {
            "regularization.l2": TOO_LARGE,
            "regularization.max_norm": TOO_SMALL,
            "regularization.input_noise": TOO_LARGE,
        },
    ),
    (
        {"regularization": {"augmentation": {"height": 1, "width": 2, "shift": 1e39}}},
        {"regularization.augmentation.shift": TOO_LARGE},
    ),
    (
        {
            "cost": {"huber": {"delta": 1e39}, "classWeights": [1, 1e39]},
            "network": {"outputs": 2},
        },
        {"cost.huber.delta": TOO_LARGE, "cost.class_weights[1]": TOO_LARGE},
    ),
]


def refusals(plan: Callable[..., NewJob], document: dict[str, object]) -> dict[str, str]:
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | document))
    assert caught.value.reason == "INVALID_FIELD"
    return {v.field.removeprefix("spec."): v.description for v in caught.value.violations}


@pytest.mark.parametrize(("document", "said"), GIVEN)
def test_a_number_beyond_float32_is_refused(
    plan: Callable[..., NewJob], document: dict[str, object], said: dict[str, str]
) -> None:
    assert refusals(plan, document) == said


@pytest.mark.parametrize("document", [document for document, _ in GIVEN])
def test_float64_holds_it(plan: Callable[..., NewJob], document: dict[str, object]) -> None:
    assert plan(read(PLAIN | document | FLOAT64)).trials == 1


def test_float64_has_its_own_bounds(plan: Callable[..., NewJob]) -> None:
    document = {"optimizer": {"sgd": {"learningRate": 1e-310}}} | FLOAT64
    assert refusals(plan, document) == {
        RATE: "must be at least 2.2e-308 in float64, not 1e-310",
    }


def test_what_may_be_0_may_become_0(plan: Callable[..., NewJob]) -> None:
    tiny = {"constant": {"weight": 1e-60, "bias": -1e-60}}
    document = {"initialization": tiny, "regularization": {"l2": 1e-60}} | PLAIN
    assert plan(read(document)).trials == 1


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        (choice(RATE, 0.5, 1e39), f"{TOO_LARGE[:-10]}: 1 trial draws 1e39, trial 1 first"),
        (choice(RATE, 1e-60, 0.5), f"{TOO_SMALL[:-11]}: 1 trial draws 1e-60, trial 0 first"),
        (
            (RATE, {"logUniform": {"low": 1e39, "high": 2e39}}),
            f"{TOO_LARGE[:-10]}: 2 trials draw 1e39 to 2e39, trial 0 first",
        ),
        (choice("optimizer", {"sgd": {"learningRate": 1e39}}), TOO_LARGE),
        (choice("initialization.constant.weight", 0, 1e39), TOO_LARGE),
        (choice("initialization", {"constant": {"weight": 1e39}}, {"he": {}}), TOO_LARGE),
    ],
)
def test_a_value_of_a_domain_beyond_float32_is_refused(
    plan: Callable[..., NewJob], domain: tuple[str, dict[str, object]], said: str
) -> None:
    document = search(domain)
    document["search"] |= {"grid": {"points": 2}}  # type: ignore[operator]
    found = refusals(plan, document)
    assert list(found.values()) == [said]
    assert plan(read(PLAIN | document | FLOAT64)).trials in (1, 2)


def test_a_learning_rate_range_is_within_float32(plan: Callable[..., NewJob]) -> None:
    where = "search.learning_rate_range"
    wide = {"search": {"learningRateRange": {"low": 1e-60, "high": 1e39}}}
    assert refusals(plan, wide) == {f"{where}.low": TOO_SMALL, f"{where}.high": TOO_LARGE}
    assert plan(read(PLAIN | wide | FLOAT64)).trials == 50


def test_a_wrong_dataset_hides_no_number(plan: Callable[..., NewJob]) -> None:
    wrong = {"dataset": {"name": "datasets/none"}, "optimizer": {"sgd": {"learningRate": 1e39}}}
    require_refusal(plan, wrong, ["dataset.name", RATE])


def test_a_network_begins_from_numbers_that_it_can_hold() -> None:
    origin = Origin("first", 0)
    wide = Network((np.array([[0.5], [-1e39]]),), (np.zeros(1),))
    message = spec_pb2.ModelInitialization(job="jobs/first")
    for data_type, expected in (
        ("float32", [Violation("initialization.model", f"the numbers of {origin} {TOO_LOW}")]),
        ("float64", []),
    ):
        violations = Violations()
        origins = Origins(kept={origin: wide})
        read_model_initialization(message, (2, 1), data_type, origins, violations)
        assert list(violations) == expected


def test_draws_out_of_range_are_told_once_a_field(plan: Callable[..., NewJob]) -> None:
    document = search(
        ("regularization.dropout", {"normal": {"mean": 0, "standardDeviation": 0.3}}),
        ("batch_size", {"integer": {"low": 1, "high": 5000}}),
        trials=50,
    )
    found = refusals(plan, document)
    assert set(found) == {"regularization.dropout", "batch_size"}
    for field, expected in (
        (
            "regularization.dropout",
            r"must be at least 0 and below 1: \d+ trials draw -0\.\d+ to -0",
        ),
        (
            "batch_size",
            r"must be at least 1 and at most 60: \d+ trials draw \d+ to 4,\d+, trial \d",
        ),
    ):
        assert re.match(expected, found[field]), found[field]
