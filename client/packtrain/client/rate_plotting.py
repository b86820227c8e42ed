"""The cost against the learning rate as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from packtrain.client.learning_rates import LearningRateFinding
from packtrain.client.plotting.style import finish_axis, new_figure

_COST, _THRESHOLD, _SUGGESTION = "#3465a4", "#c8501e", "#2e7d32"
# Costs of rates that are too large may be anything: beyond so many times the least they only
# flatten what matters.
_MOST_TIMES = 30


def draw_rates(
    points: Sequence[tuple[float, float]],
    finding: LearningRateFinding,
    path: Path,
    *,
    title: str = "",
) -> None:
    """Draw the final training cost of each (rate, cost), with the threshold and the suggestion
    marked, into a file whose ending says its type; trials that diverged (infinite costs) are
    crosses at the upper edge. ValueError for an unknown ending."""
    figure = new_figure(7.2, 4.2, title)
    rates, costs = np.array(points, np.float64).T
    axis = figure.subplots()
    axis.set_xscale("log")
    top = _scale(axis, costs)
    inside = costs <= top
    axis.plot(
        rates, np.where(np.isfinite(costs), costs, np.nan), color=_COST, marker="o", markersize=3
    )
    if not inside.all():
        axis.plot(
            rates[~inside],
            np.full((~inside).sum(), top),
            linestyle="",
            marker="x",
            color="#888888",
            label="diverged, or beyond",
            clip_on=False,
        )
    for rate, name, colour, style in (
        (finding.threshold, "threshold", _THRESHOLD, "--"),
        (finding.suggestion, "start from", _SUGGESTION, "-"),
    ):
        if rate is not None:
            axis.axvline(
                rate, color=colour, linestyle=style, linewidth=1.2, label=f"{name} {rate:.2g}"
            )
    finish_axis(axis, "learning rate η", "training cost at the end")
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=8, frameon=False)
    figure.savefig(path)


def _scale(axis: Any, costs: Any) -> float:
    """Choose the axis of the costs; returns its upper end."""
    finite = costs[np.isfinite(costs)]
    if not finite.size:
        return 1.0
    least, most = float(finite.min()), float(finite.max())
    if least > 0 and most > 10 * least:
        axis.set_yscale("log")
    start = float(costs[0]) if np.isfinite(costs[0]) else least
    top = min(most, _MOST_TIMES * max(start, least)) if least > 0 else most
    if top > least:
        margin = (top / least) ** 0.05 if axis.get_yscale() == "log" else 1.0
        pad = 0.05 * (top - least) if margin == 1.0 else 0.0
        axis.set_ylim(least / margin - pad, top * margin + pad)
        return top * margin + pad
    return top
