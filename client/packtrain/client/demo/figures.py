"""The demo's plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from packtrain.client.demo.experiments import FEW_ROWS, LAMBDAS, SEEDS, STARTS, by_seed
from packtrain.client.results import Results

_COLOURS = ("#3465a4", "#c8501e")
_GREY = "#888888"


def _figure(columns: int, title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * columns, 3.6), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    axes = figure.subplots(1, columns)
    for axis in axes:
        axis.grid(color="#e5e5e5", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    return figure, axes


def _label(axis: Any, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel(x, fontsize=8)
    axis.set_ylabel(y, fontsize=8)


def draw_slowdown(quadratic: Results, cross_entropy: Results, path: Path) -> None:
    """Outputs and sigma'(z) of the neuron, the two costs side by side."""
    figure, axes = _figure(3, "A neuron that should learn to output 0 (η = 0.15 throughout)")
    for axis, results, name in (
        (axes[0], quadratic, "Quadratic cost: the worse the start, the slower"),
        (axes[1], cross_entropy, "Cross-entropy: the bad start catches up at once"),
    ):
        for trial, (weight, bias) in enumerate(STARTS):
            axis.plot(
                results.epochs,
                results.curve("output", trial),
                color=_COLOURS[trial],
                label=f"from w = {weight:g}, b = {bias:g}",
            )
        axis.set_ylim(0, 1)
        axis.legend(fontsize=8, frameon=False)
        _label(axis, name, "epoch", "output")
    for trial in range(len(STARTS)):
        for results, style in ((quadratic, "-"), (cross_entropy, "--")):
            curve = results.curve("sigma_prime/1", trial)
            axes[2].plot(results.epochs, curve, style, color=_COLOURS[trial])
    axes[2].plot([], [], "-", color=_GREY, label="quadratic")
    axes[2].plot([], [], "--", color=_GREY, label="cross-entropy")
    axes[2].legend(fontsize=8, frameon=False)
    _label(axes[2], "The cause: σ′(z), which only one gradient has in it", "epoch", "σ′(z)")
    figure.savefig(path)


def draw_initialization(results: Results, path: Path) -> None:
    """Accuracy and saturation by initialization: the mean of the seeds, and their range."""
    figure, axes = _figure(
        3, f"Initial weights, on handwritten digits: mean of {SEEDS} seeds, and their range"
    )
    panels = (
        ("validation_accuracy", "Accuracy on digits not trained on", "accuracy"),
        ("training_cost", "Training cost", "cost"),
        (
            "saturated_share/1",
            "The cause: hidden neurons with a < 0.05 or a > 0.95",
            "share saturated",
        ),
    )
    for axis, (metric, title, unit) in zip(axes, panels, strict=True):
        curves = by_seed(results.metric(metric))
        for row, name in enumerate(("unit Gaussian", "scaled Gaussian")):
            _band(axis, results.epochs, curves[row], _COLOURS[row], name)
        axis.legend(fontsize=8, frameon=False)
        _label(axis, title, "epoch", unit)
    figure.savefig(path)


def draw_regularization(results: Results, path: Path) -> None:
    """What lambda does to accuracy, training cost and weights."""
    figure, axes = _figure(
        3,
        f"Regularization: {FEW_ROWS} digits to learn from, λ from 0 to large; "
        f"mean of {SEEDS} seeds, and their range",
    )
    places = np.arange(len(LAMBDAS))
    panels: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...] = (
        (
            "Accuracy: overfitting, its cure, and too much of it",
            (("validation_accuracy", "not trained on"), ("training_accuracy", "trained on")),
            "accuracy",
        ),
        ("Training cost without its λ term", (("training_bare_cost", ""),), "cost"),
        (
            "Norm of the weights",
            (("weight_norm/1", "hidden layer"), ("weight_norm/2", "output layer")),
            "norm",
        ),
    )
    for axis, (title, metrics, unit) in zip(axes, panels, strict=True):
        for colour, (metric, name) in zip(_COLOURS, metrics, strict=False):
            finals = by_seed(results.final(metric))
            _band(axis, places, finals.T, colour, name, marker="o")
        axis.set_xticks(places, [f"{lam:g}" for lam in LAMBDAS])
        _label(axis, title, "λ", unit)
        if metrics[0][1]:
            axis.legend(fontsize=8, frameon=False)
    axes[1].set_yscale("log")
    axes[2].set_yscale("log")
    figure.savefig(path)


def _band(axis: Any, x: Any, curves: Any, colour: str, name: str, marker: str = "") -> None:
    axis.fill_between(x, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, lw=0)
    axis.plot(x, curves.mean(axis=0), color=colour, label=name, marker=marker, markersize=3)
