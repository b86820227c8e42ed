"""Trials by two metrics, and the front of those that no other beats by both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from packtrain.client.plotting.scales import is_far_apart
from packtrain.client.plotting.style import BEST, PLAIN, finish_axis, new_figure, words
from packtrain.client.results import Goal, default_goal
from packtrain.client.trial_columns import TrialColumns

# Of more, labels would cover each other.
_LABELLED = 12
# The size of their letters.
_POINTS = 8


def draw_front(
    trials: TrialColumns,
    metrics: tuple[str, str],
    front: Sequence[int],
    path: Path,
    *,
    title: str = "",
    goals: tuple[Goal | None, Goal | None] = (None, None),
) -> None:
    """Draw the final values of two metrics, and a line through ``front``, the indices of the
    Pareto front. Raises MissingExtra, ValueError where no trial has a finite value of both."""
    x, y = (trials.ranked_metric(name).astype(np.float64) for name in metrics)
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        raise ValueError(f"no trial has a finite {metrics[0]} and {metrics[1]} yet")
    words_of = [
        f"{words(m)} ({'highest' if (g or default_goal(m)) == 'max' else 'lowest'} is best)"
        for m, g in zip(metrics, goals, strict=True)
    ]
    figure = new_figure(6.6, 4.8, f"{title}: Pareto front of {finite.sum()} trials")
    axis = figure.subplots()
    axis.scatter(
        x[finite],
        y[finite],
        s=12,
        color=PLAIN,
        alpha=0.35,
        linewidths=0,
        label="trial",
        rasterized=len(x) > 5000,
    )
    rows = {index: row for row, index in enumerate(trials.index)}
    chosen = sorted((rows[i] for i in front if i in rows), key=lambda row: (x[row], y[row]))
    high_y = (goals[1] or default_goal(metrics[1])) == "max"
    high_x = (goals[0] or default_goal(metrics[0])) == "max"
    # What a front dominates is a staircase: its steps go the way in which the second gets worse.
    step = "post" if (high_x != high_y) == high_y else "pre"
    axis.plot(x[chosen], y[chosen], drawstyle=f"steps-{step}", color=BEST, linewidth=1.2, zorder=3)
    axis.scatter(
        x[chosen],
        y[chosen],
        s=34,
        color=BEST,
        edgecolors="white",
        linewidths=0.7,
        zorder=4,
        label=f"Pareto front ({len(chosen)})",
    )
    for values, scale in ((x, axis.set_xscale), (y, axis.set_yscale)):
        if is_far_apart(values):
            scale("log")
    axis.margins(0.08)
    finish_axis(axis, words_of[0], words_of[1])
    axis.legend(fontsize=8, frameon=False)
    if len(chosen) <= _LABELLED:
        points = [(str(trials.index[row]), (x[row], y[row])) for row in chosen]
        label_front(figure, axis, points, high_x=high_x, high_y=high_y)
    figure.savefig(path)


def label_front(
    figure: Any,
    axis: Any,
    points: Sequence[tuple[str, tuple[float, float]]],
    *,
    high_x: bool,
    high_y: bool,
) -> None:
    """Write the trials beside their points, which go from left to right; those whose labels would
    cover each other share one."""
    figure.draw_without_rendering()  # where the points are is known when all is laid out
    letter, line = (_POINTS * part * figure.dpi / 72 for part in (0.65, 1.3))
    groups: list[tuple[list[str], tuple[float, float]]] = []
    for name, place in points:
        if groups:
            names, first = groups[-1]
            across, up = axis.transData.transform([first, place]).T
            width = letter * len(", ".join(names) if high_x else name)
            if abs(up[1] - up[0]) < line and across[1] - across[0] < width:
                names.append(name)
                continue
        groups.append(([name], place))
    # Beyond the front there is nothing that a label could cover.
    side = (6 if high_x else -6, 6 if high_y else -6)
    for names, place in groups:
        axis.annotate(
            ", ".join(names),
            place,
            textcoords="offset points",
            xytext=side,
            ha="left" if high_x else "right",
            va="bottom" if high_y else "top",
            fontsize=_POINTS,
            color="#444444",
        )
