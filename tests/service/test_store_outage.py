"""Who tries to connect to a database that is gone, and who is refused by the attempt of another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import psycopg
import pytest

from packtrain.service.store.outage import Outage


def fail() -> str:
    raise psycopg.OperationalError("nobody is there")


def never() -> str:
    raise AssertionError("this was not to be tried")


def refuse(outage: Outage, attempt: Callable[[], str]) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        outage.connect(attempt)
    return str(caught.value)


def test_one_that_failed_is_followed_by_another() -> None:
    outage = Outage()
    for _ in range(3):
        assert refuse(outage, fail) == "nobody is there"
    with pytest.raises(ZeroDivisionError):  # no error of the server's
        outage.connect(lambda: str(1 / 0))
    assert outage.connect(lambda: "connected") == "connected"


def test_one_tries_while_the_others_are_refused() -> None:
    outage = Outage()
    refuse(outage, fail)
    begun, answered = Event(), Event()

    def probe() -> str:
        begun.set()
        assert answered.wait(10)
        return "connected"

    with ThreadPoolExecutor(1) as pool:
        probing = pool.submit(outage.connect, probe)
        assert begun.wait(10)
        assert refuse(outage, never) == "nobody is there"
        answered.set()
        assert probing.result(10) == "connected"
    assert outage.connect(lambda: "again") == "again"
