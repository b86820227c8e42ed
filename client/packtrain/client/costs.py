"""What is minimized. Every number takes a domain of :mod:`packtrain.client.domains` too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Base of all costs.

    ``label_smoothing``, 0 or more and below 1: the share of each target that goes to all classes
    alike (Szegedy et al., 2016). ``class_weights``, 0 or more, one number a class: what the rows
    of each class count. Both are for targets that stand for classes.
    """

    label_smoothing: float | None = None
    class_weights: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Quadratic(Cost):
    """1/(2n) sum |y - a|^2."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Cost):
    """-1/n sum sum_j [y ln a + (1 - y) ln(1 - a)]; sigmoid output, targets 0..1."""


@dataclass(frozen=True, kw_only=True)
class LogLikelihood(Cost):
    """-1/n sum ln a_y; softmax output, class labels."""


@dataclass(frozen=True, kw_only=True)
class Hinge(Cost):
    """1/n sum sum_j max(0, 1 - t z), t = 2 y - 1; identity output, targets 0 or 1."""


@dataclass(frozen=True, kw_only=True)
class Huber(Cost):
    """1/n sum sum_j h(a - y): d^2/2 for |d| up to ``delta``, beyond it delta (|d| - delta/2)
    (Huber, 1964). ``delta`` is above 0; any output."""

    delta: float | None = None


@dataclass(frozen=True, kw_only=True)
class Absolute(Cost):
    """1/n sum sum_j |a - y|; any output."""


@dataclass(frozen=True, kw_only=True)
class Poisson(Cost):
    """1/n sum sum_j [a - y ln a]; exponential or softplus output, targets 0 or more."""
