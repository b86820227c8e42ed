"""What was measured beside what was asked, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

_HEADER = ("job", "measured", "asked", "holds")


@dataclass(frozen=True)
class Line:
    """A line of the table. ``holds`` is None where nothing was asked, or nothing measured."""

    row: str
    job: str
    measured: str
    asked: str = ""
    holds: bool | None = None
    figures: dict[str, Any] = field(default_factory=dict)


def absent(row: str, job: str, reason: str) -> Line:
    """A line of what could not be measured."""
    return Line(row, job, f"not measured: {reason}")


def as_text(lines: Sequence[Line]) -> str:
    """The table: a line of the same job as the one before leaves its first column empty."""
    cells = [_HEADER]
    for i, line in enumerate(lines):
        job = "" if i and lines[i - 1].job == line.job else line.job
        cells.append((job, line.measured, line.asked, _told(line)))
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER))]
    drawn = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    drawn.insert(1, "-+-".join("-" * width for width in widths))
    return "\n".join(drawn)


def _told(line: Line) -> str:
    return "" if line.holds is None else "yes" if line.holds else "NO"


def as_json(lines: Sequence[Line]) -> dict[str, Any]:
    """The same, with every figure."""
    return {"lines": [asdict(line) for line in lines]}
