"""Search spaces: every combination once, and draws that depend on (seed, path, index) alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packtrain.service.domains import Choice, Domain, Integer, Normal, Uniform

DOMAINS: list[Domain] = [
    Choice(3),
    Uniform(-1.0, 2.0),
    Uniform(1e-4, 10.0, log=True),
    Integer(-3, 11, 2),
    Normal(5.0, 2.0),
]


def test_a_grid_has_every_combination_once_the_last_varying_fastest() -> None:
    space = SearchSpace(
        (("a", Choice(2)), ("b", Uniform(0.0, 1.0)), ("c", Integer(4, 9, 2))), Grid(points=3)
    )
    columns = space.columns(1, 0, space.trials)
    rows = list(zip(*(columns[p].tolist() for p in "abc"), strict=True))
    assert rows == list(itertools.product([0, 1], [0.0, 0.5, 1.0], [4, 6, 8]))


def test_a_grid_is_evenly_spaced_on_its_own_scale() -> None:
    space = SearchSpace((("a", Uniform(1e-3, 10.0, log=True)),), Grid(points=5))
    np.testing.assert_allclose(space.columns(0, 0, 5)["a"], [1e-3, 1e-2, 1e-1, 1.0, 10.0])
    alone = SearchSpace((("a", Uniform(1e-3, 10.0, log=True)),), Grid(points=1))
    assert alone.columns(0, 0, 1)["a"].tolist() == [1e-3]


def test_a_part_of_a_grid_is_a_part_of_the_whole() -> None:
    space = SearchSpace((("a", Choice(7)), ("b", Integer(0, 12))), Grid())
    whole, part = space.columns(0, 0, 91), space.columns(0, 40, 60)
    for path in "ab":
        np.testing.assert_array_equal(whole[path][40:60], part[path])


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda d: type(d).__name__)
def test_draws_depend_on_seed_path_and_index_alone(domain: Domain) -> None:
    space = SearchSpace((("a.b", domain), ("c", domain)), Random(100))
    whole = space.columns(7, 0, 100)
    np.testing.assert_array_equal(whole["a.b"][40:60], space.columns(7, 40, 60)["a.b"])
    alone = SearchSpace((("a.b", domain),), Random(1_000))
    np.testing.assert_array_equal(alone.columns(7, 0, 100)["a.b"], whole["a.b"])
    assert not np.array_equal(whole["a.b"], whole["c"])
    assert not np.array_equal(whole["a.b"], space.columns(8, 0, 100)["a.b"])


def test_draws_keep_within_their_domain_and_fill_it() -> None:
    n = 20_000
    uniform = draw(Uniform(-1.0, 2.0), 1, "p", 0, n)
    assert -1.0 <= uniform.min() < -0.99
    assert 1.99 < uniform.max() < 2.0
    log = draw(Uniform(1e-4, 1.0, log=True), 1, "p", 0, n)
    assert log.min() >= 1e-4
    assert log.max() < 1.0
    assert np.mean(log < 1e-2) == pytest.approx(0.5, abs=0.02)
    integers = draw(Integer(-3, 11, 3), 1, "p", 0, n)
    values, counts = np.unique(integers, return_counts=True)
    assert values.tolist() == [-3, 0, 3, 6, 9]
    np.testing.assert_allclose(counts / n, 0.2, atol=0.02)
    assert np.unique(draw(Choice(4), 1, "p", 0, n)).tolist() == [0, 1, 2, 3]
    normal = draw(Normal(5.0, 2.0), 1, "p", 0, n)
    assert normal.mean() == pytest.approx(5.0, abs=0.06)
    assert normal.std() == pytest.approx(2.0, abs=0.04)


@given(
    low=st.floats(-1e300, 1e300),
    width=st.floats(1e-12, 1e5),
    seed=st.integers(0, 2**64 - 1),
)
def test_the_upper_end_is_never_drawn(low: float, width: float, seed: int) -> None:
    high = max(low + width, float(np.nextafter(low, np.inf)))
    values = draw(Uniform(low, high), seed, "p", 0, 64)
    assert ((values >= low) & (values < high)).all()


@given(st.integers(-(2**62), 2**62), st.integers(0, 2**53), st.integers(1, 1_000))
def test_wide_integer_ranges_keep_within_them(low: int, span: int, step: int) -> None:
    values = draw(Integer(low, low + span, step), 3, "p", 0, 32)
    assert all(low <= v <= low + span and (v - low) % step == 0 for v in values.tolist())


def test_seeds_of_trials_are_distinct_and_depend_on_their_index_alone() -> None:
    n = 100_000
    for seed in (0, 1, 2**64 - 1):
        seeds = trial_seeds(np.full(n, seed, np.uint64), np.arange(n))
        assert len(np.unique(seeds)) == n
        part = trial_seeds(np.full(5, seed, np.uint64), np.arange(500, 505))
        np.testing.assert_array_equal(part, seeds[500:505])
    near = [trial_seeds(np.full(1000, s, np.uint64), np.arange(1000)) for s in range(20)]
    assert len(np.unique(np.concatenate(near))) == 20_000
