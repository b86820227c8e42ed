"""What was seen beside what must hold, for people and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_WIDTHS = (30, 44, 7, 8, 44)
_HEADER = ("fault", "what must hold", "held", "seed", "figures")


@dataclass(frozen=True)
class Outcome:
    """Of one scenario. ``violations`` are empty where all held; ``not_run`` says why nothing was
    tried."""

    scenario: str
    fault: str
    must_hold: str
    seed: int
    seconds: float
    violations: list[str]
    figures: dict[str, Any] = field(default_factory=dict)
    not_run: str = ""

    @property
    def held(self) -> bool:
        """Whether it was tried, and nothing else was seen than what must be."""
        return not self.violations and not self.not_run

    @property
    def verdict(self) -> str:
        """Of :attr:`held`, in a word."""
        return "yes" if self.held else "NO" if self.violations else "not run"


def as_text(outcomes: Sequence[Outcome]) -> str:
    """The table, and below it whatever did not hold."""
    lines = [_draw(_HEADER), _draw(tuple("-" * width for width in _WIDTHS))]
    for o in outcomes:
        figures = ", ".join(f"{name}: {value}" for name, value in o.figures.items())
        lines.append(_draw((o.fault, o.must_hold, o.verdict, str(o.seed), figures)))
    for o in outcomes:
        if o.not_run:
            lines.append(f"{o.scenario} was not run: {o.not_run}")
        lines += [f"{o.scenario} (SEED={o.seed}): {violation}" for violation in o.violations]
    return "\n".join(lines)


def _draw(cells: tuple[str, ...]) -> str:
    wrapped = [
        textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, _WIDTHS, strict=True)
    ]
    rows = []
    for row in range(max(map(len, wrapped))):
        parts = [cell[row] if row < len(cell) else "" for cell in wrapped]
        padded = [part.ljust(width) for part, width in zip(parts, _WIDTHS, strict=True)]
        rows.append(" | ".join(padded).rstrip())
    return "\n".join(rows)
