"""How weights and biases follow the gradient: the rules, for arrays of any layout.

L2 and L1 are part of the gradient (w <- w - eta (g + lambda/n w) is the book's (1 - eta lambda/n) w
- eta g), but for AdamW and Lion, where L2 is a decay of its own (Loshchilov and Hutter, 2019; Chen
et al., 2023). Moments are kept without their factors (1 - beta), which the step size takes up:
that saves a pass over the weights for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import blas

from packtrain.training.blocks import TIMED_RULES, Block
from packtrain.training.kernel import Floats
from packtrain.training.spec import Rule

# NAdam's momentum of step t is beta1 (1 - 0.5 * 0.96^(0.004 t)) (Dozat, 2016).
_NADAM_BASE, _NADAM_RATE = 0.96, 0.004

_BY_ERRORS = (Rule.SGD, Rule.NESTEROV)
_DECOUPLED = (Rule.ADAMW, Rule.LION)


class Coefficients(NamedTuple):
    """What a step multiplies by, each (B,), or (1,) where all trials have the same, or in the
    layout of what it applies to.

    ``error``: errors come times this (eta, or 1 for rules that divide by a root mean square).
    ``keep``, ``decay``, ``shrink``: 1 - eta lambda/n; lambda/n and lambda_1/n times ``error``.
    ``rate``, ``look``: factors of the step along the moment and along the gradient.
    ``epsilon``: as it is added to the root of the moment that is kept.
    """

    error: NDArray[Any]
    keep: NDArray[Any]
    decay: NDArray[Any]
    shrink: NDArray[Any]
    momentum: NDArray[Any]
    beta1: NDArray[Any]
    beta2: NDArray[Any]
    rate: NDArray[Any]
    look: NDArray[Any]
    epsilon: NDArray[Any]

    def at(self, place: int) -> Coefficients:
        """Those at ``place`` of the first axis, and those that all trials share."""
        return Coefficients(*[values[place] if values.ndim else values for values in self])


class StepPlan:
    """The coefficients of each step of a block, in float64. What does not change stays the same
    object."""

    def __init__(self, block: Block) -> None:
        self._rule, self._rows = block.rule, block.training_rows
        self._learning_rate, self._momentum = _share(block.learning_rate), _share(block.momentum)
        self._l2, self._l1 = _share(block.l2), _share(block.l1)
        self._beta1, self._beta2 = _share(block.beta1), _share(block.beta2)
        self._epsilon = _share(block.epsilon)
        self._factors: NDArray[np.float64] | None = None
        self._found: Coefficients | None = None
        self._product, self._product_step = np.ones_like(self._beta1), 0

    def at(self, factors: NDArray[np.float64], step: int) -> Coefficients:
        """Those of a step, counted from 1 over the whole run; ``factors``, (B,), are the
        schedule's, and never change themselves."""
        known = factors is self._factors or (
            self._factors is not None and np.array_equal(factors, self._factors)
        )
        if self._found is None or not known:
            self._found, self._factors = self._make(_share(factors)), factors
        if self._rule in TIMED_RULES:
            return self._correct(self._found, step)
        return self._found

    def _make(self, factors: NDArray[np.float64]) -> Coefficients:
        eta = self._learning_rate * factors
        error = eta if self._rule in _BY_ERRORS else np.ones(1)
        rate, epsilon = eta, self._epsilon
        if self._rule is Rule.RMSPROP:
            root = np.sqrt(1 - self._beta2)
            rate, epsilon = eta / root, epsilon / root
        return Coefficients(
            error=error,
            keep=1 - eta * self._l2 / self._rows,
            decay=error * self._l2 / self._rows,
            shrink=error * self._l1 / self._rows,
            momentum=self._momentum,
            beta1=self._beta1,
            beta2=self._beta2,
            rate=rate,
            look=np.zeros(1),
            epsilon=epsilon,
        )

    def _correct(self, found: Coefficients, step: int) -> Coefficients:
        """``found`` with the correction of moments that began at 0 (Kingma and Ba, 2015)."""
        eta = found.rate
        root = np.sqrt((1 - self._beta2) / (1 - self._beta2**step))
        along, look = self._adam_factors(step)
        look = found.look if look is None else eta * look / root
        return found._replace(rate=eta * along / root, look=look, epsilon=self._epsilon / root)

    def _adam_factors(self, step: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Factors of the kept mean gradient and of the gradient itself; None: 0."""
        beta1 = self._beta1
        if self._rule is not Rule.NADAM:
            return (1 - beta1) / (1 - beta1**step), None
        if step <= self._product_step:
            self._product, self._product_step = np.ones_like(beta1), 0
        # In the same order whether the run was cut into segments or not.
        for t in range(self._product_step + 1, step + 1):
            self._product = self._product * self._nadam_momentum(t)
        self._product_step = step
        ahead = self._nadam_momentum(step + 1)
        along = (1 - beta1) * ahead / (1 - self._product * ahead)
        return along, (1 - self._nadam_momentum(step)) / (1 - self._product)

    def _nadam_momentum(self, step: int) -> NDArray[np.float64]:
        share = 1 - 0.5 * _NADAM_BASE ** (_NADAM_RATE * step)
        return np.asarray(self._beta1 * share)


def _share(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """``column``, (B,), or its one number, (1,), where it has just one."""
    # Not a scalar: NumPy's powers of scalars and of arrays may differ in their last bits.
    return column[:1] if (column == column[0]).all() else column


class Stepper:
    """Applies a block's rule, in place, to arrays of ``dtype`` whose layout ``lay`` takes columns
    (B,) to."""

    def __init__(
        self,
        block: Block,
        dtype: DTypeLike,
        lay: Callable[[NDArray[np.float64], float], NDArray[Any]],
    ) -> None:
        self._rule, self._dtype, self._lay = block.rule, np.dtype(dtype), lay
        self._has_l2, self._has_l1 = block.has_l2, block.has_l1
        self._has_momentum = block.has_momentum
        # y += a x, of contiguous arrays.
        (self._axpy,) = blas.get_blas_funcs(("axpy",), dtype=self._dtype)
        self._columns = self._laid = Coefficients(*[np.empty(0)] * len(Coefficients._fields))

    def laid(self, columns: Coefficients) -> Coefficients:
        """``columns`` in the layout; kept while they are the same object, as is each of them."""
        if columns is not self._columns:
            known = zip(Coefficients._fields, columns, self._columns, self._laid, strict=True)
            self._laid = Coefficients(
                *[
                    laid if column is before else self._lay_anew(name, column)
                    for name, column, before, laid in known
                ]
            )
            self._columns = columns
        return self._laid

    def _lay_anew(self, name: str, column: NDArray[np.float64]) -> NDArray[Any]:
        """``column`` in the layout, or one number where all trials have the same, which NumPy
        multiplies by in half the time. What stands beside the trials is 0 and stays so in either
        way, but for 0/0."""
        if len(column) == 1 and (name != "epsilon" or column[0] > 0):
            return np.asarray(column[0], self._dtype)
        return self._lay(column, 1.0 if name in ("keep", "epsilon") else 0.0)

    def step_weights(
        self, c: Coefficients, w: Floats, moments: list[Floats], g: Floats, scratch: Floats
    ) -> None:
        """One step of weights along the gradient ``g``, which is used up."""
        self._regularize(c, w, moments, g, scratch)
        self.step_biases(c, w, moments, g, scratch)

    def step_alone(
        self, c: Coefficients, w: Floats, moments: list[Floats], spare: list[Floats]
    ) -> None:
        """One step of weights of a single trial, contiguous like all arrays here. ``spare`` are
        the gradient, which is used up, and scratch; arrays of ``moments`` and ``spare`` may have
        changed places afterwards."""
        if self._rule not in (Rule.ADAM, Rule.ADAMW):
            self.step_weights(c, w, moments, *spare)
            return
        self._regularize(c, w, moments, *spare)
        (m, s), (g, square) = moments, spare
        np.multiply(g, g, out=square)
        # The moments are made where the gradient and its square lie: BLAS multiplies and adds in
        # one pass, but only into what is added to.
        self._axpy(s.reshape(-1), square.reshape(-1), a=c.beta2.item(0))
        self._axpy(m.reshape(-1), g.reshape(-1), a=c.beta1.item(0))
        np.sqrt(square, out=s)
        np.add(s, c.epsilon, out=s)
        np.divide(g, s, out=s)
        self._axpy(s.reshape(-1), w.reshape(-1), a=-c.rate.item(0))
        moments[:], spare[:] = (g, square), (m, s)

    def _regularize(
        self, c: Coefficients, w: Floats, moments: list[Floats], g: Floats, scratch: Floats
    ) -> None:
        if self._rule in _DECOUPLED or not (moments or self._has_l1):
            if self._has_l2:
                np.multiply(w, c.keep, out=w)
        elif self._has_l2:
            np.multiply(w, c.decay, out=scratch)
            np.add(g, scratch, out=g)
        if self._has_l1:
            np.sign(w, out=scratch)
            np.multiply(scratch, c.shrink, out=scratch)
            np.add(g, scratch, out=g)

    def step_biases(
        self, c: Coefficients, w: Floats, moments: list[Floats], g: Floats, scratch: Floats
    ) -> None:
        """One step of what is not regularized."""
        match self._rule:
            case Rule.SGD | Rule.NESTEROV:
                self._step_sgd(c, w, moments, g, scratch)
            case Rule.ADAGRAD | Rule.RMSPROP:
                (s,) = moments
                if self._rule is Rule.RMSPROP:
                    np.multiply(s, c.beta2, out=s)
                np.multiply(g, g, out=scratch)
                np.add(s, scratch, out=s)
                _descend(c, w, s, g, scratch)
            case Rule.ADAM | Rule.ADAMW | Rule.NADAM:
                self._step_adam(c, w, moments, g, scratch)
            case Rule.LION:
                (m,) = moments
                np.subtract(g, m, out=scratch)
                np.multiply(scratch, 1 - c.beta1, out=scratch)
                np.add(scratch, m, out=scratch)
                np.sign(scratch, out=scratch)
                np.multiply(scratch, c.rate, out=scratch)
                np.subtract(w, scratch, out=w)
                np.subtract(g, m, out=g)
                np.multiply(g, 1 - c.beta2, out=g)
                np.add(m, g, out=m)

    def _step_sgd(
        self, c: Coefficients, w: Floats, moments: list[Floats], g: Floats, scratch: Floats
    ) -> None:
        if not self._has_momentum:
            np.subtract(w, g, out=w)
            return
        (v,) = moments
        np.multiply(v, c.momentum, out=v)
        np.subtract(v, g, out=v)
        if self._rule is Rule.SGD:
            np.add(w, v, out=w)
            return
        np.multiply(v, c.momentum, out=scratch)
        np.subtract(scratch, g, out=scratch)
        np.add(w, scratch, out=w)

    def _step_adam(
        self, c: Coefficients, w: Floats, moments: list[Floats], g: Floats, scratch: Floats
    ) -> None:
        m, s = moments
        np.multiply(m, c.beta1, out=m)
        np.add(m, g, out=m)
        np.multiply(s, c.beta2, out=s)
        np.multiply(g, g, out=scratch)
        np.add(s, scratch, out=s)
        if self._rule is not Rule.NADAM:
            _descend(c, w, s, m, scratch, spare=g)
            return
        np.sqrt(s, out=scratch)
        np.add(scratch, c.epsilon, out=scratch)
        np.multiply(g, c.look, out=g)
        np.divide(g, scratch, out=g)
        np.subtract(w, g, out=w)
        np.divide(m, scratch, out=g)
        np.multiply(g, c.rate, out=g)
        np.subtract(w, g, out=w)


def _descend(
    c: Coefficients,
    w: Floats,
    s: Floats,
    along: Floats,
    scratch: Floats,
    spare: Floats | None = None,
) -> None:
    """w <- w - rate along / (sqrt(s) + epsilon); ``spare`` (None: ``along``) is used up."""
    out = along if spare is None else spare
    np.sqrt(s, out=scratch)
    np.add(scratch, c.epsilon, out=scratch)
    np.divide(along, scratch, out=out)
    np.multiply(out, c.rate, out=out)
    np.subtract(w, out, out=w)
