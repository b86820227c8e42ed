"""Parameters and metrics as positions along an axis."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.client.trial_columns import ParameterColumn

# Positive numbers this far apart are a matter of their magnitude.
_FAR_APART = 100
# Numbers of so few different values are drawn as a choice.
_FEW = 6
_LONGEST = 22


def log_paths(spec: Mapping[str, Any]) -> set[str]:
    """The searched paths of a specification, in JSON form, whose domain is a logarithm's."""
    search = spec.get("search", {})
    found = {p["path"] for p in search.get("parameters", ()) if "log_uniform" in p}
    return found | ({"optimizer.sgd.learning_rate"} if "learning_rate_range" in search else set())


@dataclass(frozen=True, eq=False)
class Scale:
    """Where each trial stands: ``positions`` (trials,), NaN where it has no value.

    ``ticks`` are the labels of the positions 0, 1, ... of a choice, empty for numbers; ``log``
    says whether the numbers want a logarithmic axis. ``beyond`` is "≤" or "≥" where the lowest or
    the highest position stands for all that lie beyond it, "" where none does.
    """

    positions: NDArray[np.float64]
    log: bool = False
    ticks: tuple[str, ...] = ()
    beyond: str = ""

    def unit(self) -> NDArray[np.float64]:
        """The positions between 0 and 1; infinities and NaN are NaN."""
        positions = np.where(np.isfinite(self.positions), self.positions, np.nan)
        if self.log:
            positions = np.log10(positions)
        if np.isnan(positions).all():
            return positions
        low, high = np.nanmin(positions), np.nanmax(positions)
        return np.asarray((positions - low) / (high - low) if high > low else positions * 0 + 0.5)


def parameter_scale(column: ParameterColumn, *, is_log: bool) -> Scale:
    """Numbers as they are; texts, and numbers of a few values, as a choice in their order."""
    if column.kind != "text":
        numbers = column.numbers()
        given = np.unique(numbers[~np.isnan(numbers)])
        if len(given) > _FEW:
            return Scale(numbers, log=is_log and given[0] > 0)
    known = {v for v in column.values if v is not None}
    different = sorted(known, key=lambda v: (isinstance(v, str), v))
    places = {value: float(place) for place, value in enumerate(different)}
    positions = [np.nan if v is None else places[v] for v in column.values]
    return Scale(np.array(positions, np.float64), ticks=tuple(map(label, different)))


def metric_scale(values: NDArray[np.float64], *, is_high: bool) -> Scale:
    """The values of a metric. Where the worse half would take more than half of the axis, all of
    it lies at the axis's end: else the good trials could not be told apart."""
    finite = values[np.isfinite(values)]
    worst, best = (finite.min(), finite.max()) if is_high else (finite.max(), finite.min())
    middle = np.median(finite)
    is_log = is_far_apart(finite)
    ends = np.log10([worst, middle, best]) if is_log else np.array([worst, middle, best])
    if middle == best or abs(ends[1] - ends[0]) <= 0.5 * abs(ends[2] - ends[0]):
        return Scale(values, log=is_log)
    kept = np.where(np.isfinite(values), values, np.nan)
    kept = np.maximum(kept, middle) if is_high else np.minimum(kept, middle)
    return Scale(kept, log=is_far_apart(kept), beyond="≤" if is_high else "≥")


def is_far_apart(numbers: NDArray[np.float64]) -> bool:
    """Whether numbers are positive and span orders of magnitude."""
    finite = numbers[np.isfinite(numbers)]
    return bool(finite.size and finite.min() > 0 and finite.max() / finite.min() > _FAR_APART)


def label(value: Any) -> str:
    """A value in a few letters: {"crossEntropy":{}} is crossEntropy."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.3g}"
    text = str(value)
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    if isinstance(found, dict) and len(found) == 1:
        key, inner = next(iter(found.items()))
        numbers = ", ".join(f"{v:.3g}" for v in _numbers(inner))
        text = f"{key} {numbers}".strip()
    elif isinstance(found, str):
        text = found
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _numbers(value: Any) -> Iterable[float]:
    parts: Collection[Any] = value.values() if isinstance(value, dict) else ()
    return [part for part in parts if isinstance(part, int | float)]
