"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.client.plotting.style import BEST, finish_axis, new_figure, words
from packtrain.client.results import Results, leading_metric

# More trials than this are shown by their spread: lines could no longer be told apart.
_FEW = 8
_COLUMNS = 2
# Parameters of more letters than this don't go into the title.
_SHORT = 80
_STYLES = ("-", "--", ":", "-.")
# None is like that of the best.
_SPREAD_COLOURS = ("#7a7a7a", "#3465a4", "#2e7d32", "#7b4fa3")


def draw_results(
    results: Results,
    path: Path,
    *,
    title: str = "",
    parameters: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Draw every metric over the epochs into a file whose ending says its type.

    Training and validation share a panel, and so do the layers of a metric. Up to 8 trials are
    drawn as lines, labelled by their ``parameters``; of more, the medians, the trial that the
    leading metric finds best, and two bands a panel, from the 10th to the 90th and from the 25th to
    the 75th percentile: of the validation where there is one, else of the panel's first metric. ValueError for an unknown
    ending.
    """
    panels = _panels(results.metrics)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    best = _best_trial(results)
    headline = _headline(title, results, best, parameters or {})
    figure = new_figure(5.6 * columns, 3.6 * rows, headline)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, metrics) in zip(axes, panels.items(), strict=False):
        if len(results.trials) <= _FEW:
            _draw_lines(axis, results, metrics)
        else:
            _draw_spread(axis, results, metrics, best)
        _finish(axis, name, results, metrics)
    _name_trials(figure, axes[0], results, parameters or {})
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.savefig(path)


def named_trials(results: Results) -> list[int]:
    """The trials whose parameters the picture tells: all of few, else the best."""
    if len(results.trials) <= _FEW:
        return list(results.trials)
    best = _best_trial(results)
    return [] if best is None else [best]


def _headline(
    title: str, results: Results, best: int | None, parameters: Mapping[int, Mapping[str, Any]]
) -> str:
    count = len(results.trials)
    if count <= _FEW:
        return title
    spread = f"{title}: {count} trials, their medians, middle half and middle four fifths"
    if best is None:
        return spread
    values = _label(best, parameters.get(best, {}))
    told = f" ({values})" if parameters.get(best) and len(values) <= _SHORT else ""
    return f"{spread}\norange: trial {best}, the best{told}"


def _best_trial(results: Results) -> int | None:
    metric = leading_metric(results.metrics)
    if metric is None or not np.isfinite(results.final(metric)).any():
        return None
    return results.best(metric).trial


def _panels(metrics: tuple[str, ...]) -> dict[str, list[str]]:
    """Metrics by panel: training_cost and validation_cost share one, name/1 and name/2 too."""
    panels: dict[str, list[str]] = {}
    for metric in metrics:
        name = metric.split("/")[0].removeprefix("training_").removeprefix("validation_")
        panels.setdefault(name, []).append(metric)
    return panels


def _curve(results: Results, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Epochs and values where something was measured: a line across those where nothing was."""
    measured = ~np.isnan(values)
    return results.epochs[measured], values[measured]


def _draw_lines(axis: Any, results: Results, metrics: list[str]) -> None:
    """A colour for each trial, a style for each metric; for a single trial a colour for each."""
    single = len(results.trials) == 1
    for place, metric in enumerate(metrics):
        for row, trial in enumerate(results.trials):
            axis.plot(
                *_curve(results, results.curve(metric, trial)),
                color=f"C{place if single else row}",
                linestyle="-" if single else _STYLES[place % len(_STYLES)],
                marker="." if len(results.epochs) < 3 else None,
            )
        if len(metrics) > 1:
            colour, style = (
                (f"C{place}", "-") if single else ("grey", _STYLES[place % len(_STYLES)])
            )
            axis.plot([], [], color=colour, linestyle=style, label=_variant(metric))


def _name_trials(
    figure: Any, axis: Any, results: Results, parameters: Mapping[int, Mapping[str, Any]]
) -> None:
    """One legend below all panels that tells whose colour is whose."""
    if 1 < len(results.trials) <= _FEW:
        lines = [axis.plot([], [], color=f"C{row}")[0] for row in range(len(results.trials))]
        names = [_label(trial, parameters.get(trial, {})) for trial in results.trials]
        columns = 2 if max(map(len, names)) > 30 else 4
        place = "outside lower center"
        figure.legend(lines, names, loc=place, ncols=columns, fontsize=8, frameon=False)


def _draw_spread(axis: Any, results: Results, metrics: list[str], best: int | None) -> None:
    # Bands on top of each other mix to one area; what generalizes matters most.
    banded = [m for m in metrics if m.startswith("validation_")] or metrics[:1]
    for place, metric in enumerate(metrics):
        values = np.where(np.isfinite(results.metric(metric)), results.metric(metric), np.nan)
        measured = ~np.isnan(values).all(axis=0)
        spread = np.nanpercentile(values[:, measured], (10, 25, 50, 75, 90), axis=0)
        epochs, colour = results.epochs[measured], _SPREAD_COLOURS[place % len(_SPREAD_COLOURS)]
        if metric in banded:
            for low, high, alpha in ((0, 4, 0.15), (1, 3, 0.25)):
                axis.fill_between(
                    epochs, spread[low], spread[high], color=colour, alpha=alpha, linewidth=0
                )
        axis.plot(epochs, spread[2], color=colour, label=f"{_variant(metric)}, median")
        if best is not None:
            axis.plot(
                *_curve(results, results.curve(metric, best)),
                color=BEST,
                linestyle=_STYLES[place % len(_STYLES)],
                linewidth=1.3,
                label=f"{_variant(metric)}, trial {best}",
            )


def _variant(metric: str) -> str:
    name, _, layer = metric.partition("/")
    if layer:
        return f"layer {layer}"
    return next((v for v in ("training", "validation") if name.startswith(f"{v}_")), name)


def _label(trial: int, parameters: Mapping[str, Any]) -> str:
    if not parameters:
        return f"trial {trial}"
    return ", ".join(f"{p.rsplit('.', 1)[-1]} {_shown(v)}" for p, v in parameters.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):  # a message: {"constant": {"weight": 0.6}}
        inner = (f"{k} {_shown(v)}".strip() for k, v in value.items())
        return ", ".join(inner)
    return ", ".join(map(_shown, value)) if isinstance(value, list) else str(value)


def _finish(axis: Any, name: str, results: Results, metrics: list[str]) -> None:
    values = results.values[:, :, [results.metrics.index(m) for m in metrics]]
    finite = values[np.isfinite(values)]
    # Costs that fall over several orders of magnitude, or trials far apart, are flat otherwise.
    if finite.size and finite.min() > 0 and finite.max() / finite.min() > 1000:
        axis.set_yscale("log")
    finish_axis(axis, "epoch", words(name))
    axis.xaxis.get_major_locator().set_params(integer=True)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=8, frameon=False)
