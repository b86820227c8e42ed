"""When states are saved: never for more than 2 % of the training."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packtrain.service.checkpoint_clock import TRAINED_PER_WRITTEN, CheckpointClock


def test_a_short_pack_is_never_saved() -> None:
    clock = CheckpointClock(state_bytes=1000, least_seconds=5)
    clock.train(4.9)
    assert not clock.is_due
    clock.train(0.1)
    assert clock.is_due


def test_the_first_of_a_large_state_waits_for_what_it_may_take() -> None:
    clock = CheckpointClock(state_bytes=10**9, least_seconds=5)
    clock.train(499)
    assert not clock.is_due
    clock.train(1)
    assert clock.is_due


def test_the_next_waits_for_fifty_times_what_the_last_took() -> None:
    clock = CheckpointClock(state_bytes=0, least_seconds=5)
    clock.train(6)
    clock.save(0.4)
    clock.train(19.9)
    assert not clock.is_due
    clock.train(0.2)
    assert clock.is_due


def test_one_that_came_early_delays_the_next() -> None:
    clock = CheckpointClock(state_bytes=0, least_seconds=5)
    clock.train(2)
    clock.save(0.01)
    assert clock.left == pytest.approx(8)


def test_one_that_failed_is_not_tried_again_at_once() -> None:
    clock = CheckpointClock(state_bytes=0, least_seconds=5)
    clock.train(6)
    clock.fail()
    clock.train(59)
    assert not clock.is_due


def test_a_pack_of_survivors_waits_no_longer_than_those_it_came_from() -> None:
    clock = CheckpointClock(state_bytes=0, least_seconds=5)
    clock.inherit(1.5)
    clock.train(1.5)
    assert clock.is_due


def test_what_took_longer_to_train_than_to_save_is_saved_at_the_end() -> None:
    clock = CheckpointClock(state_bytes=10**8, least_seconds=5)
    clock.train(0.9)
    assert not clock.is_worth_saving
    clock.train(0.2)
    assert clock.is_worth_saving
    clock.save(0.5)
    assert not clock.is_worth_saving


@given(
    st.lists(st.floats(0.01, 3), min_size=50, max_size=300),
    st.lists(st.floats(0.001, 5), min_size=300, max_size=300),
)
def test_all_of_them_together_cost_less_than_their_share(
    segments: list[float], writes: list[float]
) -> None:
    clock = CheckpointClock(state_bytes=0, least_seconds=5)
    trained, written = 0.0, [0.0]
    for seconds in segments:
        clock.train(seconds)
        trained += seconds
        if clock.is_due:
            written.append(writes[len(written)])
            clock.save(written[-1])
    # The last one's price is paid by what comes after it.
    assert sum(written[:-1]) <= trained / TRAINED_PER_WRITTEN + 1e-9
