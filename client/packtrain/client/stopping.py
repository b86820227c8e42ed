"""When a trial ends before its last epoch: it has then succeeded. Every number takes a domain too.

``metric`` is the name of what is measured; None: validation_accuracy where it can be had, else
validation_cost, else training_cost.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Patience:
    """``metric`` has not improved by more than ``min_delta``, 0 or more, for ``epochs``, 1 or
    more."""

    metric: str | None = None
    epochs: int | None = None
    min_delta: float | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """``metric`` is as good as ``value``."""

    value: float
    metric: str | None = None


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """Whichever of the two comes first."""

    patience: Patience | None = None
    target: Target | None = None
