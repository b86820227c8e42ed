"""Who copies whom in a population, how numbers change, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.service.specifications import RATE, choice, read, require_refusal
from tests.service.test_population_training import MOMENTUM, document

from packtrain.service.contract.expansion import Expansion
from packtrain.service.domains import Choice, Domain, Integer, Normal, Uniform
from packtrain.service.population import SearchedNumber, find_origins
from packtrain.service.records import Adaptation
from packtrain.v1 import job_pb2, spec_pb2

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
        (number(Integer(1, 64, log=True)), 10.0, 12.0, 8.0),
        (number(Uniform(0.0, 1.0, step=0.1)), 0.3, 0.4, 0.2),
        (number(Uniform(0.0, 1.0, step=0.1)), 1.0, 1.0, 0.8),
        (number(Uniform(0.0, 1.0, step=0.1)), 0.0, 0.1, 0.0),
        (number(Uniform(0.1, 0.9, log=True, step=0.1)), 0.5, 0.6, 0.4),
        (number(Normal(0.0, 1.0, low=-1.0, high=1.0)), 0.9, 1.0, 0.75),
        (number(Normal(0.5, 1.0, step=0.25)), 0.5, 0.75, 0.25),
        (number(Normal(0.5, 1.0, step=0.25)), -1.0, -1.25, -0.75),
        (number(Normal(0.5, 1.0, step=0.25, low=0.4, high=0.8)), 0.75, 0.75, 0.5),
        (number(Choice(4), 0.5, 0.0, 0.9, 0.5), 0.5, 0.9, 0.0),
        (number(Choice(2), 0.5, 0.9), 0.9, 0.9, 0.5),
    ],
)
def test_numbers_move_within_their_domain(
    searched: SearchedNumber, value: float, up: float, down: float
) -> None:
    assert searched.move(value, 1.2, up=True) == pytest.approx(up)
    assert searched.move(value, 1.2, up=False) == pytest.approx(down)


def test_numbers_on_steps_are_as_they_would_be_written() -> None:
    tenths = number(Uniform(0.0, 1.0, step=0.1))
    assert tenths.move(0.2, 1.2, up=True) == 0.3
    assert number(Normal(0.0, 1.0, step=0.1)).move(0.2, 1.2, up=True) == 0.3


def test_drawn_anew_they_are_of_the_domain() -> None:
    for unit in np.random.default_rng(0).random(50).tolist():
        assert number(Choice(2), 0.25, 0.75).draw(unit) in (0.25, 0.75)
        assert number(Integer(1, 9, 2)).draw(unit) in (1, 3, 5, 7, 9)
        assert 0.1 <= number(Uniform(0.1, 1.0, log=True)).draw(unit) < 1
        assert number(Uniform(0.0, 0.5, step=0.25)).draw(unit) in (0, 0.25, 0.5)
        assert number(Normal(0.0, 1.0, low=0.4)).draw(unit) >= 0.4


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
        (changed({"random": None, "tpe": {"trials": 8}}), ["search.population"]),
        (changed({"random": None, "nsga2": {"trials": 8}}), ["search.population"]),
        (changed({"repeats": 2}), ["search.population"]),
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


@pytest.mark.parametrize("algorithm", [{"random": {"trials": 8}}, {"grid": {}}])
def test_conditions_are_refused(plan: Callable[..., Any], algorithm: dict[str, Any]) -> None:
    given = changed({"random": None} | algorithm)
    given["search"]["parameters"] = [
        {"path": MOMENTUM, "choice": {"values": [0, 0.9]}},
        {
            "path": RATE,
            "choice": {"values": [0.1, 0.2]},
            "condition": {"path": MOMENTUM, "values": [0.9]},
        },
    ]
    require_refusal(plan, given, ["search.parameters[1].condition"])


def test_points_are_a_population_where_all_give_the_same_numbers(
    plan: Callable[..., Any], expanded: Expanded
) -> None:
    points = [{"values": {RATE: 0.1 * k}} for k in range(1, 5)]
    given = changed({"random": None, "parameters": None, "points": {"points": points}})
    (number,) = expanded(given).population.numbers  # type: ignore[union-attr]
    assert number.move(0.2, 1.2, up=True) == pytest.approx(0.3)
    points[0]["values"][MOMENTUM] = 0.9
    require_refusal(plan, given, ["search.points"])
    for point in points:
        point["values"]["batch_size"] = 5
        point["values"].pop(MOMENTUM, None)
    require_refusal(plan, given, ["search.points"])


def test_the_estimate_is_of_all_epochs(plan: Callable[..., Any]) -> None:
    alone = changed({"population": None, "objectives": None})
    plans = [job_pb2.JobPlan.FromString(plan(read(g)).plan) for g in (document(), alone)]
    # What is copied now and then takes no epoch away, and its stages take time of their own.
    assert plans[0].worker_seconds >= plans[1].worker_seconds
