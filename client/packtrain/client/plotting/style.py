"""What all pictures share: sizes, colours, the figure itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from packtrain.client.errors import MissingExtra

ENDINGS = (".png", ".svg", ".pdf")
BEST, PLAIN, FAINT = "#c8501e", "#3465a4", "#b8b8b8"
GRID = "#e5e5e5"
# Perceptually even, and legible in grey: the best trials are the darkest.
LOW_IS_DARK, HIGH_IS_DARK = "viridis", "viridis_r"


def new_figure(width: float, height: float, title: str) -> Any:
    """A figure of this size in inches. Raises MissingExtra."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("drawing plots", "plot") from None
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=10)
    return figure


def finish_axis(axis: Any, x_label: str, y_label: str) -> None:
    """Labels, a light grid, and no frame on two sides."""
    axis.set_xlabel(x_label, fontsize=9)
    axis.set_ylabel(y_label, fontsize=9)
    axis.tick_params(labelsize=8, which="both")
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def words(name: str) -> str:
    """A metric or the last part of a path, as people write it: "validation cost"."""
    return name.replace("_", " ")


def check_picture(path: Path) -> None:
    """Raise ValueError unless the ending is that of a picture, OSError without its folder."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path} must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(path.parent))
