"""What the two kernels have in common: an interface, and the buffers of one pass.

A kernel holds the networks of a :class:`Block` in the layout that it computes in. The numbers
of a trial are a function of that trial, the data, and the choice of kernel, which follows from
the signature alone: never of the other trials, nor of their count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from packtrain.training.blocks import Block
from packtrain.training.tape import Tape

Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Networks:
    """Weights and biases of B trials, (B, n_in, n_out) and (B, n_out) a layer, and for each
    moment that the rule keeps, arrays of the same shapes."""

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    weight_moments: tuple[tuple[Floats, ...], ...]
    bias_moments: tuple[tuple[Floats, ...], ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows x (n, inputs) and targets y (n, outputs), as a block's cost takes them, and what each
    row counts, (n, 1); None: 1 each."""

    x: Floats
    y: Floats
    weights: Floats | None = None

    def __len__(self) -> int:
        return len(self.x)

    def part(self, places: slice) -> Rows:
        """Some of them; themselves where it is all, so that a kernel can tell."""
        if places.start == 0 and places.stop >= len(self):
            return self
        weights = None if self.weights is None else self.weights[places]
        return Rows(self.x[places], self.y[places], weights)


class Pass(Protocol):
    """One pass of some rows through the networks of ``trials``, a part of the block: ``a`` are
    the activations of every layer from the first hidden one, ``z`` the weighted inputs of the
    outputs, ``weighed`` those of hidden layers, where activations have not replaced them;
    ``delta`` and ``scratch`` are free to write, of the shapes of ``a``."""

    trials: slice

    @property
    def a(self) -> Sequence[Floats]: ...
    @property
    def z(self) -> Floats: ...
    @property
    def weighed(self) -> Sequence[Floats]: ...
    @property
    def delta(self) -> Sequence[Floats]: ...
    @property
    def scratch(self) -> Sequence[Floats]: ...

    def total(self, values: Floats, layer: int) -> NDArray[np.float64]:
        """The sum of an array of a layer, counted from 1, for each of the trials."""

    def count_rows(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Marked rows for each of the trials, of marks without the axis of neurons."""

    def count_rows_by_output(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Marked rows, (trials, k), of marks with an axis of k in the place of neurons."""


class Kernel(Protocol):
    """Trains and measures the networks of a block."""

    block: Block
    output_axis: int  # where a layer's neurons lie
    rows_per_pass: int  # rows that are measured at a time
    is_passed: bool  # whether what measured the last epoch serves the next one too

    def networks(self) -> Networks:
        """The networks as they are now."""

    def does_repeat(self, rows: Rows) -> bool:
        """Whether every epoch of these rows makes the same calls on the same arrays as another
        that began with the same ``is_passed``."""

    def on(self, tape: Tape) -> Self:
        """This kernel with all arrays that an epoch changes watched by ``tape``, which is to
        train one epoch in its place: the arrays are the same."""

    def train_epoch(self, rows: Rows, epoch: int, rate_share: NDArray[np.float64]) -> None:
        """Go through the rows once, in the order of ``epoch``. Learning rates are times
        ``rate_share``, (B,), and what schedules ask for."""

    def forward(self, x: Floats) -> Iterator[Pass]:
        """Pass rows through, without dropout, for some trials at a time. What comes next may
        overwrite what came before."""

    def backward(self, rows: Rows, made: Pass) -> None:
        """Add the gradient of the rows that ``made`` came from to the running gradient."""

    def take_gradient_squares(self) -> list[NDArray[np.float64]]:
        """Per layer, (B,): the sum of squares of the running gradient, which restarts at 0."""

    def rows_beside(self, rows: Floats) -> Floats:
        """``rows`` (r, ...) shaped so as to broadcast against arrays of a pass."""

    def weight_squares(self, layer: int) -> NDArray[np.float64]:
        """The sum of squares of the layer's weights, (B,)."""

    def weight_magnitudes(self, layer: int) -> NDArray[np.float64]:
        """The sum of absolute values of the layer's weights, (B,)."""

    def find_finite(self) -> NDArray[np.bool_] | None:
        """Whether all weights and biases are finite, (B,); None: those of all trials are."""
