"""What learning rates are multiplied by, step by step: functions of the step alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packtrain.training.spec import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    Plateau,
    PolynomialDecay,
    RateShape,
    Schedule,
    StepDecay,
)

Floats64 = NDArray[np.float64]


def rate_factors(schedule: Schedule, epoch: int, epochs: int, steps: int) -> Floats64:
    """The factor of each step of ``epoch`` (from 1) of ``epochs``, (steps,), from 0 to 1.

    A plateau's share is not in it: it depends on what was measured.
    """
    done = epoch - 1 + np.arange(steps) / steps
    factors = _shape_factors(schedule.shape, done, epochs)
    if schedule.warmup_epochs > 0:
        # At the end of the step, so that the first one is not lost.
        factors = factors * np.minimum(1.0, (done + 1 / steps) / schedule.warmup_epochs)
    return factors


def _shape_factors(shape: RateShape, done: Floats64, epochs: int) -> Floats64:
    match shape:
        case ConstantRate() | Plateau():
            return np.ones_like(done)
        case StepDecay(every, factor):
            return np.power(factor, np.floor(done / every))
        case ExponentialDecay(factor):
            return np.power(factor, done)
        case PolynomialDecay(power, final):
            return final + (1 - final) * (1 - done / epochs) ** power
        case CosineDecay(period, growth, final):
            within = _within_period(done, float(period or epochs), growth)
            return final + (1 - final) * (1 + np.cos(np.pi * within)) / 2
        case OneCycle(peak_at, start, final):
            share = done / epochs
            up = _ease(start, 1.0, np.minimum(share / peak_at, 1.0))
            down = _ease(1.0, final, np.maximum((share - peak_at) / (1 - peak_at), 0.0))
            return np.where(share < peak_at, up, down)


def _within_period(done: Floats64, period: float, growth: float) -> Floats64:
    """How far, from 0 to 1, each moment is into its period; each is ``growth`` times the last."""
    if growth == 1:
        return np.asarray(np.mod(done / period, 1.0))
    # Period k begins at period (growth^k - 1) / (growth - 1).
    index = np.floor(np.log1p(done * (growth - 1) / period) / np.log(growth) + 1e-12)
    begin = period * (growth**index - 1) / (growth - 1)
    return np.asarray(np.clip((done - begin) / (period * growth**index), 0.0, 1.0))


def _ease(low: float, high: float, share: Floats64) -> Floats64:
    """Half a cosine from ``low`` to ``high``."""
    return high + (low - high) * (1 + np.cos(np.pi * share)) / 2
