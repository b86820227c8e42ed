"""The kernel for layers that are worth a matrix product: arrays (trials, rows, neurons), stacked
products, and the weight update fused into its product."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import activate, differentiate
from packtrain.training.blocks import Block
from packtrain.training.costs import output_error
from packtrain.training.deferred import DeferredLayer, deferred_steps
from packtrain.training.kernel import Floats, Networks, Pass
from packtrain.training.randomness import Generators, make_dropout_generators, order_rows
from packtrain.training.spec import Signature
from packtrain.training.updates import StackedPass, WeightUpdate


class StackedKernel:
    """Networks as they are stored, (B, n_in, n_out), which BLAS takes slice by slice.

    ``training_rows`` is n of the formulas (Nielsen, chapter 3).
    """

    output_axis = -1

    def __init__(
        self, signature: Signature, block: Block, networks: Networks, training_rows: int
    ) -> None:
        self.block = block
        self._signature = signature
        self._networks = networks
        self._weights, self._biases = networks.weights, networks.biases
        self._layers = range(len(networks.weights))
        self._training_rows = training_rows
        self._passes: dict[int, StackedPass] = {}
        self._update = WeightUpdate(signature, block, networks, training_rows)
        self._deferred: dict[int, DeferredLayer] = {}
        self._steps_deferred = 1
        if self._update.is_fused(0) and not (block.has_momentum or block.has_l1):
            self._steps_deferred = deferred_steps(signature)
        self._gradient: list[Floats] = []

    def networks(self) -> Networks:
        return self._networks

    def keep(self, keep: NDArray[np.bool_]) -> Self:
        networks = self._networks.select(keep)
        return type(self)(self._signature, self.block.select(keep), networks, self._training_rows)

    def _pass_of(self, rows: int) -> StackedPass:
        if rows not in self._passes:
            self._passes[rows] = StackedPass(self._signature, len(self.block), rows)
        return self._passes[rows]

    def train_epoch(self, x: Floats, y: Floats, epoch: int) -> None:
        batch = min(self._signature.batch_size, len(x))
        order = order_rows(self.block.order_seed, epoch, len(x))
        generators: Generators = []
        if self.block.has_dropout:
            generators = make_dropout_generators(self.block.seeds, self._layers[:-1], epoch)
        if self._steps_deferred > 1:
            self._train_deferred(x, y, order, generators)
            return
        for first in range(0, len(x), batch):
            rows = order[first : first + batch]
            made = self._pass_of(len(rows))
            # mode="clip" lets NumPy write straight into the buffer; the rows are in range.
            np.take(x, rows, axis=0, out=made.x, mode="clip")
            np.copyto(made.x_columns, made.x)
            np.take(y, rows, axis=0, out=made.y, mode="clip")
            self._forward(made.x, made, generators)
            self._learn(made)

    def _train_deferred(
        self, x: Floats, y: Floats, order: NDArray[np.intp], generators: Generators
    ) -> None:
        batch = min(self._signature.batch_size, len(x))
        together = batch * self._steps_deferred
        for start in range(0, len(x), together):
            rows = order[start : start + together]
            deferred = self._deferred_of(len(rows))
            deferred.begin(x, rows)
            for first in range(0, len(rows), batch):
                part = rows[first : first + batch]
                made = self._pass_of(len(part))
                np.take(y, part, axis=0, out=made.y, mode="clip")
                self._forward(made.x, made, generators, deferred)
                self._learn(made, deferred)
            deferred.finish()

    def _deferred_of(self, rows: int) -> DeferredLayer:
        if rows not in self._deferred:
            weights, keep = self._weights[0], self._update.keep
            self._deferred[rows] = DeferredLayer(weights, keep, rows)
        return self._deferred[rows]

    def _forward(
        self,
        x: Floats,
        made: StackedPass,
        generators: Generators,
        deferred: DeferredLayer | None = None,
    ) -> None:
        shown = x
        for layer in self._layers[:-1]:
            a = made.a[layer]
            self._weigh(layer, shown, a, deferred)
            activate(self._signature.hidden_activation, a, a, -1)
            shown = a
            if generators:
                shown = self._drop_out(layer, made, generators[layer])
        self._weigh(self._layers[-1], shown, made.z, deferred)
        activate(self._signature.output_activation, made.z, made.a[-1], -1)

    def _weigh(self, layer: int, shown: Floats, z: Floats, deferred: DeferredLayer | None) -> None:
        if layer == 0 and deferred is not None:
            deferred.weigh(z)
        else:
            np.matmul(shown, self._weights[layer], out=z)
        np.add(z, self._biases[layer][:, np.newaxis], out=z)

    def _drop_out(
        self, layer: int, made: StackedPass, generators: list[np.random.Generator]
    ) -> Floats:
        """Inverted dropout (Srivastava et al., 2014): what stays is scaled up, so that nothing
        changes when the network is used."""
        if not made.masks:
            made.make_masks()
        mask, shown = made.masks[layer], made.shown[layer]
        for row, generator in enumerate(generators):
            share = self.block.dropout[row]
            drawn = generator.random(mask[row].shape, dtype=np.float32)
            np.multiply(drawn >= share, mask.dtype.type(1 / (1 - share)), out=mask[row])
        np.multiply(made.a[layer], mask, out=shown)
        return shown

    def _learn(self, made: StackedPass, deferred: DeferredLayer | None = None) -> None:
        output, scratch = self._signature.output_activation, made.scratch[-1]
        output_error(self.block.cost, output, made.a[-1], made.y, made.delta[-1], scratch, -1)
        # Scaled here, the error scales every gradient that follows from it.
        rates = self._update.rates / len(made.y)
        np.multiply(made.delta[-1], rates.astype(scratch.dtype), out=made.delta[-1])
        for layer in reversed(self._layers):
            if layer > 0:
                mask = made.masks[layer - 1] if self.block.has_dropout else None
                self._propagate(layer, made, mask)
            self._update.step_biases(layer, made.delta[layer])
            if layer == 0 and deferred is not None:
                deferred.step(made.delta[0])
            else:
                self._update.step_weights(layer, made)

    def _propagate(self, layer: int, made: Pass, mask: Floats | None) -> None:
        delta, scratch = made.delta[layer - 1], made.scratch[layer - 1]
        np.matmul(made.delta[layer], self._weights[layer].transpose(0, 2, 1), out=delta)
        if mask is not None:
            np.multiply(delta, mask, out=delta)
        activation = self._signature.hidden_activation
        derivative = differentiate(activation, made.a[layer - 1], scratch)
        if derivative is not None:
            np.multiply(delta, derivative, out=delta)

    def forward(self, x: Floats) -> StackedPass:
        made = self._pass_of(len(x))
        self._forward(x, made, [])
        return made

    def backward(self, x: Floats, y: Floats, made: Pass) -> None:
        if not self._gradient:
            self._gradient = [np.zeros_like(w) for w in self._weights]
        output, scratch = self._signature.output_activation, made.scratch[-1]
        output_error(self.block.cost, output, made.a[-1], y, made.delta[-1], scratch, -1)
        for layer in reversed(self._layers):
            if layer > 0:
                self._propagate(layer, made, None)
            shown = made.a[layer - 1].transpose(0, 2, 1) if layer else x.T
            self._gradient[layer] += np.matmul(shown, made.delta[layer])

    def take_gradient_squares(self) -> list[NDArray[np.float64]]:
        squares = [_square_sums(gradient) for gradient in self._gradient]
        for gradient in self._gradient:
            gradient[...] = 0
        return squares

    def rows_beside(self, rows: Floats) -> Floats:
        return rows

    def total(self, values: Floats) -> NDArray[np.float64]:
        return _sum_trials(values)

    def count_rows(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.count_nonzero(marks, axis=1), np.float64)

    def weight_squares(self, layer: int) -> NDArray[np.float64]:
        return _square_sums(self._weights[layer])

    def weight_magnitudes(self, layer: int) -> NDArray[np.float64]:
        return _sum_trials(np.abs(self._weights[layer]))

    def are_finite(self) -> NDArray[np.bool_]:
        arrays = (*self._weights, *self._biases)
        finite = np.isfinite(sum(_sum_trials(array) for array in arrays))
        for row in np.flatnonzero(~finite):
            # A sum of finite numbers may overflow.
            finite[row] = all(np.isfinite(array[row]).all() for array in arrays)
        return np.asarray(finite)


def _sum_trials(values: Floats) -> NDArray[np.float64]:
    # Over one contiguous axis, so that the order of the sum doesn't depend on the trials.
    flat = values.reshape(len(values), -1)
    return np.asarray(np.add.reduce(flat, axis=1), np.float64)


def _square_sums(values: Floats) -> NDArray[np.float64]:
    flat = values.reshape(len(values), -1)
    return np.array([np.dot(row, row) for row in flat], dtype=np.float64)
