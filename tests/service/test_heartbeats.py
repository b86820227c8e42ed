"""Who is dead by counted beats."""

from __future__ import annotations

from packtrain.service.heartbeats import Heartbeats

PATIENCE, STEP = 10.0, 4.0


def test_whoever_beats_lives() -> None:
    hearts = Heartbeats(PATIENCE, STEP)
    for look in range(100):
        assert hearts.look({"a": look // 4}, 2.0 * look) == {}


def test_whoever_stands_still_is_dead_after_the_patience() -> None:
    hearts = Heartbeats(PATIENCE, STEP)
    found = [hearts.look({"a": look, "b": min(look, 3)}, 2.0 * look) for look in range(12)]
    first = next(look for look, dead in enumerate(found) if dead)
    assert 2.0 * (first - 3) == PATIENCE
    assert found[first] == {"b": 3}


def test_one_that_beats_again_gets_all_its_time_anew() -> None:
    hearts = Heartbeats(PATIENCE, STEP)
    for look in range(5):
        assert hearts.look({"a": 1}, 2.0 * look) == {}
    assert hearts.look({"a": 2}, 10.0) == {}
    for look in range(6, 10):
        assert hearts.look({"a": 2}, 2.0 * look) == {}


def test_an_observer_that_was_stopped_takes_nobody_for_dead() -> None:
    """Everybody had no database for a minute, or the whole machine stood still."""
    hearts = Heartbeats(PATIENCE, STEP)
    hearts.look({"a": 1}, 0.0)
    hearts.look({"a": 1}, 2.0)
    assert hearts.look({"a": 1}, 3600.0) == {}
    assert hearts.look({"a": 2}, 3602.0) == {}
