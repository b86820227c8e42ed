"""Who copies whom in a population, how numbers change, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.service.specifications import RATE, choice, read, require_refusal
from tests.service.test_population_training import MOMENTUM, document

from packtrain.service.contract.expansion import Expansion
from packtrain.service.population import SearchedNumber, find_origins
from packtrain.service.records import Adaptation
from packtrain.service.search import Choice, Domain, Integer, Normal, Uniform
from packtrain.v1 import spec_pb2

EVERYONE = np.arange(8, dtype=np.int32)
Expanded = Callable[[dict[str, object]], Expansion]


def number(domain: Domain, *values: float) -> SearchedNumber:
    return SearchedNumber("path", "column", domain, values, lambda value: True)


def scores(*found: float) -> np.ndarray:
    return np.array(found, float)[:, np.newaxis]


def with_population(**rule: object) -> dict[str, Any]:
    found = document()
    found["search"]["population"] = rule
    return found


@pytest.mark.parametrize(
    ("searched", "value", "up", "down"),
    [
        (number(Uniform(0.1, 1.0)), 0.5, 0.6, 0.5 / 1.2),
        (number(Uniform(0.1, 1.0, log=True)), 0.9, np.nextafter(1.0, 0), 0.9 / 1.2),
        (number(Uniform(0.1, 1.0)), 0.11, 0.11 * 1.2, 0.1),
        (number(Uniform(0.0, 1.0)), 0.0, 0.0, 0.0),
        (number(Normal(0.0, 1.0)), -2.0, -2.4, -2.0 / 1.2),
        (number(Integer(1, 9, 2)), 3.0, 5.0, 1.0),
        (number(Integer(1, 9, 2)), 9.0, 9.0, 7.0),
        (number(Integer(0, 100)), 50.0, 60.0, 42.0),
        (number(Choice(4), 0.5, 0.0, 0.9, 0.5), 0.5, 0.9, 0.0),
        (number(Choice(2), 0.5, 0.9), 0.9, 0.9, 0.5),
    ],
)
def test_numbers_move_within_their_domain(
    searched: SearchedNumber, value: float, up: float, down: float
) -> None:
    assert searched.move(value, 1.2, up=True) == pytest.approx(up)
    assert searched.move(value, 1.2, up=False) == pytest.approx(down)


def test_drawn_anew_they_are_of_the_domain() -> None:
    for units in np.random.default_rng(0).random((50, 2)):
        assert number(Choice(2), 0.25, 0.75).draw(units) in (0.25, 0.75)
        assert number(Integer(1, 9, 2)).draw(units) in (1, 3, 5, 7, 9)
        assert 0.1 <= number(Uniform(0.1, 1.0, log=True)).draw(units) < 1


def test_decisions_follow_from_the_seed_and_the_rung(expanded: Expanded) -> None:
    expansion = expanded(document())
    (group,), rule = expansion.groups, expansion.population
    assert rule is not None
    best_last = scores(*range(8))
    made = rule.adapt(group, 2, EVERYONE, best_last)
    assert made == rule.adapt(group, 2, EVERYONE, best_last)
    assert made != rule.adapt(group, 4, EVERYONE, best_last)
    assert [a.trial for a in made] == [0, 1]
    assert {a.copied_trial for a in made} <= {6, 7}
    assert find_origins(EVERYONE, made)[2:].tolist() == [2, 3, 4, 5, 6, 7]
    assert find_origins(EVERYONE, made)[0] == made[0].copied_trial
    after = rule.apply(group, made)
    for adaptation in made:
        row = adaptation.trial
        assert after.pack.trials.learning_rate[row] == adaptation.parameters[RATE]
        assert after.pack.trials.momentum[row] == adaptation.parameters[MOMENTUM]
    np.testing.assert_array_equal(
        after.pack.trials.learning_rate[2:], group.pack.trials.learning_rate[2:]
    )
    np.testing.assert_array_equal(after.pack.trials.seeds, group.pack.trials.seeds)


def test_a_copied_number_is_multiplied_or_divided(expanded: Expanded) -> None:
    rates = document()
    rates["search"]["parameters"] = [{"path": RATE, "uniform": {"low": 0.1, "high": 0.2}}]
    rates["search"]["population"] = {"every_epochs": 2, "resample_probability": 0}
    expansion = expanded(rates)
    (group,), rule = expansion.groups, expansion.population
    assert rule is not None
    for adaptation in rule.adapt(group, 2, EVERYONE, scores(*range(8))):
        copied = group.pack.trials.learning_rate[adaptation.copied_trial]
        (found,) = adaptation.parameters.values()
        up, down = np.clip([copied * 1.2, copied / 1.2], 0.1, np.nextafter(0.2, 0))
        assert min(abs(found - up), abs(found - down)) < 1e-12


def test_a_number_never_leaves_its_fields_range(expanded: Expanded) -> None:
    normal = document()
    near_one = {"path": MOMENTUM, "choice": {"values": [0.9, 0.95]}}
    normal["search"]["parameters"] = [near_one]
    expansion = expanded(normal)
    rule = expansion.population
    assert rule is not None
    (momentum,) = rule.numbers
    assert momentum.fits(0.95)
    # In float32 this is 1, which no momentum may be.
    assert not momentum.fits(float(np.nextafter(1.0, 0)))
    assert not momentum.fits(-0.1)


@pytest.mark.parametrize(
    ("count", "share", "quota"), [(8, 0.25, 2), (8, 0.5, 4), (3, 0.5, 1), (2, 0.25, 1), (1, 0.5, 0)]
)
def test_the_share_is_of_those_that_are_left(
    expanded: Expanded, count: int, share: float, quota: int
) -> None:
    expansion = expanded(with_population(every_epochs=2, exploit_share=share))
    (group,), rule = expansion.groups, expansion.population
    assert rule is not None
    made = rule.adapt(group, 2, EVERYONE[:count], scores(*range(count)))
    assert [a.trial for a in made] == list(range(quota))
    assert {a.copied_trial for a in made} <= set(range(count - quota, count))


def test_rungs_are_measured_epochs(expanded: Expanded) -> None:
    sparse = document(measurement={"every_epochs": 3})
    (bracket,) = expanded(sparse).brackets or ()
    assert bracket.rungs == (3, 6)


def test_an_adaptation_keeps_its_trial() -> None:
    made = Adaptation(5, 1, 3, {RATE: 0.5})
    assert find_origins(np.array([1, 2, 3], np.int32), [made]).tolist() == [3, 2, 3]


def test_defaults_are_filled_in(plan: Callable[..., Any]) -> None:
    resolved = spec_pb2.JobSpec.FromString(plan(read(with_population())).spec).search.population
    found = (resolved.every_epochs, resolved.exploit_share, resolved.perturb_factor)
    assert found == (5, 0.25, 1.2)
    assert resolved.resample_probability == 0.25


def changed(search: dict[str, Any], **others: Any) -> dict[str, Any]:
    found = document(**others)
    found["search"] = {k: v for k, v in (found["search"] | search).items() if v is not None}
    return found


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (changed({"objectives": None}), ["search.objectives"]),
        (changed({"random": {"trials": 1}}), ["search.population"]),
        (changed({"hyperband": {}}), ["search.population"]),
        (changed({}, epochs=2), ["search.population.every_epochs"]),
        (changed({}, measurement={"every_epochs": 9}), ["search.population.every_epochs"]),
        (
            changed(
                {
                    "population": {
                        "every_epochs": 0,
                        "exploit_share": 0.6,
                        "perturb_factor": 1,
                        "resample_probability": 1.5,
                    }
                }
            ),
            [
                f"search.population.{name}"
                for name in (
                    "every_epochs",
                    "exploit_share",
                    "perturb_factor",
                    "resample_probability",
                )
            ],
        ),
        (
            changed(
                {
                    "parameters": [
                        {"path": p} | d
                        for p, d in (
                            choice(RATE, 0.1, 0.2),
                            choice("batch_size", 5, 10),
                            choice("seed", 1, 2),
                            choice("cost", {"quadratic": {}}),
                        )
                    ]
                }
            ),
            [f"search.parameters[{i}].path" for i in (1, 2, 3)],
        ),
    ],
)
def test_what_is_no_population_is_refused(
    plan: Callable[..., Any], given: dict[str, Any], fields: list[str]
) -> None:
    require_refusal(plan, given, fields)


def test_a_range_is_no_population(plan: Callable[..., Any]) -> None:
    given = document()
    given["search"] = {
        "learning_rate_range": {},
        "objectives": [{"metric": "training_cost"}],
        "population": {},
    }
    given["measurement"] = {"metrics": ["training_cost"]}
    require_refusal(plan, given, ["search.population"])
