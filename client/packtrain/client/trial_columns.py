"""Trials as columns of one type each: for files, frames and pictures."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from packtrain.client.errors import MissingExtra
from packtrain.client.resources import UNRANKED_STATES, Trial

# What a parameter's column is called, so that none is mistaken for a metric or a field.
PREFIX = "parameters."
Kind = Literal["int", "float", "bool", "text"]


@dataclass(frozen=True, eq=False)
class ParameterColumn:
    """The values of a parameter: ``values`` has one of its kind for each trial, or None where the
    trial lacks it. Choices that are no numbers, truth values or texts are JSON text."""

    kind: Kind
    values: list[Any]

    def numbers(self) -> NDArray[np.float64]:
        """The values as numbers, NaN where there is none. ValueError where they are text."""
        if self.kind == "text":
            raise ValueError("the values are no numbers")
        return np.array([np.nan if v is None else v for v in self.values], np.float64)


class TrialColumns:
    """Columns that grow trial by trial: a tenth of what the trials themselves take."""

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self.index = array("i")
        self.epochs = array("i")
        self.states: list[str] = []
        self._parameters: dict[str, list[Any]] = {}
        self._metrics: dict[str, array[float]] = {}
        for trial in trials:
            self.add(trial)

    def __len__(self) -> int:
        return len(self.index)

    def add(self, trial: Trial) -> None:
        """One more row."""
        rows = len(self.index)
        self.index.append(trial.index)
        self.epochs.append(trial.epochs)
        self.states.append(trial.state)
        for path in trial.parameters:
            if path not in self._parameters:
                self._parameters[path] = [None] * rows
        for path, values in self._parameters.items():
            values.append(trial.parameters.get(path))
        for name in trial.final_metrics:
            if name not in self._metrics:
                self._metrics[name] = array("f", [np.nan] * rows)
        for name, column in self._metrics.items():
            column.append(trial.final_metrics.get(name, np.nan))

    @property
    def parameters(self) -> Mapping[str, ParameterColumn]:
        """By path, in the order of the paths."""
        return {path: _typed(self._parameters[path]) for path in sorted(self._parameters)}

    @property
    def metrics(self) -> list[str]:
        """The metrics that any trial has."""
        return list(self._metrics)

    def metric(self, name: str) -> NDArray[np.float32]:
        """The final values of a metric, (trials,), NaN where there is none."""
        return np.array(self._metrics.get(name, [np.nan] * len(self)), np.float32)

    def ranked_metric(self, name: str) -> NDArray[np.float32]:
        """A metric as trials are compared by it, (trials,): NaN for one that DIVERGED or FAILED."""
        is_unranked = np.array([state in UNRANKED_STATES for state in self.states], bool)
        return np.where(is_unranked, np.float32(np.nan), self.metric(name))

    def to_frame(self) -> Any:
        """A pandas DataFrame, one row a trial, indexed by "trial". Raises MissingExtra."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtra("TrialColumns.to_frame", "pandas") from None
        columns: dict[str, Any] = {"state": self.states, "epochs": self.epochs}
        columns |= {f"{PREFIX}{path}": c.values for path, c in self.parameters.items()}
        columns |= {name: self.metric(name) for name in self.metrics}
        return pd.DataFrame(columns, index=pd.Index(self.index, name="trial"))


def _typed(values: list[Any]) -> ParameterColumn:
    given = [value for value in values if value is not None]
    kinds = set(map(type, given))
    if kinds <= {int} and all(abs(value) < 2**63 for value in given):
        return ParameterColumn("int", values)
    if kinds <= {int, float}:
        return ParameterColumn("float", [None if v is None else float(v) for v in values])
    if kinds <= {bool}:
        return ParameterColumn("bool", values)
    if kinds <= {str}:
        return ParameterColumn("text", values)
    texts = [None if value is None else as_text(value) for value in values]
    return ParameterColumn("text", texts)


def as_text(value: Any) -> str:
    """A value as JSON text without blanks."""
    return json.dumps(value, separators=(",", ":"))
