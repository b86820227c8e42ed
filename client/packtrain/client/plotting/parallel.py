"""Parallel coordinates (Inselberg, 1985): a line for each trial through all its values."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.client.paths import short_path
from packtrain.client.plotting.scales import Scale, label, metric_scale, parameter_scale
from packtrain.client.plotting.style import BEST, HIGH_IS_DARK, LOW_IS_DARK, new_figure, words
from packtrain.client.results import Goal, default_goal
from packtrain.client.trial_columns import TrialColumns

# More lines than these are one dark area: the best and an even choice of the others are drawn.
_MOST_LINES, _BEST_LINES = 1000, 100
# Where a trial that lacks a parameter passes its axis.
_ABSENT = -0.09


def draw_parallel(
    trials: TrialColumns,
    metric: str,
    path: Path,
    *,
    title: str = "",
    log: Collection[str] = (),
    goal: Goal | None = None,
) -> None:
    """Draw an axis for each parameter and one for the metric, which colours the lines.

    Paths in ``log`` have a logarithmic axis; the best lines lie on top. The metric's axis may be
    of the better half of the trials, whose end the others share. Trials that diverged or failed,
    or have no finite value, are left out. Raises MissingExtra, ValueError where nothing can be
    drawn.
    """
    parameters, values = trials.parameters, trials.ranked_metric(metric).astype(np.float64)
    if not parameters or not np.isfinite(values).any():
        raise ValueError(f"there is no parameter, or no trial has a finite {metric} yet")
    is_high = (goal or default_goal(metric)) == "max"
    scales = [parameter_scale(c, is_log=p in log) for p, c in parameters.items()]
    scales.append(metric_scale(values, is_high=is_high))
    names = [*(words(short_path(p, parameters)) for p in parameters), words(metric)]
    below = [textwrap.fill(name, 14) for name in names]
    if scales[-1].beyond:
        below[-1] += "\n(better half)"
    rows = _drawn_rows(values, is_high)
    count = int(np.isfinite(values).sum())
    some = f"{len(rows)} of {count} trials" if len(rows) < count else f"{count} trials"
    best = f"orange: trial {trials.index[rows[-1]]}, the best, {label(values[rows[-1]])}"
    headline = f"{title}: {some}, coloured by {names[-1]}\n{best}"
    figure = new_figure(2.0 + 1.75 * len(scales), 4.6, headline)
    axis = figure.subplots()
    _draw_lines(figure, axis, scales, rows, is_high, names[-1])
    for place, scale in enumerate(scales):
        _draw_axis(axis, place, scale, is_metric=place == len(scales) - 1)
    axis.set_xticks(range(len(names)), below, fontsize=9)
    axis.tick_params(axis="x", length=0, pad=8)
    axis.set_xlim(-0.15, len(scales) - 0.6)
    is_absent = any(np.isnan(scale.positions).any() for scale in scales[:-1])
    axis.set_ylim(-0.14 if is_absent else -0.04, 1.04)
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    figure.savefig(path)


def _drawn_rows(values: NDArray[np.float64], is_high: bool) -> NDArray[np.intp]:
    """The trials that are drawn, the worst first."""
    finite = np.flatnonzero(np.isfinite(values))
    # Best first, the first of equals before the others, as everywhere; then turned round.
    ordered = finite[np.argsort(-values[finite] if is_high else values[finite], kind="stable")]
    ordered = ordered[::-1]
    if len(ordered) <= _MOST_LINES:
        return ordered
    others = len(ordered) - _BEST_LINES
    even = np.linspace(0, others - 1, _MOST_LINES - _BEST_LINES).astype(np.intp)
    return np.concatenate([ordered[even], ordered[others:]])


def _draw_lines(
    figure: Any, axis: Any, scales: list[Scale], rows: NDArray[np.intp], is_high: bool, name: str
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import LogLocator, NullFormatter

    heights = np.stack([np.nan_to_num(s.unit()[rows], nan=_ABSENT) for s in scales], axis=1)
    for column, scale in enumerate(scales):
        if scale.ticks:  # lines of one choice side by side
            heights[:, column] += 0.05 * ((np.arange(len(rows)) * 0.618034) % 1 - 0.5)
    x = np.broadcast_to(np.arange(len(scales)), heights.shape)
    metric = scales[-1]
    values = metric.positions[rows]
    # The worse half may be anything: the colours tell the better ones apart.
    low, high = np.percentile(values, (50, 100) if is_high else (0, 50))
    norm = (LogNorm if metric.log else Normalize)(low, high if high > low else low + 1e-9)
    strength = (
        np.linspace(0.15, 0.95, len(rows)) ** 2 if len(rows) > 30 else np.full(len(rows), 0.9)
    )
    lines = LineCollection(
        list(np.stack([x, heights], axis=2)),
        array=values,
        cmap=HIGH_IS_DARK if is_high else LOW_IS_DARK,
        norm=norm,
        linewidths=1.1,
        alpha=strength,
    )
    axis.add_collection(lines)
    axis.plot(x[-1], heights[-1], color=BEST, linewidth=2.2, zorder=2.5)
    opaque = ScalarMappable(norm, lines.get_cmap())
    beyond = "min" if is_high else "max"
    bar = figure.colorbar(opaque, ax=axis, pad=0.01, aspect=30, extend=beyond)
    bar.set_label(name, fontsize=9)
    bar.ax.tick_params(labelsize=8, which="both")
    if metric.log:
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        bar.ax.yaxis.set_major_formatter(lambda value, _: label(float(value)))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.outline.set_visible(False)


def _draw_axis(axis: Any, place: int, scale: Scale, *, is_metric: bool) -> None:
    axis.vlines(place, 0, 1, color="#333333", linewidth=1.0, zorder=3)
    ticks = _ticks(scale)
    for height, text in ticks:
        axis.hlines(height, place - 0.02, place + 0.02, color="#333333", linewidth=1.0, zorder=3)
        axis.text(
            place + 0.035,
            height,
            text,
            fontsize=7.5,
            va="center",
            zorder=4,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
        )
    if np.isnan(scale.positions).any() and not is_metric:
        axis.text(place + 0.035, _ABSENT, "none", fontsize=7.5, va="center", color="#777777")


def _ticks(scale: Scale) -> list[tuple[float, str]]:
    """Heights and labels: each choice; or both ends and what is round between them."""
    if scale.ticks:
        last = max(1, len(scale.ticks) - 1)
        single = len(scale.ticks) == 1
        return [(0.5 if single else i / last, text) for i, text in enumerate(scale.ticks)]
    finite = scale.positions[np.isfinite(scale.positions)]
    low, high = float(finite.min()), float(finite.max())
    if high == low:
        return [(0.5, label(low))]
    ends = [(0.0, label(low)), (1.0, label(high))]
    if scale.beyond:
        end = 0 if scale.beyond == "≤" else 1
        ends[end] = ends[end][0], f"{scale.beyond} {ends[end][1]}"
    if scale.log:
        powers = np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
        places = (powers - np.log10(low)) / (np.log10(high) - np.log10(low))
        inner = [(float(h), label(float(10**p))) for h, p in zip(places, powers, strict=True)]
    else:
        from matplotlib.ticker import MaxNLocator

        rounds = MaxNLocator(5).tick_values(low, high)
        inner = [(float((v - low) / (high - low)), label(float(v))) for v in rounds]
    return [*ends, *((h, t) for h, t in inner if 0.06 < h < 0.94)]
