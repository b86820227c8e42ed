"""Where a value lies in its domain: the share of the domain's distribution below it."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from packtrain.service.domains import Choice, Domain, Integer, Normal, Uniform

_LAST_UNIT = 1 - 2.0**-53
# A value that is off its step by less of it is on it.
_SLACK = 1e-6


def unit_of(domain: Domain, value: float) -> float:
    """A number of [0, 1) that the domain makes ``value`` of, up to rounding: of a choice, of its
    index. Raises ValueError where the domain doesn't have the value."""
    if isinstance(domain, Choice):
        low, high, step = 0.0, domain.count - 1.0, 1.0
    else:
        low, high = float(domain.low), float(domain.high)
        step = 0.0 if domain.step is None else float(domain.step)
    if not low <= value <= high or _is_off_step(domain, value, step):
        raise ValueError(f"{value} is not of {domain}")
    return min(max(_unit_of(domain, value), 0.0), _LAST_UNIT)


def _is_off_step(domain: Domain, value: float, step: float) -> bool:
    if not step:
        return False
    base = domain.mean if isinstance(domain, Normal) else getattr(domain, "low", 0)
    # The end of an interval may lie between two steps.
    is_end = isinstance(domain, Uniform | Normal) and value in (domain.low, domain.high)
    steps = (value - base) / step
    return not is_end and abs(steps - round(steps)) > _SLACK


def _unit_of(domain: Domain, value: float) -> float:
    match domain:
        case Choice(count):
            return (value + 0.5) / count
        case Integer(low, _, step, log):
            # The middle of the value's share.
            middle = (math.floor((value - low) / step) + 0.5) / domain.count
            if not log:
                return middle
            ends = np.log([low, low + domain.count * step])
            return float((np.log([value, value + step]).mean() - ends[0]) / (ends[1] - ends[0]))
        case Uniform(low, high, log, step):
            if domain.count is not None and step is not None and not log:
                return (min(round((value - low) / step), domain.count - 1) + 0.5) / domain.count
            if log:
                low, high, value = math.log(low), math.log(high), math.log(value)
            return (value - low) / (high - low)
        case Normal(mean, deviation):
            below, here, above = (
                float(ndtr((x - mean) / deviation)) for x in (domain.low, value, domain.high)
            )
            return (here - below) / (above - below)
