"""The step of weights and biases: w <- (1 - eta lambda / n) w - eta / m sum dC_x/dw
(Nielsen, chapter 3; momentum as there: v <- mu v - eta grad, w <- w + v).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.blocks import Block
from packtrain.training.kernel import Floats


@dataclass(frozen=True, eq=False)
class Stepper:
    """Applies gradients, which come times eta / m, to the arrays of a block's trials, in place.

    The coefficients, one for each trial, broadcast against the arrays, whatever their layout:
    keep = 1 - eta lambda / n, decay = eta lambda / n, shrink = eta lambda_1 / n, and momentum.
    """

    keep: NDArray[Any]
    decay: NDArray[Any]
    shrink: NDArray[Any]
    momentum: NDArray[Any]
    has_momentum: bool
    has_l1: bool

    @classmethod
    def of(cls, block: Block, lay: Callable[[NDArray[np.float64], float], NDArray[Any]]) -> Stepper:
        """The stepper of a block; ``lay`` takes a column (B,), and what fills it up, to the
        layout of the arrays."""
        return cls(
            keep=lay(1 - block.decay, 1),
            decay=lay(block.decay, 0),
            shrink=lay(block.shrink, 0),
            momentum=lay(block.momentum, 0),
            has_momentum=block.has_momentum,
            has_l1=block.has_l1,
        )

    def at(self, place: int) -> Stepper:
        """The stepper of the arrays at ``place`` of the first axis."""
        return replace(
            self,
            keep=self.keep[place],
            decay=self.decay[place],
            shrink=self.shrink[place],
            momentum=self.momentum[place],
        )

    def step_weights(self, w: Floats, v: Floats | None, gradient: Floats, scratch: Floats) -> None:
        """One step of weights; ``v`` are their velocities, where there is momentum."""
        if v is None:
            if self.has_l1:
                np.sign(w, out=scratch)
                np.multiply(scratch, self.shrink, out=scratch)
                np.add(gradient, scratch, out=gradient)
            np.multiply(w, self.keep, out=w)
            np.subtract(w, gradient, out=w)
            return
        np.multiply(w, self.decay, out=scratch)
        np.add(gradient, scratch, out=gradient)
        if self.has_l1:
            np.sign(w, out=scratch)
            np.multiply(scratch, self.shrink, out=scratch)
            np.add(gradient, scratch, out=gradient)
        self.step_biases(w, v, gradient)

    def step_biases(self, b: Floats, v: Floats | None, gradient: Floats) -> None:
        """One step of biases, which nothing regularizes."""
        if v is None:
            np.subtract(b, gradient, out=b)
            return
        np.multiply(v, self.momentum, out=v)
        np.subtract(v, gradient, out=v)
        np.add(b, v, out=b)
