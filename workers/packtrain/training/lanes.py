"""The kernel for tiny layers: the trial axis last, and plain vector arithmetic along it.

A matrix product of a 2 x 3 layer costs a hundred times its arithmetic in calls. Here one NumPy
call does one multiplication of every trial of the block. Trials lie in the lanes of the vector
unit: arrays are (rows, neurons, lanes), weights (n_in, n_out, lanes).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import NEEDS_Z, activate, differentiate
from packtrain.training.blocks import Block
from packtrain.training.costs import output_error
from packtrain.training.kernel import Floats, Networks, Pass, Rows
from packtrain.training.norms import bound_norms, clip_factors
from packtrain.training.randomness import make_dropout_generators
from packtrain.training.shown_rows import ShownRows, changes_rows
from packtrain.training.spec import Signature
from packtrain.training.updates import Coefficients, Stepper, StepPlan

# Lanes are padded to a multiple of this, so that no axis of length 1 makes NumPy sum in another
# order for a single trial than for many.
LANE_MULTIPLE = 16
# Rows that are measured at a time.
LANE_ROWS = 8


class LanePass:
    """Buffers for a pass of ``rows`` rows; ``shown`` are a layer's inputs from the second on."""

    def __init__(self, signature: Signature, trials: int, lanes: int, rows: int) -> None:
        self.trials = slice(0, trials)

        def layers(widths: Sequence[int]) -> list[Floats]:
            return [np.empty((rows, n, lanes), signature.data_type) for n in widths]

        self.a = layers(signature.sizes[1:])
        # Weighted inputs of hidden layers: activations replace them where they can.
        keeps = signature.hidden_activation in NEEDS_Z
        self.weighed = [np.empty_like(a) for a in self.a[:-1]] if keeps else self.a[:-1]
        self.z = np.empty_like(self.a[-1])
        self.delta = layers(signature.sizes[1:])
        self.scratch = layers(signature.sizes[1:])
        self.shown = list(self.a[:-1])
        self.masks: list[Floats] = []

    def make_masks(self) -> None:
        self.shown = [np.empty_like(a) for a in self.a[:-1]]
        self.masks = [np.ones_like(a) for a in self.a[:-1]]

    def total(self, values: Floats, layer: int) -> NDArray[np.float64]:  # noqa: ARG002
        return _total(values, self.trials.stop)

    def count_rows(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.count_nonzero(marks, axis=0)[self.trials], np.float64)

    def count_rows_by_output(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.count_nonzero(marks, axis=0).T[self.trials], np.float64)


class LaneKernel:
    """Networks turned round, (n_in, n_out, lanes)."""

    output_axis = 1
    rows_per_pass = LANE_ROWS

    def __init__(self, signature: Signature, block: Block, networks: Networks) -> None:
        self.block = block
        self._signature = signature
        self._layers = range(len(networks.weights))
        self._lanes = -(-len(block) // LANE_MULTIPLE) * LANE_MULTIPLE
        self._weights = [self._turn(w) for w in networks.weights]
        self._biases = [self._turn(b) for b in networks.biases]
        self._moments = [[self._turn(m[i]) for m in networks.weight_moments] for i in self._layers]
        self._bias_moments = [
            [self._turn(m[i]) for m in networks.bias_moments] for i in self._layers
        ]
        self._steps = [np.empty_like(w) for w in self._weights]
        self._scratch = [np.empty_like(w) for w in self._weights]
        self._bias_steps = [np.empty_like(b) for b in self._biases]
        self._bias_scratch = [np.empty_like(b) for b in self._biases]
        self._passes: dict[int, LanePass] = {}
        self._gradient: list[Floats] = []
        self._plan = StepPlan(block)
        self._stepper = Stepper(block, self._lay)
        self._max_norm = self._lay(block.max_norm, np.inf)

    def _lay(self, values: NDArray[np.float64], fill: float) -> Floats:
        laid = np.full(self._lanes, fill, self._signature.data_type)
        laid[: len(values)] = values
        return laid

    def _turn(self, array: Floats) -> Floats:
        """(B, ...) as (..., lanes) in the data type, padded with zeros."""
        turned = np.zeros((*array.shape[1:], self._lanes), self._signature.data_type)
        turned[..., : len(array)] = np.moveaxis(array, 0, -1)
        return turned

    def _turn_back(self, array: Floats) -> Floats:
        return np.ascontiguousarray(np.moveaxis(array[..., : len(self.block)], -1, 0))

    def networks(self) -> Networks:
        def turned(kept: list[list[Floats]]) -> tuple[tuple[Floats, ...], ...]:
            return tuple(
                tuple(self._turn_back(layer[i]) for layer in kept)
                for i in range(self.block.moments)
            )

        return Networks(
            tuple(self._turn_back(w) for w in self._weights),
            tuple(self._turn_back(b) for b in self._biases),
            turned(self._moments),
            turned(self._bias_moments),
        )

    def keep(self, keep: NDArray[np.bool_]) -> Self:
        networks = self.networks().select(keep)
        return type(self)(self._signature, self.block.select(keep), networks)

    def _pass_of(self, rows: int) -> LanePass:
        if rows not in self._passes:
            self._passes[rows] = LanePass(self._signature, len(self.block), self._lanes, rows)
        return self._passes[rows]

    def train_epoch(self, rows: Rows, epoch: int, rate_share: NDArray[np.float64]) -> None:
        batch = min(self._signature.batch_size, len(rows))
        steps = -(-len(rows) // batch)
        factors = rate_share * self.block.rate_factors(epoch, self._signature.epochs, steps)
        generators = []
        if self.block.has_dropout:
            generators = make_dropout_generators(self.block.seeds, self._layers[:-1], epoch)
        if steps > 1 or changes_rows(self._signature, self.block):
            # All rows at once are a sum: their order is of no account.
            shown = ShownRows(self._signature, self.block, rows.x, epoch)
            x, weights = np.empty_like(rows.x), rows.weights
            shown.take(slice(0, len(rows)), x)
            rows = Rows(x, rows.y[shown.order], None if weights is None else weights[shown.order])
        for index in range(steps):
            part = rows.part(slice(index * batch, (index + 1) * batch))
            made = self._forward(part.x, generators)
            self._learn(part, made, self._plan.at(factors[index], (epoch - 1) * steps + index + 1))

    def _forward(self, x: Floats, generators: list[list[np.random.Generator]]) -> LanePass:
        made = self._pass_of(len(x))
        shown = x[:, :, np.newaxis]
        for layer in self._layers[:-1]:
            z, a = made.weighed[layer], made.a[layer]
            self._weigh(layer, shown, z, made.scratch[layer])
            activate(self._signature.hidden_activation, z, a, 1)
            shown = a
            if generators:
                shown = self._drop_out(layer, made, generators[layer])
        self._weigh(-1, shown, made.z, made.scratch[-1])
        activate(self._signature.output_activation, made.z, made.a[-1], 1)
        return made

    def _weigh(self, layer: int, shown: Floats, z: Floats, scratch: Floats) -> None:
        weights = self._weights[layer]
        np.multiply(shown[:, :1], weights[0], out=z)
        for i in range(1, len(weights)):
            np.multiply(shown[:, i : i + 1], weights[i], out=scratch)
            np.add(z, scratch, out=z)
        np.add(z, self._biases[layer], out=z)

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
        self._find_output_error(rows, made)
        np.multiply(
            made.delta[-1], laid.error / laid.error.dtype.type(len(rows)), out=made.delta[-1]
        )
        for layer in reversed(self._layers):
            shown = made.shown[layer - 1] if layer else rows.x[:, :, np.newaxis]
            self._correlate(shown, made.delta[layer], made.scratch[layer], self._steps[layer])
            np.add.reduce(made.delta[layer], axis=0, out=self._bias_steps[layer])
            if layer > 0:
                mask = made.masks[layer - 1] if self.block.has_dropout else None
                self._propagate(layer, made, mask)
        if self.block.has_clip_norm:
            self._clip(columns)
        for layer in self._layers:
            self._step(layer, laid)

    def _clip(self, columns: Coefficients) -> None:
        """Scale down the gradients whose norm over all layers exceeds the trial's bound."""
        gradients = (*self._steps, *self._bias_steps)
        squares = sum(self._total(gradient * gradient) for gradient in gradients)
        # Errors carry the rule's factor, and so do the norms.
        bound = self.block.clip_norm * columns.error
        factors = self._lay(clip_factors(np.asarray(squares), bound), 1)
        for gradient in gradients:
            np.multiply(gradient, factors, out=gradient)

    def _find_output_error(self, rows: Rows, made: Pass) -> None:
        targets, delta = rows.y[:, :, np.newaxis], made.delta[-1]
        weights = None if rows.weights is None else rows.weights[:, :, np.newaxis]
        activation, cost, a = self._signature.output_activation, self.block.cost, made.a[-1]
        scratch = made.scratch[-1]
        output_error(cost, activation, made.z, a, targets, weights, delta, scratch, 1)

    @staticmethod
    def _correlate(shown: Floats, delta: Floats, scratch: Floats, out: Floats) -> None:
        """The products of inputs and errors, summed over the rows, in ``out``."""
        if len(delta) == 1:
            np.multiply(shown[0][:, np.newaxis], delta[0], out=out)
            return
        for i in range(len(out)):
            np.multiply(shown[:, i : i + 1], delta, out=scratch)
            np.add.reduce(scratch, axis=0, out=out[i])

    def _propagate(self, layer: int, made: Pass, mask: Floats | None) -> None:
        weights, errors = self._weights[layer], made.delta[layer]
        delta, scratch = made.delta[layer - 1], made.scratch[layer - 1]
        np.multiply(weights[:, 0], errors[:, :1], out=delta)
        for j in range(1, weights.shape[1]):
            np.multiply(weights[:, j], errors[:, j : j + 1], out=scratch)
            np.add(delta, scratch, out=delta)
        if mask is not None:
            np.multiply(delta, mask, out=delta)
        activation = self._signature.hidden_activation
        z, a = made.weighed[layer - 1], made.a[layer - 1]
        derivative = differentiate(activation, z, a, scratch)
        if derivative is not None:
            np.multiply(delta, derivative, out=delta)

    def _step(self, layer: int, laid: Coefficients) -> None:
        step, scratch = self._bias_steps[layer], self._bias_scratch[layer]
        biases, moments = self._biases[layer], self._bias_moments[layer]
        self._stepper.step_biases(laid, biases, moments, step, scratch)
        step, scratch = self._steps[layer], self._scratch[layer]
        weights = self._weights[layer]
        self._stepper.step_weights(laid, weights, self._moments[layer], step, scratch)
        if self.block.has_max_norm:
            bound_norms(weights, self._max_norm, axis=0)

    def forward(self, x: Floats) -> Iterator[LanePass]:
        yield self._forward(x, [])

    def backward(self, rows: Rows, made: Pass) -> None:
        if not self._gradient:
            self._gradient = [np.zeros_like(w) for w in self._weights]
        self._find_output_error(rows, made)
        for layer in reversed(self._layers):
            if layer > 0:
                self._propagate(layer, made, None)
            shown = made.a[layer - 1] if layer else rows.x[:, :, np.newaxis]
            step = self._steps[layer]
            self._correlate(shown, made.delta[layer], made.scratch[layer], step)
            np.add(self._gradient[layer], step, out=self._gradient[layer])

    def take_gradient_squares(self) -> list[NDArray[np.float64]]:
        squares = [self._total(gradient * gradient) for gradient in self._gradient]
        for gradient in self._gradient:
            gradient[...] = 0
        return squares

    def rows_beside(self, rows: Floats) -> Floats:
        return rows[..., np.newaxis]

    def _total(self, values: Floats) -> NDArray[np.float64]:
        return _total(values, len(self.block))

    def weight_squares(self, layer: int) -> NDArray[np.float64]:
        return self._total(self._weights[layer] * self._weights[layer])

    def weight_magnitudes(self, layer: int) -> NDArray[np.float64]:
        return self._total(np.abs(self._weights[layer]))

    def are_finite(self) -> NDArray[np.bool_]:
        arrays = (*self._weights, *self._biases)
        finite = np.isfinite(sum(self._total(array) for array in arrays))
        for lane in np.flatnonzero(~finite):
            # A sum of finite numbers may overflow.
            finite[lane] = all(np.isfinite(array[..., lane]).all() for array in arrays)
        return np.asarray(finite)


def _total(values: Floats, trials: int) -> NDArray[np.float64]:
    summed = np.add.reduce(values.reshape(-1, values.shape[-1]), axis=0)
    return np.asarray(summed[:trials], np.float64)
