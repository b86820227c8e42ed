"""Parameters that exist under some values of others, points, and repeats, through the contract."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from tests.service.specifications import PLAIN, RATE, choice, read, require_refusal, search

from packtrain.service.contract import TrialParameters
from packtrain.service.contract.expansion import Expansion, expand
from packtrain.service.datasets import Catalog
from packtrain.service.errors import InvalidSpecError
from packtrain.service.records import NewJob
from packtrain.training import Rule
from packtrain.v1 import spec_pb2

Expand = Callable[[dict[str, object]], Expansion]
Given = tuple[str, dict[str, object]]

SGD, ADAM = {"sgd": {}}, {"adam": {}}
OPTIMIZER = choice("optimizer", SGD, ADAM)
CONDITION = "search.parameters[1].condition"


def under(parameter: Given, path: str, *values: object) -> Given:
    name, domain = parameter
    return name, domain | {"condition": {"path": path, "values": list(values)}}


def points(*values: dict[str, object]) -> dict[str, object]:
    return {"search": {"points": {"points": [{"values": point} for point in values]}}}


def place(point: int, path: str) -> str:
    return f'search.points.points[{point}].values["{path}"]'


def told(found: Expansion) -> list[dict[str, Any]]:
    parameters = TrialParameters(found.spec, found.trials)
    rows = [parameters.values(trial) for trial in range(found.trials)]
    return [{p: json_format.MessageToDict(v) for p, v in row.items()} for row in rows]


def test_each_optimizer_has_numbers_of_its_own(expanded: Expand) -> None:
    found = expanded(
        search(
            OPTIMIZER,
            under(choice(RATE, 1, 2), "optimizer", SGD),
            under(choice("optimizer.sgd.momentum", 0, 0.5), "optimizer", SGD),
            under(choice("optimizer.adam.learning_rate", 0.01, 0.02), "optimizer", {"adam": {}}),
        )
    )
    assert found.trials == 2 * 2 + 2
    (group,) = found.groups
    trials = group.pack.trials
    assert [trials.rules[i] for i in trials.rule] == [Rule.SGD] * 4 + [Rule.ADAM] * 2
    assert trials.learning_rate.tolist() == [1, 1, 2, 2, 0.01, 0.02]
    assert trials.momentum.tolist() == [0, 0.5, 0, 0.5, 0, 0]
    assert told(found)[3] == {"optimizer": SGD, RATE: 2, "optimizer.sgd.momentum": 0.5}
    assert told(found)[4] == {"optimizer": ADAM, "optimizer.adam.learning_rate": 0.01}
    # What was answered means the same when it is read again.
    assert not found.spec.HasField("optimizer")
    again = expanded_again(found, expanded)
    np.testing.assert_array_equal(again.groups[0].pack.trials.learning_rate, trials.learning_rate)


def expanded_again(found: Expansion, expanded: Expand) -> Expansion:
    return expanded(json_format.MessageToDict(found.spec))


def test_what_does_not_exist_is_what_the_value_of_its_parent_says(expanded: Expand) -> None:
    first = {"sgd": {"momentum": 0.9}}
    found = expanded(
        search(
            choice("optimizer", first, SGD),
            under(choice("optimizer.sgd.momentum", 0.1, 0.2), "optimizer", SGD),
        )
    )
    assert found.groups[0].pack.trials.momentum.tolist() == [0.9, 0.1, 0.2]


def test_what_does_not_exist_is_what_the_specification_says(expanded: Expand) -> None:
    found = expanded(
        {"regularization": {"dropout": 0.25}}
        | search(
            choice("network.hidden", [2], [3], [4, 4]),
            under(choice("regularization.dropout", 0.5), "network.hidden", [4, 4], [3]),
        )
    )
    assert [g.pack.trials.dropout.tolist() for g in found.groups] == [[0.25], [0.5], [0.5]]
    assert found.spec.regularization.dropout == 0.25


def test_conditions_nest_and_parents_are_set_first(expanded: Expand) -> None:
    cosine, step = {"cosine": {}}, {"step": {}}
    found = expanded(
        search(
            # The innermost first: the order of the parameters is no order of setting them.
            under(
                choice("optimizer.schedule.cosine.final", 0.1, 0.2), "optimizer.schedule", cosine
            ),
            under(choice("optimizer.schedule", cosine, step), "optimizer", ADAM),
            OPTIMIZER,
        )
    )
    assert found.trials == 1 + 2 + 1
    trials = found.groups[0].pack.trials
    shapes = [trials.schedules[i].shape for i in trials.schedule]
    assert [type(shape).__name__ for shape in shapes] == [
        "ConstantRate",
        "CosineDecay",
        "CosineDecay",
        "StepDecay",
    ]
    assert [shape.final for shape in shapes[1:3]] == [0.1, 0.2]
    assert [trials.rules[i] for i in trials.rule] == [Rule.SGD] + [Rule.ADAM] * 3


def test_structure_exists_under_conditions_too(expanded: Expand) -> None:
    found = expanded(
        search(
            ("epochs", {"integer": {"low": 1, "high": 3}}),
            under(choice("batch_size", 5, 6), "epochs", 2, 3),
            under(choice("seed", 8), "epochs", 1),
        )
    )
    shapes = [(g.pack.signature.epochs, g.pack.signature.batch_size) for g in found.groups]
    assert sorted(shapes) == [(1, 10), (2, 5), (2, 6), (3, 5), (3, 6)]
    seeds = {g.pack.signature.epochs: g.pack.trials.order_seeds[0] for g in found.groups}
    assert seeds == {1: 8, 2: 3, 3: 3}


def test_alternatives_stand_together_where_no_trial_has_both(expanded: Expand) -> None:
    found = expanded(
        search(
            choice("batch_size", 5, 6, 7),
            under(choice(RATE, 2), "batch_size", 5),
            under(choice("optimizer.adam.beta1", 0.5), "batch_size", 6),
        )
    )
    rules = {
        g.pack.signature.batch_size: (g.pack.trials.rules[0], g.pack.trials.learning_rate[0])
        for g in found.groups
    }
    assert rules == {5: (Rule.SGD, 2), 6: (Rule.ADAM, 0.001), 7: (Rule.SGD, 0.5)}


@pytest.mark.parametrize("algorithm", ["random", "sobol", "latin_hypercube"])
def test_samplers_draw_what_exists(expanded: Expand, algorithm: str) -> None:
    document: Any = search(
        OPTIMIZER,
        under((RATE, {"log_uniform": {"low": 0.1, "high": 1}}), "optimizer", SGD),
        under(("optimizer.sgd.momentum", {"uniform": {"low": 0, "high": 0.9}}), "optimizer", SGD),
        ("regularization.l2", {"normal": {"mean": 1, "standard_deviation": 1, "low": 0}}),
        ("regularization.dropout", {"uniform": {"low": 0, "high": 0.5, "step": 0.1}}),
        ("batch_size", {"integer": {"low": 4, "high": 8, "log": True}}),
        trials=64,
    )
    document["search"][algorithm] = document["search"].pop("random")
    found = expanded(document)
    assert found.trials == 64
    rows = told(found)
    assert 20 <= sum(row["optimizer"] == SGD for row in rows) <= 44
    for group in found.groups:
        trials = group.pack.trials
        for i, k in enumerate(group.indices):
            assert (RATE in rows[k]) == (rows[k]["optimizer"] == SGD)
            assert trials.learning_rate[i] == rows[k].get(RATE, 0.001)
            assert trials.momentum[i] == rows[k].get("optimizer.sgd.momentum", 0)
            assert trials.dropout[i] == rows[k]["regularization.dropout"]


def test_points_are_trials(expanded: Expand) -> None:
    found = expanded(
        {"network": {"hiddenActivation": "ACTIVATION_TANH"}, "epochs": 7}
        | points(
            {RATE: 0.25, "network.hidden": [3]},
            {"optimizer.adam.beta1": 0.5, "epochs": 2},
            {"optimizer": {"sgd": {"momentum": 0.5}}, RATE: 2},
            {},
        )
    )
    (first,) = (g for g in found.groups if 0 in g.indices)
    assert first.pack.signature.sizes == (2, 3, 1)
    rest = {int(k): (g, row) for g in found.groups for row, k in enumerate(g.indices)}
    for k, (rule, rate, momentum, epochs) in enumerate(
        [
            (Rule.SGD, 0.25, 0, 7),
            (Rule.ADAM, 0.001, 0, 2),
            (Rule.SGD, 2, 0.5, 7),
            (Rule.SGD, 0.5, 0, 7),
        ]
    ):
        group, row = rest[k]
        trials = group.pack.trials
        assert trials.rules[trials.rule[row]] is rule
        assert (trials.learning_rate[row], trials.momentum[row]) == (rate, momentum)
        assert group.pack.signature.epochs == epochs
    assert told(found) == [
        {RATE: 0.25, "network.hidden": [3]},
        {"optimizer.adam.beta1": 0.5, "epochs": 2},
        {"optimizer": {"sgd": {"momentum": 0.5}}, RATE: 2},
        {},
    ]
    assert expanded_again(found, expanded).trials == 4
    document: Any = points({RATE: 1}, {"epochs": 2})
    document["search"]["repeats"] = 2
    assert told(expanded(document)) == [{RATE: 1}] * 2 + [{"epochs": 2}] * 2


def test_equal_structures_of_points_train_as_one(expanded: Expand) -> None:
    listed = [{"network.hidden": [3], RATE: 0.1 + k} for k in range(200)]
    assert len(expanded(points(*listed)).groups) == 1


def test_repeats_differ_in_their_seeds(expanded: Expand) -> None:
    rates = choice(RATE, 1, 2)
    once = expanded(search(rates)).groups[0].pack.trials
    document: Any = search(rates)
    document["search"]["repeats"] = 3
    found = expanded(document)
    (group,) = found.groups
    trials = group.pack.trials
    assert trials.learning_rate.tolist() == [1, 1, 1, 2, 2, 2]
    # Repeat 0 is the job without repeats; the others share their mini-batches across assignments.
    for name in ("seeds", "order_seeds"):
        assert getattr(trials, name)[::3].tolist() == getattr(once, name).tolist()
    assert len(set(trials.seeds.tolist())) == 6
    assert trials.order_seeds[:3].tolist() == trials.order_seeds[3:].tolist()
    assert len(set(trials.order_seeds.tolist())) == 3
    assert told(found) == [{RATE: 1}] * 3 + [{RATE: 2}] * 3


def test_repeats_alone_train_one_network_with_several_seeds(expanded: Expand) -> None:
    found = expanded({"search": {"repeats": 4}})
    assert found.trials == 4
    assert len(set(found.groups[0].pack.trials.order_seeds.tolist())) == 4
    assert told(found) == [{}] * 4


WRONG: list[tuple[str, dict[str, object], list[str]]] = [
    (
        "on what is not searched",
        search(OPTIMIZER, under(choice(RATE, 1), "seed", 1), under(choice("epochs", 2), "", 1)),
        [f"{CONDITION}.path", "search.parameters[2].condition.path"],
    ),
    (
        "in circles",
        search(
            under(choice("epochs", 1), "batch_size", 2),
            under(choice("batch_size", 2), "epochs", 1),
            under(choice("seed", 1), "seed", 1),
            # Hangs on a circle, is in none, and is not told of.
            under(choice("regularization.l2", 1), "epochs", 1),
        ),
        [f"search.parameters[{i}].condition.path" for i in range(3)],
    ),
    (
        "on values that are never taken",
        search(
            ("epochs", {"integer": {"low": 1, "high": 9, "step": 2}}),
            under(choice("batch_size", 2, 3), "epochs", 2, 3, 11, "x", None),
            under(choice("regularization.l2", 1), "batch_size", 2, 5, [3]),
        ),
        [
            *(f"{CONDITION}.values[{i}]" for i in (0, 2, 3, 4)),
            "search.parameters[2].condition.values[1]",
            "search.parameters[2].condition.values[2]",
        ],
    ),
    (
        "on no values",
        search(OPTIMIZER, under(choice(RATE, 1), "optimizer")),
        [f"{CONDITION}.values"],
    ),
    (
        "on what can't be listed",
        search(
            ("regularization.l2", {"uniform": {"low": 1, "high": 2}}),
            under(choice(RATE, 1), "regularization.l2", 1),
            trials=3,
        ),
        [f"{CONDITION}.path"],
    ),
    (
        "under which there is no room",
        search(OPTIMIZER, under(choice(RATE, 1), "optimizer", SGD, ADAM)),
        ["search.parameters[1].path"],
    ),
    (
        "under which alternatives meet",
        search(
            choice("epochs", 1, 2, 3),
            under(choice(RATE, 1), "epochs", 1, 2),
            under(choice("optimizer.adam.beta1", 0.5), "epochs", 2, 3),
        ),
        ["search.parameters[2].path"],
    ),
    (
        "beside other wrong fields",
        {"epochs": 0}
        | search(
            choice("network.hidden", [0], [2]),
            under(choice("batch_size", 0), "network.hidden", [3]),
            choice("optimizer.newton", 1),
        ),
        ["epochs", "network.hidden[0]", f"{CONDITION}.values[0]", "search.parameters[2].path"],
    ),
    (
        "points of all kinds",
        {"epochs": 3}
        | points(
            {"optimizer.newton": 1, "search": {}, RATE: "fast"},
            {RATE: None, "optimizer.adam.beta1": 1.5},
            {"optimizer": {"adam": {}}, RATE: 1},
            {"optimizer": {"sgd": {"learning_rate": 2}}, RATE: 1, "network.hidden": 3},
        ),
        [
            place(0, "optimizer.newton"),
            place(0, "search"),
            place(0, RATE),
            place(1, RATE),
            place(1, RATE),
            place(2, RATE),
            place(3, RATE),
            place(3, "network.hidden"),
        ],
    ),
    ("a point's number out of range", points({RATE: 1}, {RATE: -1}), [RATE]),
    ("points that give what is given", {"epochs": 3} | points({"epochs": 2}), ["epochs"]),
    ("no points", points(), ["search.points.points"]),
    ("no repeats", {"search": {"repeats": 0}}, ["search.repeats"]),
    (
        "repeats of points with seeds",
        {"search": points({"seed": 2})["search"] | {"repeats": 2}},
        ["search.repeats"],
    ),
    (
        "repeats of a searched seed",
        {"search": search(choice("seed", 1, 2))["search"] | {"repeats": 2}},
        ["search.repeats"],
    ),
    (
        "repeats of a range",
        {"search": {"learning_rate_range": {}, "repeats": 2}},
        ["search.repeats"],
    ),
    (
        "points beside parameters",
        {"search": search(choice(RATE, 1))["search"] | {"grid": None, "points": {"points": [{}]}}},
        ["search.parameters"],
    ),
    (
        "a value twice in a grid",
        search(choice("cost", {"crossEntropy": {}}, {"cross_entropy": {}})),
        ["search.parameters[0].choice.values[1]"],
    ),
    (
        "steps",
        search(
            (RATE, {"uniform": {"low": 1, "high": 2, "step": 0}}),
            ("regularization.l1", {"log_uniform": {"low": 1, "high": 2, "step": 1.5}}),
            ("regularization.l2", {"normal": {"standard_deviation": 1, "step": -1}}),
            ("batch_size", {"integer": {"low": 1, "high": 5, "step": 6}}),
            ("epochs", {"integer": {"low": 0, "high": 5, "log": True}}),
            ("regularization.dropout", {"uniform": {"low": 0, "high": 1, "step": 1e-30}}),
            trials=3,
        ),
        [
            "search.parameters[0].uniform.step",
            "search.parameters[1].log_uniform.step",
            "search.parameters[2].normal.step",
            "search.parameters[3].integer.step",
            "search.parameters[4].integer.low",
            "search.parameters[5].uniform.step",
        ],
    ),
    (
        "bounds of a normal domain",
        search(
            (RATE, {"normal": {"standard_deviation": 1, "low": 31}}),
            ("regularization.l1", {"normal": {"standard_deviation": 1, "high": -31}}),
            ("regularization.l2", {"normal": {"standard_deviation": 1, "low": 2, "high": 2}}),
            (
                "regularization.dropout",
                {"normal": {"standard_deviation": 1, "low": 0.1, "high": 0.2, "step": 1}},
            ),
            trials=3,
        ),
        [
            "search.parameters[0].normal.low",
            "search.parameters[1].normal.high",
            "search.parameters[2].normal.high",
            "search.parameters[3].normal.step",
        ],
    ),
    (
        "no trials of a sequence",
        {"search": search(choice(RATE, 1))["search"] | {"grid": None, "sobol": {}}},
        ["search.sobol.trials"],
    ),
]


@pytest.mark.parametrize(("document", "fields"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_every_wrong_field_is_named(
    plan: Callable[..., object], document: dict[str, object], fields: list[str]
) -> None:
    require_refusal(plan, PLAIN | document, fields)


def test_numbers_that_json_has_not_are_refused(plan: Callable[..., NewJob]) -> None:
    for number in (float("nan"), float("inf")):
        spec = read(PLAIN)
        spec.search.points.points.add().values[RATE].number_value = number
        with pytest.raises(InvalidSpecError, match="no NaN, no infinity"):
            plan(spec)
        spec = read(PLAIN | search(OPTIMIZER, choice("epochs", 1)))
        condition = spec.search.parameters[1].condition
        condition.path = "optimizer"
        condition.values.add().number_value = number
        with pytest.raises(InvalidSpecError, match="never takes a number that is not finite"):
            plan(spec)


def test_conditions_that_nest_too_deep_are_refused(plan: Callable[..., NewJob]) -> None:
    paths = [f"initialization{'.model.rest' * depth}.constant.bias" for depth in range(52)]
    chain = [under(choice(p, 1), other, 1) for other, p in itertools.pairwise(paths)]
    document = search(choice(paths[0], 1), *chain)
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | document))
    deep = [v.field for v in caught.value.violations if "50 deep" in v.description]
    assert deep == ["spec.search.parameters[51].condition.path"]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            search(
                under(choice("epochs", 1), "batch_size", 2),
                under(choice("batch_size", 2), "epochs", 1),
            ),
            "the conditions go in a circle: epochs -> batch_size -> epochs",
        ),
        (
            search(OPTIMIZER, under(choice(RATE, 1), "optimizer", {"lion": {}})),
            r"optimizer never takes \{'lion': \{\}\}: expected one of \{'sgd': \{\}\}, \{'adam'",
        ),
        (
            search(OPTIMIZER, choice(RATE, 1)),
            r"can't be searched where optimizer is \{'adam': \{\}\}: that has 'adam'",
        ),
    ],
)
def test_refusals_say_why(
    plan: Callable[..., NewJob], document: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidSpecError, match=said):
        plan(read(PLAIN | document))


def test_a_grid_with_conditions_is_counted(plan: Callable[..., NewJob]) -> None:
    def wide(path: str) -> Given:
        return path, {"integer": {"low": 1, "high": 1000}}

    document: Any = search(
        OPTIMIZER, under(wide(RATE), "optimizer", SGD), wide("regularization.l2")
    )
    document["search"]["repeats"] = 10
    with pytest.raises(InvalidSpecError, match="makes 10,010,000 trials; this server takes 10,000"):
        plan(read(PLAIN | document))


def test_a_hundred_thousand_trials_are_expanded_in_less_than_a_second(catalog: Catalog) -> None:
    document = search(
        (RATE, {"log_uniform": {"low": 0.1, "high": 1}}),
        ("optimizer.sgd.momentum", {"uniform": {"low": 0, "high": 0.9}}),
        ("regularization.l2", {"uniform": {"low": 0, "high": 1, "step": 0.1}}),
        ("regularization.l1", {"normal": {"standard_deviation": 1, "low": 0}}),
        trials=1,
    )
    spec: spec_pb2.JobSpec = read(PLAIN | document)
    spec.search.random.trials = 100_000
    start = time.process_time()
    assert expand(spec, catalog, 100_000).trials == 100_000
    assert time.process_time() - start < 1
