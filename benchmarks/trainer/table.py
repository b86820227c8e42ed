"""What was measured as a table for people and as JSON for programs."""

from __future__ import annotations

from typing import Any

from benchmarks.trainer.measure import OURS, Figure, Measured
from benchmarks.trainer.shapes import SHAPES, Shape, epoch_operations

# Beyond this share of its best speed a larger pack brings nothing that one would notice.
PAYS = 0.95


def per_step(shape: Shape, seconds: float) -> tuple[float, str]:
    """The time of one step of one network in a fitting unit, and the unit."""
    step = seconds / shape.steps
    return (step * 1e9, "ns") if shape.is_tiny else (step * 1e6, "µs")


def best(figures: list[Figure]) -> Figure | None:
    """Our quickest pack; None where none could be measured."""
    ours = [f for f in figures if f.module == OURS and f.seconds is not None]
    return min(ours, key=lambda f: f.seconds or 0.0, default=None)


def pays_up_to(figures: list[Figure]) -> int | None:
    """The smallest of our packs that is within 5 % of the quickest: larger ones don't pay."""
    quickest = best(figures)
    if quickest is None or quickest.seconds is None:
        return None
    most = quickest.seconds / PAYS
    return min(f.pack for f in figures if f.module == OURS and f.seconds and f.seconds <= most)


def as_text(name: str, measured: Measured) -> str:
    """The table of one shape."""
    peak = max(measured.matrix_gflops, default=0.0)
    return "\n".join(_table(SHAPES[name], measured.shapes[name], peak))


def limits_as_text(measured: Measured) -> str:
    """What the core could do."""
    return (
        f"float32 matrix peak {_span(measured.matrix_gflops)} GFLOP/s, "
        f"copy {_span(measured.copy_gigabytes)} GB/s, "
        f"measured {len(measured.matrix_gflops)} times before, between and after the rounds."
    )


def _span(values: list[float]) -> str:
    return f"{max(values):.0f} (least {min(values):.0f})"


def _table(shape: Shape, figures: list[Figure], peak: float) -> list[str]:
    unit = per_step(shape, 1.0)[1]
    header = f"  {'':<30} {'networks':>8} {unit + '/trial-step':>14}"
    if not shape.is_tiny:
        header += f" {'GFLOP/s':>8} {'of peak':>8}"
    lines = [shape.title, f"{header} {'packtrain takes':>18}"]
    quickest = best(figures)
    lines += [_row(shape, figure, quickest, peak) for figure in figures]
    pays = pays_up_to(figures)
    if quickest is not None and pays is not None:
        lines.append(
            f"  packtrain's best is a pack of {quickest.pack:,}; packs pay up to {pays:,} networks "
            "(within 5 % of the best)."
        )
    return lines


def _row(shape: Shape, figure: Figure, quickest: Figure | None, peak: float) -> str:
    row = f"  {figure.who:<30}"
    if figure.seconds is None:
        packed = f" {figure.pack:>8,}" if figure.pack else ""
        return f"{row}{packed}  {figure.reason}"
    row += f" {figure.pack:>8,} {per_step(shape, figure.seconds)[0]:>14,.1f}"
    if not shape.is_tiny:
        # What is not NumPy may beat NumPy's own peak.
        gflops = epoch_operations(shape) / figure.seconds / 1e9
        row += f" {gflops:>8.1f} {gflops / peak:>8.0%}" if figure.module != "bare" else " " * 18
    if figure.module == OURS or quickest is None or quickest.seconds is None:
        return row
    ratio = quickest.seconds / figure.seconds
    told = f"{ratio:.2f} of its time" if ratio >= 0.1 else f"1/{1 / ratio:,.0f} of its time"
    return f"{row} {told:>18}"


def as_json(measured: Measured) -> dict[str, Any]:
    """The same, and the operations that were counted."""
    return {
        "matrix_gflops": measured.matrix_gflops,
        "copy_gigabytes": measured.copy_gigabytes,
        "shapes": {
            name: {
                "title": SHAPES[name].title,
                "operations_per_trial_epoch": epoch_operations(SHAPES[name]),
                "steps_per_epoch": SHAPES[name].steps,
                "packs_pay_up_to": pays_up_to(figures),
                "figures": [_figure_as_json(SHAPES[name], figure) for figure in figures],
            }
            for name, figures in measured.shapes.items()
        },
    }


def _figure_as_json(shape: Shape, figure: Figure) -> dict[str, Any]:
    told: dict[str, Any] = {"contestant": figure.module, "who": figure.who, "pack": figure.pack}
    if figure.seconds is None:
        return told | {"reason": figure.reason}
    return told | {
        "seconds_per_trial_epoch": figure.seconds,
        "seconds_per_trial_step": figure.seconds / shape.steps,
        "gflops": epoch_operations(shape) / figure.seconds / 1e9,
    }
