"""The kernel for layers that are worth a matrix product: the first layers of all trials as one
matrix, the others stacked, (groups, each, n_in, n_out), and multiplied slice by slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import activate, differentiate
from packtrain.training.blocks import Block
from packtrain.training.costs import output_error
from packtrain.training.first_layer import FirstLayer, window_rows
from packtrain.training.joint import arrange, subtract
from packtrain.training.kernel import Floats, Networks, Pass, Rows
from packtrain.training.norms import bound_norms, clip_factors, square_sums
from packtrain.training.randomness import Generators, make_dropout_generators
from packtrain.training.shown_rows import ShownRows
from packtrain.training.spec import Signature
from packtrain.training.stacked_pass import StackedPass, rows_per_pass, sum_trials
from packtrain.training.tape import Tape
from packtrain.training.updates import Coefficients, Stepper, StepPlan


class StackedKernel:
    """Networks of more than a few weights."""

    output_axis = -1
    is_passed = False

    def __init__(self, signature: Signature, block: Block, networks: Networks) -> None:
        self.block = block
        self._signature = signature
        self._dtype = np.dtype(signature.data_type)
        self._layers = range(len(networks.weights))
        shown = window_rows(signature.batch_size) if block.is_linear else signature.batch_size
        inputs, units = signature.sizes[:2]
        arrangement = arrange(shown, inputs, units, self._dtype, block.is_linear)
        self._layout = arrangement.lay_out(len(block), units)
        self._first = FirstLayer(block, self._layout, networks)
        self.rows_per_pass = rows_per_pass(signature)
        # From the second layer on; biases (groups, each, 1, n_out); moments by layer.
        self._weights = [self._stack(w) for w in networks.weights[1:]]
        self._biases = [self._stack(b[:, np.newaxis]) for b in networks.biases[1:]]
        self._moments = [
            [self._stack(kept[layer]) for kept in networks.weight_moments]
            for layer in self._layers[1:]
        ]
        self._bias_moments = [
            [self._stack(kept[layer][:, np.newaxis]) for kept in networks.bias_moments]
            for layer in self._layers[1:]
        ]
        self._steps = [np.empty_like(w) for w in self._weights]
        self._scratch = [np.empty_like(w) for w in self._weights]
        self._bias_steps = [np.empty_like(b) for b in self._biases]
        self._bias_scratch = [np.empty_like(b) for b in self._biases]
        self._plan = StepPlan(block)
        # No methods of its own are kept: a circle would keep its memory beyond its end.
        self._spread = partial(self._layout.spread, dtype=self._dtype)
        self._stepper = Stepper(block, self._dtype, self._spread)
        self._max_norm = self._layout.spread(block.max_norm, np.inf, np.float64)
        self._ones: dict[int, Floats] = {}
        self._passes: dict[tuple[int, int], StackedPass] = {}
        self._gradient: list[Floats] = []
        self._factors: tuple[Coefficients, dict[int, Floats]] | None = None

    def _stack(self, array: Floats) -> Floats:
        """(B, ...) as (groups, each, ...), filled up with zeros."""
        stacked = np.zeros((self._layout.slots, *array.shape[1:]), array.dtype)
        stacked[: len(array)] = array
        return stacked.reshape(self._layout.groups, self._layout.each, *array.shape[1:])

    def _unstack(self, array: Floats) -> Floats:
        return array.reshape(self._layout.slots, *array.shape[2:])[: len(self.block)]

    def networks(self) -> Networks:
        def rest(arrays: Sequence[Floats]) -> list[Floats]:
            return [self._unstack(array) for array in arrays]

        def rest_biases(arrays: Sequence[Floats]) -> list[Floats]:
            return [self._unstack(array)[:, 0] for array in arrays]

        first = self._first.moments()
        by_kind = [list(zip(*kinds, strict=True)) for kinds in (self._moments, self._bias_moments)]
        weights, biases = [kinds or [()] * len(first) for kinds in by_kind]
        return Networks(
            (self._first.weights(), *rest(self._weights)),
            (self._first.biases(), *rest_biases(self._biases)),
            tuple((w, *rest(kept)) for (w, _), kept in zip(first, weights, strict=True)),
            tuple((b, *rest_biases(kept)) for (_, b), kept in zip(first, biases, strict=True)),
        )

    def _pass_of(self, rows: int, groups: int) -> StackedPass:
        key = rows, groups
        if key not in self._passes:
            self._passes[key] = StackedPass(self._signature, self._layout, rows, groups)
        return self._passes[key]

    def does_repeat(self, rows: Rows) -> bool:  # noqa: ARG002
        # Its mini-batches come in another order each epoch.
        return False

    def on(self, tape: Tape) -> Self:
        raise NotImplementedError("epochs of stacked networks don't repeat")

    def train_epoch(self, rows: Rows, epoch: int, rate_share: NDArray[np.float64]) -> None:
        batch = min(self._signature.batch_size, len(rows))
        steps = -(-len(rows) // batch)
        factors = self.block.rate_factors(rate_share, epoch, self._signature.epochs, steps)
        shown = ShownRows(self._signature, self.block, rows.x, epoch)
        generators: Generators = []
        if self.block.has_dropout:
            generators = make_dropout_generators(self.block.seeds, self._layers[:-1], epoch)
        together = self._first.rows_together(batch)
        for start in range(0, len(rows), together):
            places = slice(start, min(start + together, len(rows)))
            self._first.begin(shown, places, batch)
            for first in range(start, places.stop, batch):
                part, step = shown.order[first : min(first + batch, places.stop)], first // batch
                made = self._pass_of(len(part), self._layout.groups)
                made.take_targets(rows, part)
                self._first.weigh(made.joint)
                self._forward(made, generators)
                self._learn(made, self._plan.at(factors[step], (epoch - 1) * steps + step + 1))
            self._first.finish()
        self._first.end_epoch()

    def _forward(self, made: StackedPass, generators: Generators) -> None:
        """On from the first layer's weighted inputs, in ``made.joint``."""
        hidden, output = self._signature.hidden_activation, self._signature.output_activation
        shown = None
        for layer in self._layers[:-1]:
            z = made.weighed[layer]
            if shown is not None:
                self._weigh(layer, shown, z, made.groups)
            activate(hidden, z, made.a[layer], -1)
            shown = made.by_trial[layer]
            if generators:
                shown = self._drop_out(layer, made, generators[layer])
        if shown is None:
            np.copyto(made.z, self._layout.by_trial(made.joint))
        else:
            self._weigh(self._layers[-1], shown, made.z, made.groups)
        activate(output, made.z, made.a[-1], -1)

    def _weigh(self, layer: int, shown: Floats, z: Floats, groups: slice) -> None:
        np.matmul(shown, self._weights[layer - 1][groups], out=z)
        np.add(z, self._biases[layer - 1][groups], out=z)

    def _drop_out(
        self, layer: int, made: StackedPass, generators: list[np.random.Generator]
    ) -> Floats:
        """Inverted dropout (Srivastava et al., 2014): what stays is scaled up, so that nothing
        changes when the network is used."""
        if not made.masks:
            made.make_masks()
        mask = made.mask_views[layer]
        for slot, generator in enumerate(generators):
            share, place = self.block.dropout[slot], divmod(slot, self._layout.each)
            drawn = generator.random(mask.shape[2:], dtype=np.float32)
            np.multiply(drawn >= share, mask.dtype.type(1 / (1 - share)), out=mask[place])
        np.multiply(made.a[layer], made.masks[layer], out=made.dropped[layer])
        return made.shown[layer]

    def _learn(self, made: StackedPass, columns: Coefficients) -> None:
        laid, rows = self._stepper.laid(columns), len(made.y)
        self._find_output_error(made.y, made.row_weights, made)
        # Scaled here, the error scales every gradient that follows from it.
        np.multiply(made.delta[-1], self._error_factor(laid, rows), out=made.delta[-1])
        first = self._first.errors()
        for layer in self._layers[:0:-1]:
            delta = first if layer == 1 else made.delta[layer - 1]
            mask = made.masks[layer - 1] if self.block.has_dropout else None
            self._propagate(layer, made, delta, mask)
            self._find_gradient(layer, made.shown[layer - 1], made.delta[layer])
            if not self.block.has_clip_norm:
                self._step(layer, laid)
        if len(self._layers) == 1:
            self._layout.by_trial(first)[...] = made.delta[0]
        if self.block.has_clip_norm:
            self._clip(columns)
            for layer in self._layers[:0:-1]:
                self._step(layer, laid)
        self._first.step(columns)

    def _error_factor(self, laid: Coefficients, rows: int) -> Floats:
        """eta / m, or 1 / m, by the rule."""
        if self._factors is None or self._factors[0] is not laid:
            self._factors = laid, {}
        known = self._factors[1]
        if rows not in known:
            known[rows] = laid.error / self._dtype.type(rows)
        return known[rows]

    def _find_output_error(self, y: Floats, weights: Floats | None, made: StackedPass) -> None:
        output, a, delta = self._signature.output_activation, made.a[-1], made.delta[-1]
        scratch = made.scratch[-1]
        output_error(self.block.cost, output, made.z, a, y, weights, delta, scratch, -1)

    def _clip(self, columns: Coefficients) -> None:
        """Scale down the gradients whose norm over all layers exceeds the trial's bound."""
        squares = self._first.gradient_squares()
        for gradient in (*self._steps, *self._bias_steps):
            squares += square_sums(self._unstack(gradient))
        # Errors carry the rule's factor, and so do the norms.
        factors = clip_factors(squares, self.block.clip_norm * columns.error)
        spread = self._spread(factors, 1)
        for gradient in (*self._steps, *self._bias_steps):
            np.multiply(gradient, spread, out=gradient)
        self._first.scale_errors(factors)

    def _propagate(self, layer: int, made: StackedPass, delta: Floats, mask: Floats | None) -> None:
        """The errors of the layer before ``layer``, in ``delta``."""
        before = self._layout.by_trial(delta) if layer == 1 else delta
        weights = self._weights[layer - 1][made.groups]
        np.matmul(made.delta[layer], weights.swapaxes(-1, -2), out=before)
        if mask is not None:
            np.multiply(delta, mask, out=delta)
        activation, scratch = self._signature.hidden_activation, made.scratch[layer - 1]
        z, a = made.weighed[layer - 1], made.a[layer - 1]
        derivative = differentiate(activation, z, a, scratch)
        if derivative is not None:
            np.multiply(delta, derivative, out=delta)

    def _find_gradient(self, layer: int, shown: Floats, delta: Floats) -> None:
        """The gradient of a layer from the second on."""
        rows = delta.shape[-2]
        if rows not in self._ones:
            self._ones[rows] = np.ones((1, rows), self._dtype)
        np.matmul(self._ones[rows], delta, out=self._bias_steps[layer - 1])
        np.matmul(shown.swapaxes(-1, -2), delta, out=self._steps[layer - 1])

    def _step(self, layer: int, laid: Coefficients) -> None:
        """One step of a layer from the second on."""
        i = layer - 1
        step, scratch = self._bias_steps[i], self._bias_scratch[i]
        self._stepper.step_biases(laid, self._biases[i], self._bias_moments[i], step, scratch)
        step, scratch = self._steps[i], self._scratch[i]
        self._stepper.step_weights(laid, self._weights[i], self._moments[i], step, scratch)
        if self.block.has_max_norm:
            bound_norms(self._weights[i], self._max_norm, axis=-2)

    def forward(self, x: Floats) -> Iterator[StackedPass]:
        # Some groups at a time: more rows then fit the caches, and weights serve more of them.
        groups, together = self._layout.groups, self._layout.groups_together
        for first in range(0, groups, together):
            places = slice(first, min(first + together, groups))
            made = self._pass_of(len(x), places.stop - first)
            made.pass_through(places)
            self._first.forward(x, made.joint, made.groups)
            self._forward(made, [])
            yield made

    def backward(self, rows: Rows, made: Pass) -> None:
        assert isinstance(made, StackedPass)
        if not self._gradient:
            joint = self._layout.zeros(rows.x.shape[1], self._dtype)
            self._gradient = [joint, *(np.zeros_like(w) for w in self._weights)]
        self._find_output_error(rows.y, rows.weights, made)
        for layer in self._layers[:0:-1]:
            self._propagate(layer, made, made.delta[layer - 1], None)
            shown = made.by_trial[layer - 1].swapaxes(-1, -2)
            self._gradient[layer][made.groups] += np.matmul(shown, made.delta[layer])
        errors = made.delta[0]
        if len(self._layers) == 1:
            errors = made.joint
            self._layout.by_trial(errors)[...] = made.delta[0]
        # The gradient times -1, which has the same norm.
        subtract(rows.x.T, errors, self._gradient[0][made.groups], self._layout)

    def take_gradient_squares(self) -> list[NDArray[np.float64]]:
        rest = (self._unstack(gradient) for gradient in self._gradient[1:])
        squares = [square_sums(self._layout.unload(self._gradient[0])), *map(square_sums, rest)]
        for gradient in self._gradient:
            gradient[...] = 0
        return squares

    def rows_beside(self, rows: Floats) -> Floats:
        return rows

    def weight_squares(self, layer: int) -> NDArray[np.float64]:
        return square_sums(self._layer_weights(layer))

    def weight_magnitudes(self, layer: int) -> NDArray[np.float64]:
        return sum_trials(np.abs(self._layer_weights(layer)))

    def _layer_weights(self, layer: int) -> Floats:
        return self._unstack(self._weights[layer - 1]) if layer else self._first.weights()

    def find_finite(self) -> NDArray[np.bool_] | None:
        finite = self._first.are_finite()
        for array in (*self._weights, *self._biases):
            finite &= np.isfinite(self._unstack(array)).all(axis=(1, 2))
        return finite
