"""What a dataset's targets are, for the costs and metrics that are particular about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from packtrain.service.datasets import StoredDataset, StoredSplit


@dataclass(frozen=True)
class Figures:
    """The extremes of a split's targets, and whether they are all 0 or 1."""

    split: str
    low: float
    high: float
    binary: bool


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a network shall put out.

    ``classes`` is 0 for real targets. ``one_hot``: the number of outputs of which one is 1, or
    None where targets are shown as they are. ``figures`` are those of each stored split.
    """

    classes: int
    outputs: int
    one_hot: int | None
    figures: tuple[Figures, ...]

    @property
    def stand_for_classes(self) -> bool:
        """Whether each row's target says which one of the classes it is of: with one output,
        0 or 1."""
        return self.one_hot is not None or self.classes == 2

    @property
    def are_labels(self) -> bool:
        """Whether each output says yes or no of its own: several columns of 0 and 1."""
        return not self.classes and self.outputs > 1 and all(f.binary for f in self.figures)


def measure_split(split: StoredSplit) -> Figures:
    """The figures of a stored split's targets. Raises OSError or ValueError where they can't be
    read."""
    values = np.load(split.targets_path, mmap_mode="r")
    binary = bool(((values == 0) | (values == 1)).all())
    return Figures(split.name, float(values.min()), float(values.max()), binary)


def find_targets(
    dataset: StoredDataset, figures: tuple[Figures, ...], outputs: int, one_hot: int | None
) -> Targets:
    """The targets of a dataset as a network of so many outputs sees them."""
    return Targets(classes=dataset.classes, outputs=outputs, one_hot=one_hot, figures=figures)
