"""What a job takes beside the training of its packs: seconds of the service, its engine and the way
to the workers and back."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Self

from packtrain.training import Speed


@dataclass(frozen=True)
class Overheads:
    """Seconds; the defaults, which are guesses that `python -m benchmarks.plans` bears out, are of
    a core on which a Speed has its defaults.

    ``job``: to create it, begin and end it, and tell so. ``stage``: to plan, propose or compare
    the trials that begin together, and to store that. ``segment``: to hand one out, and to
    record what it brings. ``trial``: to plan, begin and end one. ``value``: to carry, record and
    deliver what was measured of a trial in an epoch.
    """

    job: float = 0.02
    stage: float = 0.02
    segment: float = 0.012
    trial: float = 1.5e-5
    value: float = 2e-8

    @classmethod
    def at(cls, speed: Speed) -> Self:
        """Those of a machine of that speed."""
        factor = find_slowness(speed)
        return cls(*(factor * each for each in astuple(cls())))


def find_slowness(speed: Speed) -> float:
    """How many times longer than on a core with a Speed's defaults Python takes that calls
    libraries, as a pass through a tiny layer does."""
    return speed.layer_pass / Speed().layer_pass
