"""How the time of a job grows with its trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.service.bench import Bench
from benchmarks.service.jobs import digits_networks, follow, neurons
from benchmarks.service.table import Line

from packtrain.client import JobSpec

NEURON_EPOCHS, NETWORK_EPOCHS = 100, 10
Seconds = dict[int, float]


def measure_scaling(bench: Bench) -> list[Line]:
    """Neurons from 10 to 100,000, networks on digits from 10 to 10,000; the least of the rounds,
    in which all sizes take turns."""
    kinds: list[tuple[str, Callable[[int], JobSpec], int]] = [
        (f"neurons x {NEURON_EPOCHS} epochs", lambda k: neurons(k, NEURON_EPOCHS), 100_000),
        (
            f"networks [64, 30, 10] x {NETWORK_EPOCHS} epochs, digits",
            lambda k: digits_networks(k, NETWORK_EPOCHS),
            10_000,
        ),
    ]
    lines = []
    for name, spec, most in kinds:
        sizes = _sizes(most, bench.is_quick)
        seconds: Seconds = {}
        for number in range(bench.rounds(1, 2)):
            for trials in sizes:
                bench.report(f"scaling: {trials:,} {name}, round {number + 1}")
                took = follow(bench.client, spec(trials)).seconds
                seconds[trials] = min(took, seconds.get(trials, took))
        lines.append(_line(name, seconds))
    return lines


def _sizes(most: int, is_quick: bool) -> list[int]:
    steps = (1,) if is_quick else (1, 3)
    found = [step * 10**power for power in range(1, 6) for step in steps]
    return [size for size in found if size <= most]


def _line(name: str, seconds: Seconds) -> Line:
    told = ", ".join(f"{trials:,}: {took:.2f}" for trials, took in seconds.items())
    figures = {"trials": list(seconds), "seconds": list(seconds.values())}
    return Line("scaling", f"seconds of so many {name}", told, figures=figures)


def plot(lines: list[Line], path: Path) -> None:
    """Seconds against trials, beside the line through the largest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for line in lines:
        trials, seconds = line.figures["trials"], line.figures["seconds"]
        (drawn,) = axes.plot(
            trials, seconds, "o-", label=line.job.removeprefix("seconds of so many ")
        )
        linear = [seconds[-1] * count / trials[-1] for count in trials]
        axes.plot(trials, linear, ":", color=drawn.get_color())
    axes.set(xscale="log", yscale="log", xlabel="trials", ylabel="seconds, CreateJob to the end")
    axes.set_ylim(bottom=min(min(line.figures["seconds"]) for line in lines) / 3)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
