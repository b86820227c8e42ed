"""How well outputs meet their targets: the metrics of classification and of regression.

They are told by the targets as they are: neither label smoothing nor class weights change them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.kernel import Floats, Kernel, Pass
from packtrain.training.metrics import TOP
from packtrain.training.spec import CostKind
from packtrain.training.targets import TargetKind

Columns = dict[str, NDArray[Any]]
Sums = Iterator[tuple[str, NDArray[Any]]]


class Scores:
    """Scores of the rows with targets ``y`` (n, outputs): ``wanted`` are names of metrics
    without their split, such as "accuracy"."""

    def __init__(self, y: Floats, kind: TargetKind, wanted: set[str]) -> None:
        self._y, self._wanted = y, wanted
        self._classes: NDArray[np.intp] | None = None
        # (n, classes or labels): which class each row is of, or which labels it has.
        self._marks = np.empty((len(y), 0), np.bool_)
        if kind is TargetKind.CLASSES and wanted & {"accuracy", "top5_accuracy", "f1"}:
            self._classes = classes_of(y, 1, 0.5)
            self._marks = self._classes[:, np.newaxis] == np.arange(max(y.shape[1], 2))
        elif wanted & {"label_accuracy", "f1"}:
            self._marks = y >= 0.5
        self._variation = _vary(y) if "r2" in wanted else 0.0

    def add(self, kernel: Kernel, made: Pass, part: slice) -> Sums:
        """What the rows ``part``, which ``made`` came from, add to each sum of its trials. Writes
        into the last ``delta``."""
        axis, outputs, wanted = kernel.output_axis, made.a[-1], self._wanted
        threshold = 0.0 if kernel.block.cost.kind is CostKind.HINGE else 0.5
        if self._classes is not None and wanted & {"accuracy", "f1"}:
            guesses = classes_of(outputs, axis, threshold)
            if "accuracy" in wanted:
                right = guesses == kernel.rows_beside(self._classes[part])
                yield "accuracy", made.count_rows(right)
        if "top5_accuracy" in wanted:
            marks = kernel.rows_beside(self._marks[part])
            yield "top5_accuracy", made.count_rows(_are_near_top(outputs, marks, axis))
        if wanted & {"label_accuracy", "f1"}:
            marks = kernel.rows_beside(self._marks[part])
            guessed = outputs >= threshold
            if self._classes is not None:
                all_classes = kernel.rows_beside(np.arange(self._marks.shape[1])[np.newaxis])
                guessed = np.expand_dims(guesses, axis) == all_classes
            if "label_accuracy" in wanted:
                right = made.count_rows_by_output(guessed == marks)
                yield "label_accuracy", right.sum(axis=1) / self._y.shape[1]
            if "f1" in wanted:
                yield "guessed", made.count_rows_by_output(guessed)
                yield "hit", made.count_rows_by_output(np.logical_and(guessed, marks))
        yield from self._add_errors(kernel, made, part)

    def _add_errors(self, kernel: Kernel, made: Pass, part: slice) -> Sums:
        last, errors, width = len(made.a), made.delta[-1], self._y.shape[1]
        y = kernel.rows_beside(self._y[part])
        if "mean_absolute_error" in self._wanted:
            np.subtract(made.a[-1], y, out=errors)
            np.abs(errors, out=errors)
            yield "mean_absolute_error", made.total(errors, last) / width
        if self._wanted & {"mean_squared_error", "r2"}:
            np.subtract(made.a[-1], y, out=errors)
            np.multiply(errors, errors, out=errors)
            yield "mean_squared_error", made.total(errors, last) / width

    def finish(self, sums: Columns) -> Columns:
        """The scores (B,) by name, of the sums over all rows."""
        found = {name: sums[name] / len(self._y) for name in self._wanted if name in sums}
        if "f1" in self._wanted:
            found["f1"] = _macro_f1(sums["hit"], sums["guessed"], self._marks.sum(axis=0))
        if "r2" in self._wanted:
            found["r2"] = 1 - sums["mean_squared_error"] / self._variation
        return found


def classes_of(outputs: Floats, axis: int, threshold: float) -> NDArray[np.intp]:
    """The classes that outputs along ``axis`` stand for: the place of the largest, or whether a
    single one is at least ``threshold``."""
    if outputs.shape[axis] == 1:
        return (outputs >= threshold).astype(np.intp).squeeze(axis)
    places: NDArray[np.intp] = np.argmax(outputs, axis=axis)
    return places


def _vary(y: Floats) -> float:
    """The sum of squared distances of y (n, outputs) from its mean row, over the outputs; NaN
    where there are none, so that 0/0 comes out and not minus infinity."""
    distances = y - y.mean(axis=0, dtype=np.float64)
    squares = float(np.square(distances).sum()) / y.shape[1]
    return squares if squares > 0 else np.nan


def _are_near_top(outputs: Floats, marks: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Whether fewer than five outputs are above the marked one. NaN are above all."""
    own = np.add.reduce(outputs, axis=axis, keepdims=True, where=marks)
    above = np.logical_not(outputs <= own)
    are_few: NDArray[np.bool_] = np.count_nonzero(above, axis=axis) < TOP
    return are_few


def _macro_f1(
    hit: NDArray[np.float64], guessed: NDArray[np.float64], there: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The mean of 2 hits / (guesses + targets) over the classes or labels that have any, (B,);
    counts are (B, classes), and (classes,) for the targets. NaN where there are none."""
    either = guessed + there
    occurs = either > 0
    each = 2 * hit / np.maximum(either, 1)
    mean: NDArray[np.float64] = each.sum(axis=1) / occurs.sum(axis=1)
    return mean
