"""A metric against each parameter."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.client.paths import short_path
from packtrain.client.plotting.scales import Scale, is_far_apart, parameter_scale
from packtrain.client.plotting.style import BEST, FAINT, PLAIN, finish_axis, new_figure, words
from packtrain.client.results import Goal, default_goal
from packtrain.client.trial_columns import TrialColumns

_COLUMNS = 3
# Trials of the same choice are spread over so much of the distance to the next.
_SPREAD = 0.5
_MEDIAN = "#222222"


def draw_scatter(
    trials: TrialColumns,
    metric: str,
    path: Path,
    *,
    title: str = "",
    log: Collection[str] = (),
    goal: Goal | None = None,
) -> None:
    """Draw the final value of a metric against each parameter, a panel each, the best marked.

    Paths in ``log`` have a logarithmic axis. Trials that diverged or failed, or have no finite
    value, are crosses at the edge.
    Raises MissingExtra, ValueError where nothing can be drawn.
    """
    parameters, values = trials.parameters, trials.ranked_metric(metric).astype(np.float64)
    finite = np.isfinite(values)
    if not parameters or not finite.any():
        raise ValueError(f"there is no parameter, or no trial has a finite {metric} yet")
    is_high = (goal or default_goal(metric)) == "max"
    best = int(np.argmin(np.where(finite, -values if is_high else values, np.inf)))
    best_label = f"the best: trial {trials.index[best]}, {values[best]:.4g}"
    columns = 2 if len(parameters) == 4 else min(_COLUMNS, len(parameters))
    rows = -(-len(parameters) // columns)
    headline = f"{title}: {words(metric)} of {finite.sum()} trials"
    figure = new_figure(3.9 * columns + 0.4, 3.1 * rows + 0.7, headline)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for place, (name, column) in enumerate(parameters.items()):
        axis, scale = axes[place], parameter_scale(column, is_log=name in log)
        _draw_panel(axis, scale, values, best, best_label, is_high)
        first_of_row = place % columns == 0
        finish_axis(axis, words(short_path(name, parameters)), words(metric) * first_of_row)
    for axis in axes[len(parameters) :]:
        axis.set_visible(False)
    named = [axis.get_legend_handles_labels() for axis in axes[: len(parameters)]]
    handles, labels = max(named, key=lambda pair: len(pair[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(path)


def _draw_panel(
    axis: Any,
    scale: Scale,
    values: NDArray[np.float64],
    best: int,
    best_label: str,
    is_high: bool,
) -> None:
    finite = np.isfinite(values)
    x = scale.positions.copy()
    if scale.ticks:
        # The same at every drawing; no two neighbours together.
        x += _SPREAD * ((np.arange(len(x)) * 0.618034) % 1 - 0.5)
        axis.set_xticks(range(len(scale.ticks)), scale.ticks)
        if sum(map(len, scale.ticks)) > 30:
            axis.tick_params(axis="x", rotation=25)
    elif scale.log:
        axis.set_xscale("log")
    few = len(values) < 1000
    axis.scatter(
        x[finite],
        values[finite],
        s=14 if few else 7,
        color=PLAIN,
        alpha=0.55 if few else 0.3,
        linewidths=0,
        label="trial",
        rasterized=len(values) > 5000,
    )
    if is_far_apart(values):
        axis.set_yscale("log")
    if not finite.all():
        edge = 0.02 if is_high else 0.98
        axis.plot(
            x[~finite],
            np.full((~finite).sum(), edge),
            linestyle="",
            marker="x",
            markersize=4,
            color=FAINT,
            transform=axis.get_xaxis_transform(),
            label=f"no finite value ({(~finite).sum()})",
        )
    if scale.ticks:
        _draw_medians(axis, scale, values)
    axis.scatter(
        x[best],
        values[best],
        s=110,
        marker="*",
        color=BEST,
        edgecolors="white",
        linewidths=0.7,
        zorder=4,
        label=best_label,
    )


def _draw_medians(axis: Any, scale: Scale, values: NDArray[np.float64]) -> None:
    axis.plot([], [], color=_MEDIAN, linewidth=1.6, label="median of a choice")
    for place in range(len(scale.ticks)):
        members = values[(scale.positions == place) & np.isfinite(values)]
        if members.size:
            axis.hlines(
                np.median(members), place - 0.32, place + 0.32, color=_MEDIAN, linewidth=1.6
            )
