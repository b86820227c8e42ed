"""Searches: every wrong parameter named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.service.specifications import PLAIN, RATE, choice, read, require_refusal, search

from packtrain.service.errors import InvalidSpecError
from packtrain.service.records import NewJob

VALUES = "search.parameters[0].choice.values"

WRONG: list[tuple[str, dict[str, object], list[str]]] = [
    ("nothing searched", {"search": {"grid": {}}}, ["search.parameters"]),
    (
        "no algorithm",
        {"search": {"parameters": [{"path": "epochs", "choice": {"values": [1]}}]}},
        ["search"],
    ),
    ("no domain", search((RATE, {})), ["search.parameters[0]"]),
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
        [f"{VALUES}[1]"],
    ),
    ("a path twice", search(choice(RATE, 1), choice(RATE, 2)), ["search.parameters[1].path"]),
    (
        "a value with no room for what is searched within it",
        search(choice("optimizer", {"sgd": {}}, {"adam": {}}), choice(RATE, 1)),
        ["search.parameters[1].path"],
    ),
    (
        "a value that gives what is searched within it",
        search(choice(RATE, 1), choice("optimizer.sgd", {}, {"learningRate": 1})),
        ["search.parameters[0].path"],
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
    ("values of another type", search(choice(RATE, 1, "fast")), [f"{VALUES}[1]"]),
    ("values that are no numbers", search(choice(RATE, 1, True)), [f"{VALUES}[1]"]),
    ("no widths", search(choice("network.hidden", [3], 4)), [f"{VALUES}[1]"]),
    ("an unknown cost", search(choice("cost", {"regret": {}})), [f"{VALUES}[0].regret"]),
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
        plan(read(PLAIN | search(choice("regularization.entropy", 1))))


@pytest.mark.parametrize(
    ("parameter", "place", "said"),
    [
        (
            choice("optimizer.sgd.learningRate", 1),
            "search.parameters[0].path",
            "there is no field optimizer.sgd.learningRate; did you mean optimizer.sgd.learning_rate?",
        ),
        (
            choice("optimizer.adam.learning_rat", 1),
            "search.parameters[0].path",
            "there is no field optimizer.adam.learning_rat; did you mean "
            "optimizer.adam.learning_rate or optimizer.adamw.learning_rate?",
        ),
        (
            choice("cost", "cross_entrop"),
            f"{VALUES}[0]",
            "must be a mapping with fields of Cost (quadratic, cross_entropy, log_likelihood, hinge, "
            "huber, absolute, poisson, label_smoothing, class_weights) for cost, not "
            "'cross_entrop'; did you mean {cross_entropy: {}}?",
        ),
        (
            choice("optimizer", {"adam": {"learning_rat": 1}}),
            f"{VALUES}[0].adam.learning_rat",
            "is no field of Adam: did you mean learning_rate?",
        ),
        (
            choice("cost", {"quadratic": {"delta": 1}}),
            f"{VALUES}[0].quadratic.delta",
            "is no field of QuadraticCost: it has none",
        ),
    ],
)
def test_a_misspelt_field_gets_a_hint(
    plan: Callable[..., object], parameter: tuple[str, dict[str, object]], place: str, said: str
) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | search(parameter)))
    assert caught.value.violations == ((f"spec.{place}", said),)


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


@pytest.mark.parametrize(
    ("path", "value", "place", "said"),
    [
        (RATE, "a", "", "must be a number for learning_rate, not 'a'"),
        (RATE, None, "", "must be a number for learning_rate, not null"),
        (RATE, [1], "", "must be a number for learning_rate, not [1.0]"),
        ("batch_size", "a", "", "must be a whole number for batch_size, not 'a'"),
        ("batch_size", 2.5, "", "must be a whole number for batch_size, not 2.5"),
        (
            "batch_size",
            3e9,
            "",
            "must be 1 to 2,147,483,647 for batch_size, not 3000000000",
        ),
        ("network.hidden", [3e9], "[0]", "must be 1 to 16,384 for hidden, not 3000000000"),
        (
            "optimizer",
            {"schedule": {"step": {"every": 3e9}}},
            ".schedule.step.every",
            "must be 1 to 2,147,483,647 for every, not 3000000000",
        ),
        (
            "initialization.model.trial",
            -3e9,
            "",
            "must be 0 to 2,147,483,647 for trial, not -3000000000",
        ),
        ("network.hidden", 30, "", "must be a list for hidden, not 30"),
        ("network.hidden", [30, "x"], "[1]", "must be a whole number for hidden, not 'x'"),
        (
            "optimizer.sgd.nesterov",
            "perhaps",
            "",
            "must be true or false for nesterov, not 'perhaps'",
        ),
        (
            "network.hidden_activation",
            "tanh",
            "",
            "must be one of ACTIVATION_SIGMOID, ACTIVATION_TANH, ",
        ),
        (
            "network.hidden_activation",
            1.5,
            "",
            "must be one of ACTIVATION_SIGMOID, ACTIVATION_TANH, ",
        ),
        (
            "network",
            {"hidden_activation": 1.5},
            ".hidden_activation",
            "must be one of ACTIVATION_SIGMOID, ACTIVATION_TANH, ",
        ),
        ("initialization.model.job", 3, "", "must be a text for job, not 3"),
        ("cost", "quadratic", "", "must be a mapping with fields of Cost (quadratic, "),
        ("cost", {"regret": {}}, ".regret", "is no field of Cost: expected one of quadratic, "),
        (
            "cost",
            {"quadratic": {}, "hinge": {}},
            ".quadratic",
            "can't stand beside hinge: give one of the two",
        ),
        (
            "optimizer",
            {"adam": {"learningRate": "fast"}},
            ".adam.learningRate",
            "must be a number for learning_rate, not 'fast'",
        ),
    ],
)
def test_a_value_of_another_type_is_told_in_our_words(
    plan: Callable[..., NewJob], path: str, value: object, place: str, said: str
) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | search(choice(path, value))))
    (violation,) = caught.value.violations
    assert violation.field == f"spec.{VALUES}[0]{place}"
    assert violation.description.startswith(said)
    if not said.endswith(" "):
        assert violation.description == said


def test_every_wrong_value_of_a_choice_is_named(plan: Callable[..., NewJob]) -> None:
    two = choice("optimizer", {"sgd": {"learningRate": "a", "momentum": []}}, {"newton": {}}, 3)
    places = ["[0].sgd.learningRate", "[0].sgd.momentum", "[1].newton", "[2]"]
    require_refusal(plan, PLAIN | search(two), [f"{VALUES}{place}" for place in places])


def test_numbers_beyond_a_field_are_told_of_other_domains_too(plan: Callable[..., NewJob]) -> None:
    domain = {"integer": {"low": 3_000_000_000, "high": 3_000_000_001}}
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | search(("epochs", domain))))
    said = {v.description for v in caught.value.violations if v.field == "spec.epochs"}
    assert "must be 1 to 1,000,000 for epochs, not 3000000000" in said


def test_what_json_takes_is_taken(plan: Callable[..., NewJob]) -> None:
    for path, value in (
        ("network.hidden_activation", 2),
        ("batch_size", "8"),
        ("optimizer", {"adam": {"beta1": None}}),
        ("seed", "12"),
    ):
        assert plan(read(PLAIN | search(choice(path, value)))).trials == 1


def test_a_misspelt_metric_gets_a_hint(plan: Callable[..., object]) -> None:
    told = "'accurracy' is no metric; did you mean training_accuracy or validation_accuracy"
    with pytest.raises(InvalidSpecError, match=told):
        plan(read(PLAIN | {"measurement": {"metrics": ["accurracy"]}}))


def test_a_misspelt_dataset_gets_a_hint(plan: Callable[..., object]) -> None:
    with pytest.raises(InvalidSpecError, match="no dataset 'digit'; did you mean digits"):
        plan(read({"dataset": {"name": "datasets/digit"}}))
