"""Search spaces: every assignment once, and values that depend on seed, space and index alone."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packtrain.service.domains import Choice, Domain, Integer, Normal, Uniform
from packtrain.service.parameters import Condition, Parameter
from packtrain.service.samplers import LatinHypercube, Random, Sampler, Sobol
from packtrain.service.search import Algorithm, Column, Grid, Points, SearchSpace, trial_seeds

DOMAINS: list[Domain] = [
    Choice(3),
    Uniform(-1.0, 2.0),
    Uniform(1e-4, 10.0, log=True),
    Uniform(0.0, 1.0, step=0.125),
    Integer(-3, 11, 2),
    Integer(1, 64, log=True),
    Normal(5.0, 2.0),
    Normal(0.0, 1.0, 0.25, -1.0, 2.0),
]
SAMPLERS: list[type[Sampler]] = [Random, Sobol, LatinHypercube]


def space(algorithm: Algorithm, repeats: int = 1, **domains: Domain) -> SearchSpace:
    parameters = tuple(Parameter(path, domain) for path, domain in domains.items())
    return SearchSpace(parameters, algorithm, repeats)


def rows_of(searched: SearchSpace, seed: int = 0) -> list[tuple[Any, ...]]:
    """Each trial's values, None where a parameter doesn't exist."""
    columns = searched.columns(seed, 0, searched.trials)
    told = [
        [v if e else None for v, e in zip(c.values.tolist(), c.exists.tolist(), strict=True)]
        for c in columns.values()
    ]
    return list(zip(*told, strict=True)) if told else [()] * searched.trials


def require_equal(one: Column, other: Column) -> None:
    np.testing.assert_array_equal(one.exists, other.exists)
    np.testing.assert_array_equal(one.values[one.exists], other.values[other.exists])


def test_a_grid_has_every_combination_once_the_last_varying_fastest() -> None:
    found = rows_of(space(Grid(3), a=Choice(2), b=Uniform(0.0, 1.0), c=Integer(4, 9, 2)))
    assert found == list(itertools.product([0, 1], [0.0, 0.5, 1.0], [4, 6, 8]))


def test_a_grid_is_evenly_spaced_on_its_own_scale() -> None:
    values = [row[0] for row in rows_of(space(Grid(5), a=Uniform(1e-3, 10.0, log=True)))]
    np.testing.assert_allclose(values, [1e-3, 1e-2, 1e-1, 1.0, 10.0])
    assert rows_of(space(Grid(1), a=Uniform(1e-3, 10.0, log=True))) == [(1e-3,)]
    assert rows_of(space(Grid(), a=Uniform(0.0, 0.3, step=0.1))) == [(0,), (0.1,), (0.2,), (0.3,)]


def test_a_grid_has_no_combination_twice_where_a_condition_does_not_hold() -> None:
    optimizer = Parameter("optimizer", Choice(2))
    momentum = Parameter("momentum", Uniform(0.0, 1.0), Condition("optimizer", frozenset({0})))
    nesterov = Parameter("nesterov", Choice(2), Condition("optimizer", frozenset({0})))
    epochs = Parameter("epochs", Integer(1, 2))
    searched = SearchSpace((momentum, optimizer, nesterov, epochs), Grid(2))
    assert searched.trials == (2 * 2 + 1) * 2
    assert rows_of(searched) == [
        *itertools.product([0.0], [0], [0, 1], [1, 2]),
        *itertools.product([1.0], [0], [0, 1], [1, 2]),
        *itertools.product([None], [1], [None], [1, 2]),
    ]


@st.composite
def forests(draw: st.DrawFn) -> tuple[Parameter, ...]:
    """Parameters, each of which may hang below an earlier one; in any order."""
    parameters: list[Parameter] = []
    for i in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 3))
        domain = draw(st.sampled_from([Choice(count), Integer(2, 2 + 3 * (count - 1), 3)]))
        condition = None
        if parameters and draw(st.booleans()):
            other = draw(st.sampled_from(parameters))
            assert isinstance(other.domain, Choice | Integer)
            values = other.domain.at(np.arange(other.domain.count)).tolist()
            met = draw(st.sets(st.sampled_from(values), min_size=1))
            condition = Condition(other.path, frozenset(met))
        parameters.append(Parameter(f"p{i}", domain, condition))
    return tuple(draw(st.permutations(parameters)))


def assignments(parameters: tuple[Parameter, ...]) -> set[tuple[Any, ...]]:
    """All of them, by trying everything and leaving out what doesn't exist."""
    values = [
        [(p.path, v) for v in p.domain.at(np.arange(p.domain.count)).tolist()]  # type: ignore[union-attr]
        for p in parameters
    ]
    conditions = {p.path: p.condition for p in parameters}

    def exists(path: str, row: dict[str, Any]) -> bool:
        condition = conditions[path]
        if condition is None:
            return True
        return row[condition.path] in condition.values and exists(condition.path, row)

    rows = [dict(row) for row in itertools.product(*values)]
    return {tuple(v if exists(p, row) else None for p, v in row.items()) for row in rows}


@given(forests())
def test_a_grid_has_each_distinct_assignment_once(parameters: tuple[Parameter, ...]) -> None:
    searched = SearchSpace(parameters, Grid())
    expected = assignments(parameters)
    assert searched.trials == len(expected)
    found = rows_of(searched)
    assert len(found) == len(expected)
    assert set(found) == expected


@settings(deadline=None)  # the first import of SciPy's samplers takes a second
@given(forests(), st.sampled_from(SAMPLERS))
def test_what_is_drawn_is_an_assignment(
    parameters: tuple[Parameter, ...], sampler: type[Sampler]
) -> None:
    assert set(rows_of(SearchSpace(parameters, sampler(20)), 3)) <= assignments(parameters)


@settings(deadline=None)
@given(forests(), st.data())
def test_a_part_of_a_search_is_a_part_of_the_whole(
    parameters: tuple[Parameter, ...], data: st.DataObject
) -> None:
    algorithm = data.draw(st.sampled_from([Grid(), Random(17), Sobol(17), LatinHypercube(17)]))
    searched = SearchSpace(parameters, algorithm, data.draw(st.integers(1, 3)))
    first = data.draw(st.integers(0, searched.trials - 1))
    stop = data.draw(st.integers(first + 1, searched.trials))
    whole = searched.columns(5, 0, searched.trials)
    part = searched.columns(5, first, stop)
    for path, column in whole.items():
        require_equal(column.take(slice(first, stop)), part[path])


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda d: type(d).__name__)
def test_draws_depend_on_seed_path_and_index_alone(domain: Domain) -> None:
    both = {"a.b": domain, "c": domain}
    whole = space(Random(100), **both).columns(7, 0, 100)
    require_equal(space(Random(1_000), **{"a.b": domain}).columns(7, 0, 100)["a.b"], whole["a.b"])
    assert not np.array_equal(whole["a.b"].values, whole["c"].values)
    other = space(Random(100), **both).columns(8, 0, 100)
    assert not np.array_equal(whole["a.b"].values, other["a.b"].values)


def test_more_points_of_a_sobol_sequence_keep_the_first() -> None:
    few = space(Sobol(5), a=Uniform(0.0, 1.0), b=Choice(7)).columns(7, 0, 5)
    many = space(Sobol(900), a=Uniform(0.0, 1.0), b=Choice(7)).columns(7, 0, 5)
    for path in "ab":
        require_equal(few[path], many[path])


@pytest.mark.parametrize("sampler", [Sobol, LatinHypercube])
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_each_slice_of_each_domain_is_hit_once(sampler: type[Sampler], seed: int) -> None:
    cube = sampler(256).cube(["a", "b", "c"], seed, 0, 256)
    for column in cube.T:
        assert sorted(np.floor(column * 256).tolist()) == list(range(256))
    assert not np.array_equal(cube, sampler(256).cube(["a", "b", "c"], seed ^ 1, 0, 256))


def test_what_is_drawn_stays_the_same() -> None:
    """Jobs under way imply these numbers: where another NumPy or SciPy draws others, trials that
    are trained already would change."""
    found = {
        sampler.__name__: sampler(8).cube(["a", "b"], 3, 2, 4).tolist() for sampler in SAMPLERS
    }
    assert found == DRAWN


DRAWN = {
    "Random": [
        [0.32156584546159883, 0.5886596527718403],
        [0.5764725192882513, 0.756228199447388],
    ],
    "Sobol": [
        [0.190649822819978, 0.5105793785769492],
        [0.9701265734620392, 0.2912603737786412],
    ],
    "LatinHypercube": [
        [0.22651399604660402, 0.28293046859609416],
        [0.37941251730600123, 0.4828352213190027],
    ],
}


def test_distributions_are_those_of_the_domains() -> None:
    n = 20_000
    domains = {str(i): domain for i, domain in enumerate(DOMAINS)}
    columns = space(Random(n), **domains).columns(1, 0, n)
    even = (np.arange(n) + 0.5) / n
    for i, domain in enumerate(DOMAINS):
        drawn, expected = columns[str(i)].values, domain.of_unit(even)
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            at = np.quantile(expected, share, method="lower")
            assert np.mean(drawn <= at) == pytest.approx(np.mean(expected <= at), abs=0.012)


def test_points_are_as_they_were_given() -> None:
    positions = np.array([[0, -1], [1, 0], [0, 1]])
    assert rows_of(space(Points(positions), a=Choice(2), b=Choice(2))) == [
        (0, None),
        (1, 0),
        (0, 1),
    ]


def test_repeats_follow_each_other() -> None:
    once = rows_of(space(Random(5), a=Uniform(0.0, 1.0)), 3)
    searched = space(Random(5), 3, a=Uniform(0.0, 1.0))
    assert searched.trials == 15
    assert rows_of(searched, 3) == [row for row in once for _ in range(3)]
    assert rows_of(SearchSpace((), Grid(), 4)) == [()] * 4


@pytest.mark.parametrize("algorithm", [Random, Sobol, LatinHypercube])
def test_a_hundred_thousand_trials_take_less_than_a_second(algorithm: type[Sampler]) -> None:
    n = 100_000
    searched = space(algorithm(n), **{str(i): domain for i, domain in enumerate(DOMAINS)})
    searched.columns(1, 0, 10)  # imports
    start = time.process_time()
    columns = searched.columns(1, 0, n)
    assert time.process_time() - start < 1
    assert {len(column.values) for column in columns.values()} == {n}


def test_seeds_of_trials_are_distinct_and_depend_on_their_index_alone() -> None:
    n = 100_000
    for seed in (0, 1, 2**64 - 1):
        seeds = trial_seeds(np.full(n, seed, np.uint64), np.arange(n))
        assert len(np.unique(seeds)) == n
        part = trial_seeds(np.full(5, seed, np.uint64), np.arange(500, 505))
        np.testing.assert_array_equal(part, seeds[500:505])
    near = [trial_seeds(np.full(1000, s, np.uint64), np.arange(1000)) for s in range(20)]
    assert len(np.unique(np.concatenate(near))) == 20_000
