"""The metrics of a job as one array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from packtrain.client.errors import MissingExtra, SpecError
from packtrain.client.resources import Job

# Whether the lowest or the highest value is the best.
Goal: TypeAlias = Literal["min", "max"]


class Block(NamedTuple):
    """A part of the array: ``values`` is (trials, epochs, metrics), its first epoch from 1."""

    trials: tuple[int, ...]
    first_epoch: int
    metrics: tuple[str, ...]
    values: NDArray[np.float32]


class Best(NamedTuple):
    """The best trial by a metric, and its value."""

    trial: int
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """Learning curves.

    ``values`` is float32 of shape (trials, epochs, metrics), NaN where nothing was measured and
    after a trial's end; its axes are ``trials`` (indices), ``epochs`` (from 1) and ``metrics``
    (names).
    """

    trials: tuple[int, ...]
    metrics: tuple[str, ...]
    values: NDArray[np.float32]

    @classmethod
    def from_blocks(cls, blocks: Iterable[Block]) -> Results:
        """Put blocks together, in any order; what no block covers is NaN."""
        blocks = list(blocks)
        trials = tuple(sorted({t for block in blocks for t in block.trials}))
        metrics = tuple(dict.fromkeys(m for block in blocks for m in block.metrics))
        last = max((b.first_epoch + b.values.shape[1] - 1 for b in blocks), default=0)
        values = np.full((len(trials), last, len(metrics)), np.nan, np.float32)
        rows = {trial: row for row, trial in enumerate(trials)}
        columns = {metric: column for column, metric in enumerate(metrics)}
        for block in blocks:
            first = block.first_epoch - 1
            where = np.ix_(
                [rows[t] for t in block.trials],
                range(first, first + block.values.shape[1]),
                [columns[m] for m in block.metrics],
            )
            values[where] = block.values
        return cls(trials=trials, metrics=metrics, values=values)

    def __repr__(self) -> str:
        trials, epochs = self.values.shape[:2]
        return f"Results({trials} trials, {epochs} epochs, metrics={list(self.metrics)})"

    @property
    def epochs(self) -> NDArray[np.int64]:
        """The epochs of the second axis, from 1; shape (epochs,)."""
        return np.arange(1, self.values.shape[1] + 1)

    def metric(self, name: str) -> NDArray[np.float32]:
        """One metric of all trials, shape (trials, epochs). KeyError names those there are."""
        if name not in self.metrics:
            raise KeyError(f"no metric {name!r}; there are {', '.join(self.metrics) or 'none'}")
        return np.asarray(self.values[:, :, self.metrics.index(name)])

    def curve(self, metric: str, trial: int = 0) -> NDArray[np.float32]:
        """A metric of one trial, shape (epochs,). KeyError where there is none."""
        if trial not in self.trials:
            raise KeyError(f"no trial {trial}; these are the results of {len(self.trials)}")
        return np.asarray(self.metric(metric)[self.trials.index(trial)])

    def final(self, metric: str) -> NDArray[np.float32]:
        """A metric at each trial's last measured epoch, shape (trials,).

        The last epoch in which any metric of the trial was a number: a trial that diverged may
        so end in NaN or infinity.
        """
        curves = self.metric(metric)
        if not curves.size:
            return np.full(len(self.trials), np.nan, np.float32)
        measured = np.any(~np.isnan(self.values), axis=2)
        # The last epoch of all, which is NaN too, where none was measured.
        last = measured.shape[1] - 1 - measured[:, ::-1].argmax(axis=1)
        return np.asarray(curves[np.arange(len(curves)), last])

    def best(self, metric: str, goal: Goal | None = None) -> Best:
        """The trial with the best final value; of equal ones the first.

        One whose costs are not all finite there has diverged, and is never the best; where no cost
        was measured, ``JobHandle.best`` knows more. ``goal`` None takes what :func:`default_goal`
        says. ValueError where no trial has a finite value, SpecError for another goal.
        """
        check_goal(goal)
        final = self.final(metric)
        for cost in (name for name in self.metrics if name.endswith("_cost")):
            final = np.where(np.isfinite(self.final(cost)), final, np.float32(np.nan))
        if not np.isfinite(final).any():
            raise ValueError(f"no trial ended with a finite {metric}, or all of those diverged")
        sign = -1 if (goal or default_goal(metric)) == "max" else 1
        row = int(np.argmin(np.where(np.isfinite(final), sign * final, np.inf)))
        return Best(self.trials[row], float(final[row]))

    def to_frame(self) -> Any:
        """A pandas DataFrame, one row a (trial, epoch), one column a metric."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtra("Results.to_frame", "pandas") from None
        index = pd.MultiIndex.from_product([self.trials, self.epochs], names=["trial", "epoch"])
        flat = self.values.reshape(len(index), len(self.metrics))
        return pd.DataFrame(flat, index=index, columns=list(self.metrics))


def default_goal(metric: str) -> Goal:
    """Accuracies, F1 and R² are to be high; costs, errors, norms and saturation low.

    It is what the server's MetricInfo.higher_is_better says.
    """
    return "max" if metric.endswith(("accuracy", "_f1", "_r2")) else "min"


def check_goal(goal: Goal | None) -> None:
    """Raise SpecError for a word that says neither: taken for one of the two, it would make the
    worst the best."""
    if goal not in (None, "min", "max"):
        raise SpecError("goal", f"expected 'min' or 'max', not {goal!r}")


def leading_objective(job: Job) -> tuple[str | None, Goal]:
    """What the job's search is for first, or the metric that tells most of those measured; and
    which of its values are the best."""
    return next(iter(objectives_of(job)), _by_default(leading_metric(job.metrics)))


def objectives_of(job: Job) -> list[tuple[str, Goal]]:
    """The objectives of the job's search, most important first: metrics, and which of their values
    are the best."""
    given = job.spec.get("search", {}).get("objectives", [])
    return [(o["metric"], "max" if o["goal"] == "GOAL_MAXIMIZE" else "min") for o in given]


def _by_default(metric: str | None) -> tuple[str | None, Goal]:
    return metric, default_goal(metric or "")


def leading_metric(metrics: Sequence[str]) -> str | None:
    """The metric that tells most about how good a trial is, of those there are."""
    preferred = ("validation_accuracy", "validation_cost", "training_accuracy", "training_cost")
    return next((m for m in preferred if m in metrics), metrics[0] if metrics else None)
