"""What the learning rate is multiplied by in the course of a run.

t are the epochs that are done, with fractions; T is the number of epochs. Every number takes a
domain too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Base of all schedules. Over the first ``warmup_epochs``, 0 or more, the rate rises from 0
    in a straight line, which multiplies the rest."""

    warmup_epochs: float | None = None


@dataclass(frozen=True, kw_only=True)
class ConstantRate(Schedule):
    """1: the rate as it is, but for its warm-up."""


@dataclass(frozen=True, kw_only=True)
class StepDecay(Schedule):
    """factor^floor(t / every); ``every`` is 1 or more, ``factor`` above 0 and at most 1."""

    every: int | None = None
    factor: float | None = None


@dataclass(frozen=True, kw_only=True)
class ExponentialDecay(Schedule):
    """factor^t; ``factor`` is above 0 and at most 1."""

    factor: float | None = None


@dataclass(frozen=True, kw_only=True)
class PolynomialDecay(Schedule):
    """final + (1 - final) (1 - t/T)^power; ``power`` is above 0, ``final`` 0 to 1."""

    power: float | None = None
    final: float | None = None


@dataclass(frozen=True, kw_only=True)
class CosineDecay(Schedule):
    """Half a cosine from 1 to ``final``, 0 to 1, in ``period`` epochs (None: the whole run), then
    again from 1, each period ``growth`` times, 1 or more, as long as the one before (Loshchilov
    and Hutter, 2017)."""

    period: int | None = None
    growth: float | None = None
    final: float | None = None


@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """Half a cosine from ``start`` up to 1 at the share ``peak_at`` of the run, and another down
    to ``final`` (Smith and Topin, 2018). ``peak_at`` is above 0 and below 1, the others 0 to 1."""

    peak_at: float | None = None
    start: float | None = None
    final: float | None = None


@dataclass(frozen=True, kw_only=True)
class Plateau(Schedule):
    """Times ``factor``, above 0 and below 1, whenever ``metric`` has not improved for ``patience``
    epochs; below ``least`` of the rate the trial ends (Nielsen, chapter 3: halve after 10, stop
    at 1/128). ``metric`` None: validation_accuracy where it can be had, else validation_cost,
    else training_cost."""

    metric: str | None = None
    patience: int | None = None
    factor: float | None = None
    least: float | None = None
