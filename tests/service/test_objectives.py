"""Which trial is better than another."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from packtrain.service.objectives import Objective, find_fronts, rank, to_scores

COST, ACCURACY = Objective("training_cost", False), Objective("training_accuracy", True)


def test_scores_turn_costs_and_what_is_no_number_is_the_worst() -> None:
    values = np.array([[0.5, 0.9], [np.nan, 0.8]], np.float32)
    expected = np.array([[-0.5, 0.9], [-np.inf, 0.8]])
    np.testing.assert_allclose(to_scores(values, [COST, ACCURACY]), expected, rtol=1e-6)


def test_one_objective_ranks_by_its_value_and_equals_by_their_order() -> None:
    scores = np.array([[1.0], [3.0], [-np.inf], [3.0], [2.0]])
    assert rank(scores).tolist() == [1, 3, 4, 0, 2]


def test_fronts_by_hand() -> None:
    scores = np.array([[0, 4], [1, 3], [4, 0], [1, 1], [0, 0], [1, 3]], float)
    # (1, 3) comes twice: neither is better than the other.
    assert find_fronts(scores).tolist() == [0, 0, 0, 1, 2, 0]


def test_within_a_front_those_with_room_around_them_come_first() -> None:
    scores = np.array([[0, 10], [5, 5], [5.1, 4.9], [5.2, 4.8], [10, 0]])
    order = rank(scores).tolist()
    assert set(order[:2]) == {0, 4}
    # 2 lies between two that are near; 1 and 3 have a far neighbour each.
    assert order[-1] == 2


@given(
    arrays(np.int8, st.tuples(st.integers(1, 12), st.integers(2, 3)), elements=st.integers(0, 3))
)
def test_fronts_are_those_of_the_definition(values: np.ndarray) -> None:
    scores = values.astype(float)
    fronts = find_fronts(scores)

    def dominates(i: int, j: int) -> bool:
        return bool((scores[i] >= scores[j]).all() and (scores[i] > scores[j]).any())

    everyone = range(len(scores))
    for j in everyone:
        above = [fronts[i] for i in everyone if dominates(i, j)]
        assert fronts[j] == (max(above) + 1 if above else 0)
    assert sorted(rank(scores).tolist()) == list(everyone)
    assert (np.diff(fronts[rank(scores)]) >= 0).all()
