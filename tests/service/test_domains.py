"""Domains: values by the inverse of their distribution function, within their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from packtrain.service.domains import Choice, Domain, Integer, Normal, Uniform

N = 40_000
# Every slice of the unit interval once: what has a distribution has it here almost exactly.
EVEN = (np.arange(N) + 0.5) / N
units = st.lists(
    st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 1 - 2.0**-53]), min_size=1
).map(np.array)


def shares(domain: Domain) -> dict[float, float]:
    values, counts = np.unique(domain.of_unit(EVEN), return_counts=True)
    return dict(zip(values.tolist(), (counts / N).tolist(), strict=True))


def cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def test_intervals_are_filled_evenly_on_their_own_scale() -> None:
    uniform = Uniform(-1.0, 2.0).of_unit(EVEN)
    assert np.quantile(uniform, [0, 0.5, 1]) == pytest.approx([-1, 0.5, 2], abs=1e-3)
    log = Uniform(1e-4, 1.0, log=True).of_unit(EVEN)
    assert np.mean(log < 1e-2) == pytest.approx(0.5, abs=1e-3)


def test_values_that_can_be_listed_are_equally_likely() -> None:
    assert shares(Choice(4)) == pytest.approx(dict.fromkeys(range(4), 0.25))
    assert shares(Integer(-3, 11, 3)) == pytest.approx(
        dict.fromkeys([-3, 0, 3, 6, 9], 0.2), abs=1e-4
    )
    assert shares(Uniform(0.0, 0.5, step=0.1)) == pytest.approx(
        dict.fromkeys([0, 0.1, 0.2, 0.3, 0.4, 0.5], 1 / 6), abs=1e-4
    )
    assert list(shares(Uniform(1.0, 2.0, step=0.4))) == [1.0, 1.4, 1.8]


def test_a_logarithm_in_steps_is_rounded_to_the_nearest() -> None:
    found = shares(Uniform(1.0, 4.0, log=True, step=1.0))
    edges = np.log([1, 1.5, 2.5, 3.5, 4]) / math.log(4)
    assert found == pytest.approx(dict(zip([1, 2, 3, 4], np.diff(edges), strict=True)), abs=1e-4)


def test_whole_numbers_of_a_logarithm_favour_the_small() -> None:
    expected = {v: math.log((v + 2) / v) / math.log(11) for v in (1, 3, 5, 7, 9)}
    assert shares(Integer(1, 10, 2, log=True)) == pytest.approx(expected, abs=1e-4)


def test_a_normal_domain_is_normal() -> None:
    values = Normal(5.0, 2.0).of_unit(EVEN)
    assert values.mean() == pytest.approx(5.0, abs=1e-3)
    assert values.std() == pytest.approx(2.0, abs=2e-3)
    assert np.mean(values < 7) == pytest.approx(cdf(1), abs=1e-3)


@pytest.mark.parametrize(("low", "high"), [(-1, 0.5), (1, 3), (-9, -2), (8, 9), (-math.inf, -6)])
def test_a_truncated_normal_domain_is_the_part_between(low: float, high: float) -> None:
    values = Normal(0.0, 1.0, None, low, high).of_unit(EVEN)
    assert low <= values.min() <= values.max() <= high
    # By symmetry in the tail where the distribution function is exact.
    sign = -1 if low > 0 else 1
    below, above = sorted((cdf(sign * low), cdf(sign * high)))
    for z in np.quantile(values, [0.1, 0.5, 0.9]):
        share = abs(cdf(sign * float(z)) - (above if sign < 0 else below)) / (above - below)
        assert np.mean(values <= z) == pytest.approx(share, abs=1e-3)


def test_a_normal_domain_in_steps_keeps_to_them() -> None:
    found = shares(Normal(1.0, 0.5, 0.25, 0.6, 1.6))
    assert list(found) == [0.75, 1.0, 1.25, 1.5]
    assert found[1.0] == max(found.values())


def test_steps_are_told_as_they_would_be_written() -> None:
    assert Uniform(0.0, 1.0, step=0.1).at(np.arange(11)).tolist() == [
        round(k / 10, 1) for k in range(11)
    ]
    assert Normal(0.0, 9.0, 0.1).of_unit(np.array([0.5, 0.5133])).tolist() == [0, 0.3]


@given(
    low=st.floats(-1e300, 1e300),
    width=st.floats(1e-12, 1e5),
    unit=units,
)
def test_the_upper_end_is_never_drawn(low: float, width: float, unit: NDArray[np.float64]) -> None:
    high = max(low + width, float(np.nextafter(low, np.inf)))
    values = Uniform(low, high).of_unit(unit)
    assert ((values >= low) & (values < high)).all()


@given(
    low=st.floats(1e-6, 1e6),
    width=st.floats(1e-3, 1e6),
    steps=st.integers(1, 10_000),
    log=st.booleans(),
    unit=units,
)
def test_steps_keep_within_their_interval(
    low: float, width: float, steps: int, log: bool, unit: NDArray[np.float64]
) -> None:
    domain = Uniform(low, low + width, log, (low + width - low) / steps)
    assert domain.count in (steps, steps + 1)
    values = domain.of_unit(unit)
    assert set(values.tolist()) <= set(domain.at(np.arange(domain.count)).tolist())
    assert ((values >= domain.low) & (values <= domain.high)).all()


@given(
    st.integers(-(2**62), 2**62),
    st.integers(0, 2**53),
    st.integers(1, 1_000),
    st.booleans(),
    units,
)
def test_wide_integer_ranges_keep_within_them(
    low: int, span: int, step: int, log: bool, unit: NDArray[np.float64]
) -> None:
    low = abs(low) + 1 if log else low
    values = Integer(low, low + span, step, log).of_unit(unit)
    assert all(low <= v <= low + span and (v - low) % step == 0 for v in values.tolist())


@given(
    mean=st.floats(-1e6, 1e6),
    deviation=st.floats(1e-6, 1e6),
    low=st.floats(-30, 30) | st.none(),
    width=st.floats(1e-3, 60) | st.none(),
    unit=units,
)
def test_normal_numbers_are_finite_and_within_their_bounds(
    mean: float,
    deviation: float,
    low: float | None,
    width: float | None,
    unit: NDArray[np.float64],
) -> None:
    least = -math.inf if low is None else mean + low * deviation
    most = math.inf if width is None else max(least, mean - 29 * deviation) + width * deviation
    values = Normal(mean, deviation, None, least, most).of_unit(unit)
    assert np.isfinite(values).all()
    assert ((values >= least) & (values <= most)).all()


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=2).map(sorted))
def test_values_ascend_with_the_unit_interval(unit: list[float]) -> None:
    for domain in (
        Choice(3),
        Uniform(-1.0, 2.0),
        Uniform(0.1, 2.0, True, 0.3),
        Integer(1, 50, 3, log=True),
        Normal(0.0, 1.0),
        Normal(0.0, 1.0, 0.5, 2.0, 4.0),
    ):
        assert (np.diff(domain.of_unit(np.array(unit))) >= 0).all()
