"""Filters, orders, fronts and importance of trials, computed from columns."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from packtrain.service.domains import Choice, Integer, Normal, Uniform
from packtrain.service.errors import IllegalTransitionError, InvalidSpecError, Violation
from packtrain.service.results.columns import STATE_CODES, Numbers, TrialColumns, Words
from packtrain.service.results.filters import MOST_NESTED, matching_rows
from packtrain.service.results.goals import Goal, best_row, higher_is_better, read_goal
from packtrain.service.results.importance import importances
from packtrain.service.results.ordering import Order, read_order
from packtrain.service.results.pareto import pareto_front
from packtrain.service.states import TrialState
from packtrain.training import METRICS

NAN, INF = np.nan, np.inf
RATE = "parameters.optimizer.sgd.learning_rate"


def columns() -> TrialColumns:
    """Six trials: three succeeded, one diverged, one runs, one waits."""
    states = ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "DIVERGED", "RUNNING", "QUEUED"]
    accuracy = [0.9, 0.95, 0.9, NAN, 0.5, NAN]
    cost = [0.3, 0.2, 0.3, INF, 0.7, NAN]
    return TrialColumns(
        sequence=1,
        metrics=("validation_accuracy", "validation_cost", "weight_norm/1"),
        states=np.array([STATE_CODES[TrialState[s]] for s in states], np.int8),
        epochs=np.array([30, 10, 30, 3, 5, 0], np.int32),
        packs=np.zeros(6, np.int32),
        values=np.array([accuracy, cost, [1.0] * 6], np.float32).T,
        parameters={
            "optimizer.sgd.learning_rate": Numbers(np.array([0.1, 1.0, 0.1, 100.0, 0.5, 2.0])),
            "optimizer.sgd.momentum": Numbers(np.array([0.9, NAN, 0.0, NAN, NAN, NAN])),
            "cost": Words(np.array([0, 0, 1, 1, 2, -1]), ("crossEntropy", 'a "b" \\', "quadratic")),
        },
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("   ", [0, 1, 2, 3, 4, 5]),
        ("state = SUCCEEDED", [0, 1, 2]),
        ("state != SUCCEEDED", [3, 4, 5]),
        ('state="RUNNING"', [4]),
        ("index >= 4", [4, 5]),
        ("epochs<=5", [3, 4, 5]),
        # What is shown as 0.9 equals 0.9, though it is 0.89999998 in float32.
        ("validation_accuracy = 0.9", [0, 2]),
        ("validation_accuracy > 0.9", [1]),
        # What a trial has not is neither equal nor unequal to anything.
        ("validation_accuracy != 0.9", [1, 4]),
        ("NOT validation_accuracy = 0.9", [1, 3, 4, 5]),
        ("validation_cost > 1e3", [3]),
        ("validation_cost < -1", []),
        ("weight_norm/1 = 1", [0, 1, 2, 3, 4, 5]),
        (f"{RATE} < 1", [0, 2, 4]),
        ("parameters.optimizer.sgd.momentum:*", [0, 2]),
        ("NOT parameters.optimizer.sgd.momentum : *", [1, 3, 4, 5]),
        ("parameters.cost = crossEntropy", [0, 1]),
        ("parameters.cost != crossEntropy", [2, 3, 4]),
        (r'parameters.cost = "a \"b\" \\"', [2, 3]),
        ("parameters.cost = unheard", []),
        (f"state = SUCCEEDED AND validation_accuracy > 0.85 AND {RATE} < 1", [0, 2]),
        ("index = 0 OR index = 1 OR index = 5", [0, 1, 5]),
        ("(index < 3 OR index = 5) AND NOT (epochs = 30)", [1, 5]),
        ("NOT NOT index = 2", [2]),
        ("((index = 2))", [2]),
    ],
)
def test_a_filter_selects(text: str, expected: list[int]) -> None:
    assert np.flatnonzero(matching_rows(text, columns())).tolist() == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "validation_acuracy > 1",
            "at character 1: there is no 'validation_acuracy'; did you mean",
        ),
        ("index > ", "at character 8: expected a value after >, not its end"),
        ("index > x", "at character 9: expected a number for index, not 'x'"),
        ("index > nan", "at character 9: expected a number for index, not 'nan'"),
        ("index > 1_0", "at character 9: expected a number for index, not '1_0'"),
        ("index", "at character 6: expected one of = != < <= > >= or :* after index, not its end"),
        ("index 3", "at character 7: expected one of = != < <= > >= or :* after index, not '3'"),
        ("index : 3", "at character 9: expected * after :, not '3'"),
        ("index = 1 index = 2", "at character 11: expected AND, OR or the end, not 'index'"),
        ("index = 1 and index = 2", "at character 11: expected AND, OR or the end, not 'and'"),
        ("index = 1 AND", "at character 14: expected a field, NOT or (, not its end"),
        ("(index = 1", "at character 11: expected AND, OR or ), not its end"),
        ("index = 1)", "at character 10: expected AND, OR or the end, not ')'"),
        ("()", "at character 2: expected a field, NOT or (, not ')'"),
        (
            "index = 1 AND index = 2 OR index = 3",
            "at character 25: expected AND: AND and OR are mixed within parentheses only, not 'OR'",
        ),
        ("state = DONE", "at character 9: expected one of QUEUED, RUNNING"),
        ("state > RUNNING", "at character 7: expected = or != after state, which is no number"),
        ("parameters.cost < a", "at character 17: expected = or != after parameters.cost"),
        ('parameters.cost = "a', "at character 19: expected a value after =, not '\"'"),
        ("index = 1 ; drop", "at character 11: expected AND, OR or the end, not ';'"),
        ("NOT " * (MOST_NESTED + 1) + "index = 1", "expected at most 50 groups"),
        ("(" * 5000 + "index = 1", "expected at most 50 groups"),
        ("x" * 10_001, "must be at most 10,000 characters, not 10,001"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        matching_rows(text, columns())
    (violation,) = refused.value.violations
    assert violation.field == "filter"
    assert sentence in violation.description


@given(st.text(alphabet='()"\\=<>!:*. aindexNOTAR019-\n\0é', max_size=60))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidSpecError):
        assert matching_rows(text, columns()).shape == (6,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("index desc", [5, 4, 3, 2, 1, 0]),
        ("validation_accuracy", [4, 0, 2, 1, 3, 5]),
        ("validation_accuracy desc", [1, 0, 2, 4, 3, 5]),
        # Who diverged comes last, whatever it measured.
        ("validation_cost desc", [4, 0, 2, 1, 3, 5]),
        ("weight_norm/1", [0, 1, 2, 4, 5, 3]),
        ("epochs desc, validation_cost asc", [0, 2, 1, 4, 3, 5]),
        ("state , index desc", [3, 5, 4, 2, 1, 0]),
        ("parameters.cost", [2, 3, 0, 1, 4, 5]),
        ("parameters.cost desc", [4, 0, 1, 2, 3, 5]),
        ("parameters.optimizer.sgd.momentum", [2, 0, 1, 3, 4, 5]),
    ],
)
def test_an_order_sorts_and_every_position_in_it_is_found_again(
    text: str, expected: list[int]
) -> None:
    found = columns()
    order = Order(found, read_order(text, found))
    ordered = order.sort(np.arange(6))
    assert ordered.tolist() == expected
    for place, row in enumerate(ordered.tolist()):
        assert order.after(ordered, order.position(row)) == place + 1
        # The trial may be gone from the list by then.
        without = np.delete(ordered, place)
        assert order.after(without, order.position(row)) == place


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("accuracy", "there is no 'accuracy'; did you mean validation_accuracy?"),
        ("index up", "the first is 'index up'"),
        ("index,", "the second is ''"),
        ("index, epochs, index desc", "names index twice"),
    ],
)
def test_a_wrong_order_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        read_order(text, columns())
    assert sentence in refused.value.violations[0].description


def test_goals_follow_the_catalogue() -> None:
    for name, metric in METRICS.items():
        assert higher_is_better(name) is metric.higher_is_better
        assert higher_is_better(f"{name}/2") is metric.higher_is_better
    assert read_goal("validation_f1", ["validation_f1"], "f") == Goal("validation_f1", True)
    assert read_goal("validation_f1 asc", ["validation_f1"], "f") == Goal("validation_f1", False)
    for wrong in ("", "cost", "validation_f1 up", "validation_f1 asc asc"):
        assert isinstance(read_goal(wrong, ["validation_f1"], "f"), Violation)


def test_the_best_is_finite_and_the_first_of_equal_ones() -> None:
    cost, gain = Goal("cost", False), Goal("gain", True)
    values = np.array([NAN, INF, 2, 1, 1, -INF], np.float32)
    assert best_row(cost, values) == 3
    assert best_row(gain, values) == 2
    assert best_row(cost, np.array([NAN, INF], np.float32)) is None


@pytest.mark.parametrize("state", [TrialState.DIVERGED, TrialState.FAILED])
def test_whoever_diverged_or_failed_is_not_ranked(state: TrialState) -> None:
    found = columns()
    found.states[1] = STATE_CODES[state]
    assert best_row(Goal("validation_cost", False), found.ranked_metric("validation_cost")) == 0
    assert found.metric("validation_cost")[1] == np.float32(0.2)  # still shown, and filtered by
    found.states[:] = STATE_CODES[state]
    assert best_row(Goal("weight_norm/1", False), found.ranked_metric("weight_norm/1")) is None


def test_equal_trials_are_on_the_front_together_and_nan_never() -> None:
    losses = np.array(
        [[1, 3], [2, 2], [3, 1], [2, 2], [2, 3], [NAN, 0], [0, INF], [3, 1.5]], np.float32
    )
    assert np.flatnonzero(pareto_front(losses)).tolist() == [0, 1, 2, 3]
    assert not pareto_front(np.full((3, 2), np.nan, np.float32)).any()
    assert pareto_front(np.zeros((0, 3), np.float32)).shape == (0,)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 25), st.integers(2, 4)),
        elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, NAN, INF]),
    )
)
def test_the_front_is_what_nothing_dominates(losses: np.ndarray) -> None:
    finite = np.isfinite(losses).all(axis=1)
    expected = [
        bool(finite[i])
        and not any(
            finite[j] and (losses[j] <= losses[i]).all() and (losses[j] < losses[i]).any()
            for j in range(len(losses))
        )
        for i in range(len(losses))
    ]
    assert pareto_front(losses).tolist() == expected


def test_importance_takes_every_domain_and_parameters_that_trials_lack() -> None:
    draw = np.random.default_rng(3)
    count = 300
    rate = np.exp(draw.uniform(-5, 2, count))
    is_sgd = np.arange(count) % 2 == 0
    momentum = np.where(is_sgd, draw.uniform(0, 1, count), NAN)
    cost = np.log(rate) ** 2 + np.where(is_sgd, 5 * momentum, 3)
    cost[:7] = INF
    parameters = {
        "rate": Numbers(rate),
        "optimizer": Words(is_sgd.astype(np.int64), ("adam", "sgd")),
        "momentum": Numbers(momentum),
        "seed": Numbers(draw.integers(0, 2**53, count)),
        "steps": Numbers(1 + 4 * draw.integers(0, 3, count)),
        "noise": Numbers(draw.normal(size=count)),
        "single": Numbers(np.full(count, 0.5)),
        "nobody": Words(np.full(count, -1), ("a",)),
        "l2": Numbers(draw.choice([0, 0.1], count)),
    }
    domains = {
        "rate": Uniform(math.exp(-5), math.exp(2), log=True),
        "optimizer": Choice(2),
        "momentum": Uniform(0, 1),
        "seed": Integer(0, 2**53),
        "steps": Integer(1, 10, 4),
        "noise": Normal(0, 1),
        "single": Choice(1),
        "nobody": Choice(1),
        "l2": Choice(2),
    }
    goal = Goal("cost", False)
    found, trials = importances(goal, cost.astype(np.float32), parameters, domains)
    shares = {i.path: i.share for i in found}
    assert trials == count - 7
    assert shares.keys() == parameters.keys()
    assert sum(shares.values()) == pytest.approx(1)
    idle = max(shares[path] for path in ("steps", "l2", "single", "nobody"))
    assert min(shares["rate"], shares["momentum"]) > 3 * idle
    present = {i.path: i.trials for i in found}
    assert (present["momentum"], present["nobody"]) == (int(is_sgd[7:].sum()), 0)
    again, _ = importances(goal, cost.astype(np.float32), parameters, domains)
    assert again == found


def test_importance_of_a_constant_metric_is_refused() -> None:
    same = np.ones(30, np.float32)
    with pytest.raises(IllegalTransitionError, match="cost is the same for all trials"):
        importances(Goal("cost", False), same, {"a": Numbers(np.arange(30))}, {})
