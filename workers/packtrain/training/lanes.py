"""The kernel for tiny layers: the trial axis last, and plain vector arithmetic along it.

A matrix product of a 2 x 3 layer costs a hundred times its arithmetic in calls. Here trials lie
in the lanes of the vector unit: arrays are (rows, neurons, lanes), weights (n_in, n_out, lanes),
and one call does the same to all trials of the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import activate, differentiate
from packtrain.training.blocks import Block
from packtrain.training.costs import output_error
from packtrain.training.kernel import Floats, Networks, Pass, Rows
from packtrain.training.lane_arrays import LaneParameters, LanePass, lay_across, total
from packtrain.training.lane_products import add_rows, correlate, weigh, weigh_back
from packtrain.training.norms import are_all_finite, bound_norms, clip_factors
from packtrain.training.randomness import make_dropout_generators
from packtrain.training.shown_rows import ShownRows, changes_rows
from packtrain.training.spec import Signature
from packtrain.training.tape import Tape
from packtrain.training.updates import Coefficients, Stepper, StepPlan

# Rows that are measured at a time, where a mini-batch has no more.
LANE_ROWS = 8


def do_lanes_repeat(signature: Signature, block: Block, rows: int) -> bool:
    """Whether all epochs of so many rows are the same calls: see :meth:`Kernel.does_repeat`."""
    drawn = changes_rows(signature, block) or block.has_dropout
    changing = drawn or block.has_clip_norm or block.has_timed_steps
    return rows <= signature.batch_size and not changing


class LaneKernel:
    """Networks turned round, (n_in, n_out, lanes)."""

    output_axis = 1

    def __init__(self, signature: Signature, block: Block, networks: Networks) -> None:
        self.block = block
        # A pass of all rows is to serve the measurement and the step that follows it.
        self.rows_per_pass = max(LANE_ROWS, signature.batch_size)
        self._signature = signature
        self._layers = range(len(networks.weights))
        self._changes_rows = changes_rows(signature, block)
        self._parameters, self._steps, self._scratch = (self._make() for _ in range(3))
        self._parameters.load(networks.weights, networks.biases)
        self._moments = [self._make() for _ in range(block.moments)]
        for kept, *arrays in zip(
            self._moments, networks.weight_moments, networks.bias_moments, strict=True
        ):
            kept.load(*arrays)
        self._gradient: LaneParameters | None = None
        self._plan = StepPlan(block)
        # No methods of its own are kept: a circle would keep its memory beyond its end.
        self._lay = partial(lay_across, dtype=signature.data_type)
        self._stepper = Stepper(block, signature.data_type, self._lay)
        self._max_norm = self._lay(block.max_norm, np.inf)
        # What output errors are multiplied by, by rows, for the coefficients that it was made of.
        self._scales: dict[int, Floats] = {}
        self._scaled: Coefficients | None = None
        self._passes: dict[int, LanePass] = {}
        # The rows that the last epoch took all at once, their pass, and whether it was made with
        # the weights as they are.
        self._all_rows: Floats | None = None
        self._pass_of_all: LanePass | None = None
        self.is_passed = False

    def _make(self) -> LaneParameters:
        return LaneParameters(self._signature, len(self.block))

    def networks(self) -> Networks:
        moments = [kept.unload() for kept in self._moments]
        return Networks(
            *self._parameters.unload(),
            tuple(weights for weights, _ in moments),
            tuple(biases for _, biases in moments),
        )

    def _pass_of(self, x: Floats) -> LanePass:
        if x is self._all_rows:
            if self._pass_of_all is None:
                self._pass_of_all = LanePass(self._signature, len(self.block), len(x))
            return self._pass_of_all
        if len(x) not in self._passes:
            self._passes[len(x)] = LanePass(self._signature, len(self.block), len(x))
        return self._passes[len(x)]

    def does_repeat(self, rows: Rows) -> bool:
        return do_lanes_repeat(self._signature, self.block, len(rows))

    def on(self, tape: Tape) -> Self:
        seen = copy(self)
        for name in ("_parameters", "_steps", "_scratch", "_gradient", "_pass_of_all"):
            held = getattr(self, name)
            if held is not None:
                setattr(seen, name, tape.watch_held(held))
        seen._moments = [tape.watch_held(kept) for kept in self._moments]
        seen._passes = {rows: tape.watch_held(made) for rows, made in self._passes.items()}
        return seen

    def train_epoch(self, rows: Rows, epoch: int, rate_share: NDArray[np.float64]) -> None:
        batch = min(self._signature.batch_size, len(rows))
        steps = -(-len(rows) // batch)
        factors = self.block.rate_factors(rate_share, epoch, self._signature.epochs, steps)
        generators = []
        if self.block.has_dropout:
            generators = make_dropout_generators(self.block.seeds, self._layers[:-1], epoch)
        if steps > 1 or self._changes_rows:
            # All rows at once are a sum: their order is of no account.
            rows = self._show(rows, epoch)
        elif rows.x is not self._all_rows:
            self._all_rows, self._pass_of_all, self.is_passed = rows.x, None, False
        for index in range(steps):
            part = rows
            if steps > 1:
                part = rows.part(slice(index * batch, (index + 1) * batch))
            made = self._forward(part.x, generators)
            self._learn(part, made, self._plan.at(factors[index], (epoch - 1) * steps + index + 1))

    def _show(self, rows: Rows, epoch: int) -> Rows:
        shown = ShownRows(self._signature, self.block, rows.x, epoch)
        x, weights = np.empty_like(rows.x), rows.weights
        shown.take(slice(0, len(rows)), x)
        return Rows(x, rows.y[shown.order], None if weights is None else weights[shown.order])

    def _forward(self, x: Floats, generators: list[list[np.random.Generator]]) -> LanePass:
        made = self._pass_of(x)
        if made is self._pass_of_all:
            if self.is_passed and not generators:
                # What measured the last epoch is the first half of this step.
                return made
            self.is_passed = not generators
        shown = x[:, :, np.newaxis]
        for layer in self._layers[:-1]:
            z, a = made.weighed[layer], made.a[layer]
            weigh(shown, self._parameters.weights[layer], z)
            np.add(z, self._parameters.biases[layer], out=z)
            activate(self._signature.hidden_activation, z, a, 1)
            shown = a
            if generators:
                shown = self._drop_out(layer, made, generators[layer])
        weigh(shown, self._parameters.weights[-1], made.z)
        np.add(made.z, self._parameters.biases[-1], out=made.z)
        activate(self._signature.output_activation, made.z, made.a[-1], 1)
        return made

    def _drop_out(
        self, layer: int, made: LanePass, generators: list[np.random.Generator]
    ) -> Floats:
        """Inverted dropout (Srivastava et al., 2014)."""
        if not made.masks:
            made.make_masks()
        mask, shown = made.masks[layer], made.shown[layer]
        for lane, generator in enumerate(generators):
            share = self.block.dropout[lane]
            drawn = generator.random(mask.shape[:2], dtype=np.float32)
            mask[..., lane] = (drawn >= share) * mask.dtype.type(1 / (1 - share))
        np.multiply(made.a[layer], mask, out=shown)
        return shown

    def _learn(self, rows: Rows, made: LanePass, columns: Coefficients) -> None:
        laid = self._stepper.laid(columns)
        if laid is not self._scaled:
            self._scaled, self._scales = laid, {}
        if len(rows) not in self._scales:
            self._scales[len(rows)] = laid.error / laid.error.dtype.type(len(rows))
        self._find_output_error(rows, made)
        np.multiply(made.delta[-1], self._scales[len(rows)], out=made.delta[-1])
        masks = made.masks if self.block.has_dropout else []
        self._differentiate(rows.x, made, made.shown, masks)
        if self.block.has_clip_norm:
            self._clip(columns)
        self._step(laid)

    def _find_output_error(self, rows: Rows, made: Pass) -> None:
        targets, delta = rows.y[:, :, np.newaxis], made.delta[-1]
        weights = None if rows.weights is None else rows.weights[:, :, np.newaxis]
        activation, cost, a = self._signature.output_activation, self.block.cost, made.a[-1]
        scratch = made.scratch[-1]
        output_error(cost, activation, made.z, a, targets, weights, delta, scratch, 1)

    def _differentiate(
        self, x: Floats, made: LanePass, shown: list[Floats], masks: list[Floats]
    ) -> None:
        """The gradient of the rows, in ``_steps``, from the errors of the outputs."""
        for layer in reversed(self._layers):
            delta = made.delta[layer]
            add_rows(delta, self._steps.biases[layer])
            before = shown[layer - 1] if layer else x[:, :, np.newaxis]
            correlate(before, delta, self._steps.weights[layer])
            if layer:
                self._propagate(layer, made, masks[layer - 1] if masks else None)

    def _propagate(self, layer: int, made: LanePass, mask: Floats | None) -> None:
        delta, scratch = made.delta[layer - 1], made.scratch[layer - 1]
        weigh_back(made.delta[layer], self._parameters.weights[layer], delta)
        if mask is not None:
            np.multiply(delta, mask, out=delta)
        z, a = made.weighed[layer - 1], made.a[layer - 1]
        derivative = differentiate(self._signature.hidden_activation, z, a, scratch)
        if derivative is not None:
            np.multiply(delta, derivative, out=delta)

    def _clip(self, columns: Coefficients) -> None:
        """Scale down the gradients whose norm over all layers exceeds the trial's bound."""
        gradient = self._steps.values
        squares = self._total(np.multiply(gradient, gradient, out=self._scratch.values))
        # Errors carry the rule's factor, and so do the norms.
        bound = self.block.clip_norm * columns.error
        np.multiply(gradient, self._lay(clip_factors(squares, bound), 1), out=gradient)

    def _step(self, laid: Coefficients) -> None:
        into, along, scratch, moments = self._parameters, self._steps, self._scratch, self._moments
        self._stepper.step_biases(
            laid,
            into.all_biases,
            [kept.all_biases for kept in moments],
            along.all_biases,
            scratch.all_biases,
        )
        self._stepper.step_weights(
            laid,
            into.all_weights,
            [kept.all_weights for kept in moments],
            along.all_weights,
            scratch.all_weights,
        )
        if self.block.has_max_norm:
            for weights in into.weights:
                bound_norms(weights, self._max_norm, axis=0)
        self.is_passed = False

    def forward(self, x: Floats) -> Iterator[LanePass]:
        yield self._forward(x, [])

    def backward(self, rows: Rows, made: Pass) -> None:
        assert isinstance(made, LanePass)
        if self._gradient is None:
            self._gradient = self._make()
        self._find_output_error(rows, made)
        self._differentiate(rows.x, made, made.a, [])
        np.add(self._gradient.values, self._steps.values, out=self._gradient.values)

    def take_gradient_squares(self) -> list[NDArray[np.float64]]:
        assert self._gradient is not None
        squares = [self._total(gradient * gradient) for gradient in self._gradient.weights]
        self._gradient.values[...] = 0
        return squares

    def rows_beside(self, rows: Floats) -> Floats:
        return rows[..., np.newaxis]

    def _total(self, values: Floats) -> NDArray[np.float64]:
        return total(values, len(self.block)).astype(np.float64)

    def weight_squares(self, layer: int) -> NDArray[np.float64]:
        weights = self._parameters.weights[layer]
        return self._total(weights * weights)

    def weight_magnitudes(self, layer: int) -> NDArray[np.float64]:
        return self._total(np.abs(self._parameters.weights[layer]))

    def find_finite(self) -> NDArray[np.bool_] | None:
        values = self._parameters.values
        if are_all_finite(values):
            return None
        finite = np.logical_and.reduce(np.isfinite(values), axis=0)
        return np.asarray(finite[: len(self.block)])
