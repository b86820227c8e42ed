"""What algorithms that learn propose, without a server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packtrain.service.contract import offered
from packtrain.service.domains import Choice, Domain, Integer, Normal, Uniform
from packtrain.service.learners import CmaEs, GaussianProcess, Learner, Nsga2, Tpe
from packtrain.service.objectives import Scores
from packtrain.service.parameters import Condition, Parameter
from packtrain.service.positions import unit_of
from packtrain.service.proposals import Proposer
from packtrain.service.samplers import Cube, Random
from packtrain.service.search import SearchSpace
from packtrain.service.slices import Steps

T = TypeVar("T")

NUMBERS = (
    Parameter("rate", Uniform(1e-4, 1.0, log=True)),
    Parameter("width", Integer(1, 64, log=True)),
    Parameter("depth", Integer(1, 3)),
    Parameter("decay", Normal(0.5, 0.1)),
)
# The condition comes before what it names.
MIXED = (
    Parameter("momentum", Uniform(0.0, 0.9, step=0.1), Condition("rule", frozenset({0}))),
    Parameter("rate", Uniform(1e-4, 1.0, log=True)),
    Parameter("rule", Choice(3)),
)
CASES = [
    (Tpe(48, 8), NUMBERS),
    (Tpe(48, 8), MIXED),
    (CmaEs(48, 8), NUMBERS),
    (Nsga2(48, 8), MIXED),
]
if offered("gaussian_process"):
    CASES += [(GaussianProcess(16, 4), NUMBERS), (GaussianProcess(16, 4), MIXED)]


def finish(steps: Steps[T]) -> T:
    """What all the steps come to."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def near(points: Cube) -> Scores:
    """More the nearer to 0.3 in all coordinates; far away they fail."""
    scores = -((points - 0.3) ** 2).sum(axis=1, keepdims=True)
    return np.where(scores < -0.8, -np.inf, scores)


def search(
    proposer: Proposer, learner: Learner, first: int, stop: int
) -> Iterator[tuple[Cube, Scores]]:
    while first < stop:
        count = min(learner.batch_size, stop - first)
        points = finish(proposer.propose(first, count))
        scores = near(points)
        finish(proposer.learn(first, points, scores))
        yield points, scores
        first += count


@pytest.mark.parametrize(("learner", "parameters"), CASES)
def test_a_study_that_is_told_again_goes_on_the_same(
    learner: Learner, parameters: tuple[Parameter, ...]
) -> None:
    def study() -> Proposer:
        return Proposer(parameters, learner, 1, seed=5)

    batches = list(search(study(), learner, 0, learner.trials))
    for known in (1, len(batches) // 2, len(batches) - 1):
        again, first = study(), 0
        for points, scores in batches[:known]:
            finish(again.learn(first, points, scores))
            first += len(points)
        np.testing.assert_array_equal(
            finish(again.propose(first, len(batches[known][0]))), batches[known][0]
        )


@pytest.mark.parametrize(("learner", "parameters"), CASES)
def test_what_was_learned_is_better_than_what_was_drawn(
    learner: Learner, parameters: tuple[Parameter, ...]
) -> None:
    proposer = Proposer(parameters, learner, 1, seed=5)
    batches = list(search(proposer, learner, 0, 3 * learner.trials // 2))
    drawn = near(Random(400).cube([p.path for p in parameters], 5, 0, 400))
    assert np.median(batches[-1][1]) > np.median(drawn)


def test_the_first_trials_are_those_of_a_random_search() -> None:
    learner = Tpe(48, 8, startup_trials=10)
    batches = [p for p, _ in search(Proposer(NUMBERS, learner, 1, 5), learner, 0, 24)]
    drawn = Random(48).cube([p.path for p in NUMBERS], 5, 0, 24)
    np.testing.assert_array_equal(np.concatenate(batches[:2]), drawn[:16])
    assert (batches[2] != drawn[16:]).any()


def test_seeds_tell_studies_apart() -> None:
    learner = replace(Tpe(48, 8), startup_trials=1)
    drawn = [list(search(Proposer(NUMBERS, learner, 1, s), learner, 0, 16))[1][0] for s in range(3)]
    assert len(np.unique(np.concatenate(drawn), axis=0)) == 24


@pytest.mark.parametrize("learner", [Tpe(48, 8), CmaEs(48, 8), Nsga2(48, 8)])
def test_lessons_of_another_job_are_learned_from_at_once(learner: Learner) -> None:
    points = Random(40).cube([p.path for p in NUMBERS], 9, 0, 40)
    taught = Proposer(NUMBERS, learner, 1, 5)
    finish(taught.learn_lessons(points, near(points)))
    begun = finish(taught.propose(0, 8))
    assert np.median(near(begun)) > np.median(near(points))


def test_several_objectives_spread_along_their_front() -> None:
    learner = Nsga2(400, 20)
    proposer = Proposer(NUMBERS[:2], learner, 2, 5)
    for first in range(0, 400, 20):
        points = finish(proposer.propose(first, 20))
        scores = -np.stack([points[:, 0] ** 2, (points[:, 0] - 1) ** 2], axis=1)
        finish(proposer.learn(first, points, scores - points[:, 1:]))
    # What costs both is gone; what trades one for the other is not.
    assert np.median(points[:, 1]) < 0.2
    assert np.ptp(points[:, 0]) > 0.5


DOMAINS: list[Domain] = [
    Choice(7),
    Uniform(-2.0, 5.0),
    Uniform(1e-5, 10.0, log=True),
    Uniform(0.0, 0.9, step=0.1),
    Uniform(1.0, 100.0, log=True, step=0.5),
    Integer(-3, 17, 4),
    Integer(1, 1000, log=True),
    Integer(2, 64, 2, log=True),
    Normal(0.1, 0.02),
    Normal(3.0, 1.0, step=0.25),
    Normal(0.0, 1.0, low=-1.0, high=2.0),
]


@pytest.mark.parametrize("domain", DOMAINS)
@given(unit=st.floats(0.0, 1.0 - 1e-6))
@settings(max_examples=60, deadline=None)
def test_a_value_lies_where_it_came_from(domain: Domain, unit: float) -> None:
    value = domain.of_unit(np.array([unit]))[0].item()
    again = domain.of_unit(np.array([unit_of(domain, value)]))[0].item()
    assert again == pytest.approx(value, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("domain", "value"),
    [(Choice(3), -1), (Uniform(0, 1), 1.1), (Integer(1, 9, 2), 4), (Uniform(0, 1, step=0.5), 0.3)],
)
def test_other_values_lie_nowhere(domain: Domain, value: float) -> None:
    with pytest.raises(ValueError, match="is not of"):
        unit_of(domain, value)


def test_the_edges_of_a_space_show_every_choice_and_both_ends() -> None:
    columns = SearchSpace(MIXED, Tpe(8)).place(SearchSpace(MIXED, Tpe(8)).edges())
    assert set(columns["rule"].values.tolist()) == {0, 1, 2}
    found = columns["momentum"]
    assert {0.0, 0.9} <= set(found.values[found.exists].tolist())
    assert not found.is_whole
    assert columns["rate"].values.min() == pytest.approx(1e-4)
    assert columns["rate"].values.max() == pytest.approx(1.0)


def test_nothing_is_proposed_by_a_space_alone() -> None:
    propose: Callable[..., object] = SearchSpace(MIXED, Tpe(8)).columns
    with pytest.raises(ValueError, match="known to the store alone"):
        propose(1, 0, 8)


# Two threads need Optuna: the first is in the middle of its import when the second begins. Parts of
# Optuna that import each other are then within both.
_AT_ONCE = """
import sys, threading
import numpy as np
from packtrain.service.domains import Uniform
from packtrain.service.learners import CmaEs, Tpe
from packtrain.service.parameters import Parameter
from packtrain.service.proposals import Proposer

def learn(learner):
    proposer = Proposer([Parameter("a", Uniform(0, 1))], learner, 1, 1)
    list(proposer.learn(0, np.full((2, 1), 0.5), np.zeros((2, 1))))

def meet(event, args):
    if event != "import":
        return
    if args[0] == "optuna._callbacks" and threading.current_thread() is not second:
        second.start()
        met.wait(1)
    elif args[0] == "optuna.trial._fixed":
        met.set()

failures, met = [], threading.Event()
threading.excepthook = lambda args: failures.append(args.exc_value)
second = threading.Thread(target=learn, args=(Tpe(4),))
sys.addaudithook(meet)
learn(CmaEs(4))
second.join()
assert not failures, failures
"""


def test_threads_that_import_optuna_at_once_get_all_of_it() -> None:
    result = subprocess.run([sys.executable, "-c", _AT_ONCE], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
