"""What came out, as a Markdown page and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.reproduce.experiments import Experiment, Finding

HEADER = "| what | came out | repeats | published |\n|---|---|---|---|"


@dataclass(frozen=True)
class Outcome:
    """An experiment that was run."""

    experiment: Experiment
    trials: int
    seconds: float
    findings: list[Finding]


def as_markdown(outcomes: list[Outcome], machine: str, date: str) -> str:
    """A page: a table for each experiment."""
    parts = [
        "# The published experiments",
        "Nielsen, *Neural Networks and Deep Learning*, chapter 3, run through the service by "
        "`make reproduce`, which writes this page. Where there are repeats, each with a seed of "
        f"its own, ± is their standard deviation.\n\nRun on {date}, on {machine}.",
    ]
    for outcome in outcomes:
        experiment = outcome.experiment
        parts.append(f"## {experiment.number}. {experiment.title}")
        parts.append(table(outcome))
        told = f"{outcome.trials} networks" if outcome.trials > 1 else "1 network"
        parts.append(f"{told} in {outcome.seconds:.1f} s, from the call to the last metric.")
    return "\n\n".join(parts) + "\n"


def table(outcome: Outcome) -> str:
    """A Markdown table of what was found."""
    return "\n".join([HEADER, *(_row(finding) for finding in outcome.findings)])


def _row(finding: Finding) -> str:
    came_out = _number(finding.mean, finding.percent)
    if finding.deviation is not None:
        came_out += f" ± {_number(finding.deviation, finding.percent)}"
    published = "" if finding.published is None else _number(finding.published, finding.percent)
    return f"| {finding.what} | {came_out} | {len(finding.values)} | {published} |"


def _number(value: float, percent: bool) -> str:
    if percent:
        return f"{100 * value:.2f} %"
    # The book gives two places.
    return f"{value:.0f}" if value >= 1 else f"{value:.2f}"


def as_json(outcomes: list[Outcome], machine: str, date: str) -> dict[str, Any]:
    """The same, with the value of every repeat."""
    return {
        "machine": machine,
        "date": date,
        "experiments": [
            {
                "number": outcome.experiment.number,
                "title": outcome.experiment.title,
                "trials": outcome.trials,
                "seconds": outcome.seconds,
                "findings": [
                    asdict(f) | {"mean": f.mean, "deviation": f.deviation} for f in outcome.findings
                ],
            }
            for outcome in outcomes
        ],
    }
