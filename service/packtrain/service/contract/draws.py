"""Values that a search draws and their field can't take: told once a field, not once a trial."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.mismatches import Mismatch
from packtrain.service.errors import Violation

# Between what was expected and the value that was found, in every description of a value.
_NOT = ", not "


@dataclass
class Draws:
    """The values that are wrong with one field in one way, and the trials that have them; None
    where the rows that were looked at are not trials but the ends of domains."""

    values: dict[str, None] = field(default_factory=dict)
    trials: set[int] | None = None

    def add(self, value: str, trials: Iterable[int] | None) -> None:
        """One more value, and who has it."""
        self.values[value] = None
        if trials is not None:
            self.trials = (self.trials or set()) | set(trials)

    def __str__(self) -> str:
        spread = _spread(list(self.values))
        if self.trials is None:
            return f"its domain has {spread}"
        count = len(self.trials)
        some = "1 trial draws" if count == 1 else f"{count:,} trials draw"
        return f"{some} {spread}, trial {min(self.trials)} first"


def _spread(values: Sequence[str]) -> str:
    """ "-3 to -0.5", or of what is no number the first and how many more."""
    try:
        ordered = sorted(values, key=lambda value: float(value.replace(",", "")))
    except ValueError:
        more = f" and {len(values) - 1} more" if len(values) > 1 else ""
        return f"{values[0]}{more}"
    low, high = _short(ordered[0]), _short(ordered[-1])
    return low if low == high else f"{low} to {high}"


def _short(value: str) -> str:
    return value if len(value) <= 9 else f"{float(value.replace(',', '')):.4g}".replace("e+", "e")


def describe_draws(descriptions: Sequence[str], trials: NDArray[np.int64] | None) -> Iterable[str]:
    """One sentence for each way in which a field's values are wrong, of ``descriptions`` by value;
    ``trials``, as many, have them."""
    found: dict[str, Draws] = defaultdict(Draws)
    for place, description in enumerate(descriptions):
        expected, _, value = description.rpartition(_NOT)
        found[expected].add(value, None if trials is None else [int(trials[place])])
    return (f"{expected}: {draws}" for expected, draws in found.items())


def gather_draws(
    violations: Violations, mismatches: Sequence[Mismatch], trials: NDArray[np.int64] | None
) -> Violations:
    """The violations, with those that only differ in a value that was drawn as one. The members of
    the mismatches are places in ``trials``."""
    found: dict[tuple[str, str], Draws] = defaultdict(Draws)
    places: dict[Violation, tuple[str, str]] = {}
    for mismatch in mismatches:
        members = None if trials is None else trials[mismatch.members].tolist()
        for violation in mismatch.violations if mismatch.paths else ():
            expected, _, value = violation.description.rpartition(_NOT)
            if expected:
                places[violation] = violation.field, expected
                found[violation.field, expected].add(value, members)
    gathered = Violations()
    for violation in violations:
        draws = found[places[violation]] if violation in places else None
        if draws is None or len(draws.values) == 1:
            gathered.add(violation.field, violation.description)
        else:
            gathered.add(violation.field, f"{places[violation][1]}: {draws}")
    return gathered
