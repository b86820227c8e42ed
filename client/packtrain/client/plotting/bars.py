"""How much each parameter matters, as bars."""

from __future__ import annotations

from pathlib import Path

from packtrain.client.paths import short_path
from packtrain.client.plotting.style import PLAIN, finish_axis, new_figure, words
from packtrain.client.resources import Importance


def draw_importance(found: Importance, path: Path, *, title: str = "") -> None:
    """Draw the share of each parameter, the largest on top. Raises MissingExtra."""
    count = len(found.shares)
    told = f"what matters for {words(found.metric)}\n{found.trials} trials, {found.evaluator}"
    figure = new_figure(6.4, 1.3 + 0.36 * count, f"{title}: {told}")
    axis = figure.subplots()
    names = [words(short_path(p, found.shares)) for p in found.shares]
    shares = [100 * share for share in found.shares.values()]
    bars = axis.barh(range(count), shares, color=PLAIN, height=0.62)
    labels = [
        f"{share:.1f} %" + ("" if found.present[p] == found.trials else f", of {found.present[p]}")
        for p, share in zip(found.shares, shares, strict=True)
    ]
    axis.bar_label(bars, labels, padding=4, fontsize=8)
    axis.set_yticks(range(count), names)
    axis.invert_yaxis()
    finish_axis(axis, "share of the importance (%)", "")
    axis.grid(visible=False, axis="y")
    axis.set_xlim(0, 1.18 * max(shares, default=1))
    figure.savefig(path)
