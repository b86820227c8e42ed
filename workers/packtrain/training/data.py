"""From stored rows to the arrays that a pack trains on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.state import Array


class Scaling(StrEnum):
    """What is done to the inputs; the figures come from the training rows alone."""

    NONE = "none"
    STANDARDIZE = "standardize"
    MIN_MAX = "min_max"


@dataclass(frozen=True)
class RowRange:
    """``count`` rows of ``split`` from row ``first``; None: to the end."""

    split: str = "train"
    first: int = 0
    count: int | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which rows are learnt from and which are held out, and how they are shown.

    ``training`` None: all of "train" that the validation does not take. ``validation`` is a
    share of the training rows (0 < share < 1, drawn at random by ``seed`` and taken away from
    them), a range, or None. ``one_hot_outputs``: the number of outputs for class labels that
    become one-hot rows, or None where targets stay as they are.
    """

    training: RowRange | None = None
    validation: RowRange | float | None = None
    scaling: Scaling = Scaling.NONE
    one_hot_outputs: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Split:
    """Stored rows: ``inputs`` (rows, features) of any numeric type; ``targets`` (rows,) of class
    labels from 0 in an integer type, or (rows, columns) of real numbers."""

    inputs: NDArray[Any]
    targets: NDArray[Any]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a pack trains on, C-contiguous: ``x`` (n, inputs), ``y`` (n, outputs), and the same
    for validation, or None. ``classification``: the targets stand for classes, so that an
    accuracy can be measured (by the largest output; with one output, by 0.5)."""

    x: Array
    y: Array
    x_validation: Array | None
    y_validation: Array | None
    classification: bool


def select_rows(
    selection: Selection, rows: Mapping[str, int]
) -> tuple[tuple[str, NDArray[np.int64]], tuple[str, NDArray[np.int64]] | None]:
    """(split, row numbers) to train on and to validate on, for splits of so many ``rows``."""
    raise NotImplementedError


def prepare_data(
    splits: Mapping[str, Split], selection: Selection, data_type: str
) -> TrainingData:
    """The arrays of ``selection``, of ``data_type``."""
    raise NotImplementedError
