"""What training takes on a machine: seconds for each thing that :mod:`packtrain.training.work`
counts. Nothing that a trial computes depends on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Self

from packtrain.training.spec import Pack
from packtrain.training.work import Work, epoch_work, initial_work


@dataclass(frozen=True)
class Speed:
    """Seconds of one core for each count of :class:`packtrain.training.work.Work`, in its order;
    measured by :func:`packtrain.training.measure_speed`.

    ``layer_pass``: seconds for a block's pass through a layer, beside its arithmetic: NumPy's
    overhead per call. ``lane_value``: of tiny layers, seconds for a neuron's activation for a
    row, its error and its cost. Of layers worth a matrix product, ``activation``: the same;
    ``operation``: seconds for an operation that BLAS multiplies; ``weight_pass``: for a weight in
    a pass over the weights. ``drawn``: seconds to draw an initial weight or bias.

    The defaults are those of a core of an AMD EPYC (Zen 3), for the time before anything was
    measured.
    """

    layer_pass: float = 7.5e-6
    lane_value: float = 9e-10
    activation: float = 4e-9
    operation: float = 1.2e-11
    weight_pass: float = 3.5e-10
    drawn: float = 1.4e-8

    def seconds(self, work: Work) -> float:
        """What so much work takes."""
        return float(sum(each * count for each, count in zip(astuple(self), work, strict=True)))

    @classmethod
    def slowest(cls, speeds: Iterable[Self]) -> Self:
        """Of each kind of work, the speed of whoever takes longest."""
        return cls(*map(max, zip(*map(astuple, speeds), strict=True)))


def initial_seconds(speed: Speed, pack: Pack) -> float:
    """About how long the initial state of a pack takes."""
    return speed.seconds(initial_work(pack))


def epoch_seconds(speed: Speed, pack: Pack, rows: int, validation_rows: int = 0) -> float:
    """About how long an epoch of a pack takes: training ``rows`` and, as the pack's metrics and
    ``measure_every`` ask for it, measuring them and ``validation_rows``."""
    return speed.seconds(epoch_work(pack, rows, validation_rows))
