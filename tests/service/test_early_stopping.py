"""Which trials are compared, when, and which of them go on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packtrain.service.early_stopping import (
    Bracket,
    EarlyStopping,
    Hyperband,
    MedianRule,
    Standings,
    SuccessiveHalving,
)


def trials(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int32)


def standings(last: list[float], present: list[int] | None = None) -> Standings:
    scores = np.array(last, float)[:, np.newaxis]
    there = np.ones(len(last), np.bool_)
    if present is not None:
        there = np.isin(np.arange(len(last)), present)
    return Standings(there, scores, scores, scores)


def test_halving_has_rungs_at_the_powers_of_its_factor() -> None:
    (bracket,) = SuccessiveHalving(3, 1).brackets(trials(27), 81, 1)
    assert bracket.rungs == (1, 3, 9, 27)
    assert [bracket.next_rung(e) for e in (0, 1, 2, 27)] == [1, 3, 3, None]


def test_rungs_are_where_something_is_measured() -> None:
    (bracket,) = SuccessiveHalving(2, 1).brackets(trials(4), 30, 5)
    assert bracket.rungs == (5, 10, 20)
    (bracket,) = SuccessiveHalving(2, 1).brackets(trials(4), 4, 5)
    assert bracket.rungs == ()


def test_halving_keeps_the_best_third() -> None:
    rule = SuccessiveHalving(3, 1)
    (bracket,) = rule.brackets(trials(9), 27, 1)
    first = rule.find_survivors(bracket, 1, standings([1, 9, 2, 8, 3, 7, 4, 6, 5]))
    assert np.flatnonzero(first).tolist() == [1, 3, 5]
    # 1 diverged since.
    second = rule.find_survivors(bracket, 3, standings([9, 9, 9, 7, 9, 8, 9, 9, 9], [3, 5]))
    assert np.flatnonzero(second).tolist() == [5]


def test_somebody_always_goes_on() -> None:
    rule = SuccessiveHalving(10, 1)
    (bracket,) = rule.brackets(trials(2), 1000, 1)
    assert rule.find_survivors(bracket, 100, standings([2, 1])).tolist() == [True, False]


def test_hyperband_gives_each_bracket_its_share() -> None:
    # Li et al., 2018, table 1: R = 81, eta = 3; n of 81, 34, 15, 8, 5 trials.
    brackets = Hyperband(3, 1).brackets(trials(143), 81, 1)
    assert [b.rungs for b in brackets] == [(1, 3, 9, 27), (3, 9, 27), (9, 27), (27,), ()]
    published = np.array([81, 34, 15, 8, 5])
    assert np.abs(np.array([len(b.trials) for b in brackets]) - published).max() <= 1
    everyone = np.sort(np.concatenate([b.trials for b in brackets]))
    np.testing.assert_array_equal(everyone, trials(143))


def test_the_median_rule_compares_the_best_with_the_means_of_all() -> None:
    rule = MedianRule(2, 3)
    (bracket,) = rule.brackets(trials(4), 10, 1)
    assert bracket.rungs == (2, 5, 8)
    mean = np.array([[1.0], [2.0], [3.0], [4.0]])
    best = np.array([[2.4], [2.6], [3.0], [9.0]])
    present = np.array([True, True, True, False])
    found = rule.find_survivors(bracket, 2, Standings(present, best, best, mean))
    assert found.tolist() == [False, True, True, False]


@given(
    st.sampled_from(["halving", "hyperband", "median"]),
    st.integers(1, 200),
    st.integers(1, 100),
    st.integers(1, 7),
    st.integers(2, 5),
    st.integers(1, 9),
)
def test_every_trial_is_in_one_bracket_and_rungs_ascend_to_the_end(
    kind: str, count: int, epochs: int, every: int, factor: int, least: int
) -> None:
    rules: dict[str, EarlyStopping] = {
        "halving": SuccessiveHalving(factor, least),
        "hyperband": Hyperband(factor, least),
        "median": MedianRule(least, factor),
    }
    brackets = rules[kind].brackets(trials(count), epochs, every)
    everyone = np.concatenate([b.trials for b in brackets])
    np.testing.assert_array_equal(np.sort(everyone), trials(count))
    for bracket in brackets:
        assert list(bracket.rungs) == sorted(set(bracket.rungs))
        assert all(rung < epochs and rung % every == 0 for rung in bracket.rungs)
        assert (np.diff(bracket.trials) > 0).all()


@pytest.mark.parametrize("rule", [SuccessiveHalving(2, 1), Hyperband(2, 1), MedianRule(1, 1)])
def test_survivors_are_of_those_present(rule: EarlyStopping) -> None:
    bracket = Bracket(trials(6), (1, 2))
    found = rule.find_survivors(bracket, 1, standings([5, 4, 3, 2, 1, 0], [2, 3, 4]))
    assert not found[[0, 1, 5]].any()
    assert found[2]
