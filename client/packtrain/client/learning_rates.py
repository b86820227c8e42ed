"""The learning-rate range test: which rate to start from."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(frozen=True, kw_only=True)
class LearningRateFinding:
    """What a learning-rate range found; None where there is none.

    ``threshold`` is the largest rate of the range below which the training cost of every trial
    fell; ``best`` the rate whose training cost was the least at the end; ``suggestion`` half the
    threshold, or ``best`` where that is smaller: where to start from.
    """

    threshold: float | None
    best: float | None
    suggestion: float | None

    def __str__(self) -> str:
        if self.suggestion is None:
            return "The training cost fell at none of the smallest rates: look at smaller ones."
        assert self.threshold is not None
        assert self.best is not None
        return (
            f"Start from {self.suggestion:.2g}: the training cost falls up to a rate of "
            f"{self.threshold:.2g}, and ended least at {self.best:.2g}."
        )
