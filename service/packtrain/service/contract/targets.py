"""What a dataset's targets are, for the costs and metrics that are particular about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from packtrain.service.datasets import StoredSplit
from packtrain.training import TargetKind, find_target_kind


@dataclass(frozen=True)
class Figures:
    """The extremes of a split's targets, whether all are 0 or 1, and whether rows sum to 1."""

    split: str
    low: float
    high: float
    binary: bool
    sums_to_one: bool


@dataclass(frozen=True)
class StoredTargets:
    """What the targets of some splits of a dataset stand for, and the figures of each split."""

    kind: TargetKind
    figures: tuple[Figures, ...]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a network shall put out.

    ``classes`` is the number of classes where the rows are of one each, else 0. ``one_hot``: the
    number of outputs of which one is made 1, or None where targets are shown as they are stored.
    """

    stored: StoredTargets
    classes: int
    outputs: int
    one_hot: int | None

    @property
    def kind(self) -> TargetKind:
        """What they stand for: one output that is to be the number of a class, of more than two,
        is a number."""
        if self.classes > 2 and self.outputs == 1:
            return TargetKind.NUMBERS
        return self.stored.kind

    @property
    def show_classes(self) -> bool:
        """Whether the outputs tell which one of the classes a row is of: with one output, 0 or
        1."""
        if self.kind is not TargetKind.CLASSES:
            return False
        return self.one_hot is not None or self.outputs > 1 or self.classes == 2


def measure_targets(splits: Sequence[StoredSplit]) -> StoredTargets:
    """What stored splits say. Raises OSError or ValueError where they can't be read."""
    arrays = [np.load(split.targets_path, mmap_mode="r") for split in splits]
    figures = []
    for split, values in zip(splits, arrays, strict=True):
        binary = bool(((values == 0) | (values == 1)).all())
        sums = values.ndim == 2 and np.allclose(values.sum(axis=1), 1, atol=1e-4)
        figures.append(
            Figures(split.name, float(values.min()), float(values.max()), binary, bool(sums))
        )
    return StoredTargets(find_target_kind(*arrays), tuple(figures))
