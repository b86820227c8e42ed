"""Searches: every wrong parameter named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.service.specifications import PLAIN, RATE, choice, read, require_refusal, search

from packtrain.service.errors import InvalidSpecError
from packtrain.service.records import NewJob

WRONG: list[tuple[str, dict[str, object], list[str]]] = [
    ("nothing searched", {"search": {"grid": {}}}, ["search.parameters"]),
    (
        "no algorithm",
        {"search": {"parameters": [{"path": "epochs", "choice": {"values": [1]}}]}},
        ["search.algorithm"],
    ),
    ("no domain", search((RATE, {})), ["search.parameters[0].domain"]),
    ("no values", search(choice(RATE)), ["search.parameters[0].choice.values"]),
    ("an unknown path", search(choice("optimizer.newton", 1)), ["search.parameters[0].path"]),
    ("a path into a list", search(choice("network.hidden.0", 1)), ["search.parameters[0].path"]),
    ("no path", search(choice("", 1)), ["search.parameters[0].path"]),
    (
        "what all trials share",
        search(choice("data_type", 1), choice("measurement.metrics", [])),
        ["search.parameters[0].path", "search.parameters[1].path"],
    ),
    (
        "given and searched",
        {"optimizer": {"sgd": {"learningRate": 1}}} | search(choice(RATE, 1)),
        [RATE],
    ),
    (
        "another alternative given",
        {"initialization": {"he": {}}} | search(choice("initialization.constant.bias", 1)),
        ["search.parameters[0].path"],
    ),
    (
        "two alternatives searched",
        search(choice("optimizer.sgd.momentum", 0), choice("optimizer.adam.beta1", 0.5)),
        ["search.parameters[1].path"],
    ),
    (
        "values out of a new number's range",
        search(choice("regularization.max_norm", 0, 1), choice("optimizer.adam.epsilon", 0)),
        ["regularization.max_norm", "optimizer.adam.epsilon"],
    ),
    (
        "a truth that is none",
        search(choice("optimizer.sgd.nesterov", True, "perhaps")),
        ["optimizer.sgd.nesterov"],
    ),
    (
        "paths that overlap",
        search(choice("optimizer.sgd", {}), choice(RATE, 1), choice("optimizer", {})),
        ["search.parameters[1].path", "search.parameters[2].path"],
    ),
    (
        "a real interval of whole numbers",
        search(("epochs", {"uniform": {"low": 1, "high": 5}}), trials=3),
        ["search.parameters[0].uniform"],
    ),
    (
        "an interval of messages",
        search(("cost", {"integer": {"low": 1, "high": 5}}), trials=3),
        ["search.parameters[0].integer"],
    ),
    (
        "a logarithm of zero",
        search((RATE, {"logUniform": {"low": 0, "high": 5}}), trials=3),
        ["search.parameters[0].log_uniform.low"],
    ),
    (
        "empty intervals",
        search(
            (RATE, {"uniform": {"low": 1, "high": 1}}),
            ("epochs", {"integer": {"low": 5, "high": 1}}),
            ("batch_size", {"integer": {"low": 1, "high": 5, "step": 0}}),
            ("regularization.l1", {"normal": {"mean": 1}}),
            trials=3,
        ),
        [
            "search.parameters[0].uniform.high",
            "search.parameters[1].integer.high",
            "search.parameters[2].integer.step",
            "search.parameters[3].normal.standard_deviation",
        ],
    ),
    (
        "an interval beyond what is finite",
        search(
            ("initialization.constant.bias", {"uniform": {"low": -1e308, "high": 1e308}}), trials=3
        ),
        ["search.parameters[0].uniform.high"],
    ),
    (
        "more whole numbers than a draw has",
        search(("seed", {"integer": {"low": 0, "high": 2**62}}), trials=3),
        ["search.parameters[0].integer.high"],
    ),
    (
        "a grid of intervals without points",
        search((RATE, {"uniform": {"low": 1, "high": 2}})),
        ["search.grid.points"],
    ),
    (
        "a grid of a normal",
        search((RATE, {"normal": {"mean": 1, "standardDeviation": 2}})),
        ["search.parameters[0].normal"],
    ),
    ("no trials", search(choice(RATE, 1), trials=0), ["search.random.trials"]),
    ("values out of range", search(choice(RATE, 1, -1)), [RATE]),
    ("values of another type", search(choice(RATE, 1, "fast")), [RATE]),
    ("values that are no numbers", search(choice(RATE, 1, True)), [RATE]),
    ("no widths", search(choice("network.hidden", [3], 4)), ["network.hidden"]),
    ("an unknown cost", search(choice("cost", {"regret": {}})), ["cost"]),
    (
        "seeds that are none",
        search(choice("seed", 1, "x", None, -1, 1.5, True)),
        [f"search.parameters[0].choice.values[{i}]" for i in range(1, 6)],
    ),
    (
        "a drawn value out of its field's range",
        search(("regularization.dropout", {"uniform": {"low": 0, "high": 2}}), trials=50),
        ["regularization.dropout"],
    ),
]


@pytest.mark.parametrize(("document", "fields"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_every_wrong_field_is_named(
    plan: Callable[..., object], document: dict[str, object], fields: list[str]
) -> None:
    require_refusal(plan, PLAIN | document, fields)


def test_an_unknown_path_lists_what_was_expected(plan: Callable[..., object]) -> None:
    with pytest.raises(InvalidSpecError, match="expected one of augmentation, clip_norm, dropout"):
        plan(read(PLAIN | search(choice("regularization.l3", 1))))


def test_too_many_trials_are_counted(plan: Callable[..., object]) -> None:
    paths = ("regularization.l1", "regularization.l2", RATE)
    document = search(*((p, {"integer": {"low": 1, "high": 1000}}) for p in paths))
    with pytest.raises(InvalidSpecError, match="1,000,000,000 trials; this server takes 10,000"):
        plan(read(PLAIN | document))


def test_a_wrong_parameter_hides_no_other(plan: Callable[..., NewJob]) -> None:
    wrong = search(
        choice("regularization.l3", 1),
        choice(RATE, -1, 0.5),
        choice("batch_size", -5),
        choice("epochs", 0, 3),
    )
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | wrong))
    fields = {v.field for v in caught.value.violations}
    assert fields == {
        "spec.search.parameters[0].path",
        f"spec.{RATE}",
        "spec.batch_size",
        "spec.epochs",
    }
