"""The learning-rate range test: which rate to start from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class LearningRateRange:
    """A search of one trial for each of ``points`` learning rates (3 to 10,000; None: 50), evenly
    spaced in their logarithm from ``low`` (above 0; None: 1e-5) to ``high`` (None: 100), all of
    the same initial network (Nielsen, chapter 3; Smith, 2017).

    The specification gives no learning rate and no domain, and has 3 epochs where it gives none.
    What came of it is the job's ``learning_rate_finding``.
    """

    low: float | None = None
    high: float | None = None
    points: int | None = None


class LearningRateOutcome(StrEnum):
    """What a learning-rate range came to; only FOUND and ALL_LOWERED give advice."""

    FOUND = "found"
    ALL_LOWERED = "all_lowered"
    TOO_LOW = "too_low"
    TOO_HIGH = "too_high"
    UNCLEAR = "unclear"


@dataclass(frozen=True, kw_only=True)
class LearningRateFinding:
    """What a learning-rate range found; None where there is none.

    ``threshold`` is the largest rate of the range up to which the training cost of every trial
    fell below ``initial_cost``, that before training; ``best`` the rate whose training cost was
    the least at the end; ``suggestion`` half the threshold, or ``best`` where that is smaller:
    where to start from, None where the range gives no advice. ``explanation`` is the advice in a
    sentence, or why there is none and what to try; ``outcome`` tells programs.
    """

    threshold: float | None
    best: float | None
    suggestion: float | None
    initial_cost: float | None = None
    outcome: LearningRateOutcome | None = None
    explanation: str = ""

    def __str__(self) -> str:
        return self.explanation
