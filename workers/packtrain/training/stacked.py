"""The kernel for layers that are worth a matrix product: the first layers of all trials as one
matrix, the others stacked, (groups, each, n_in, n_out), and multiplied slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import activate, differentiate
from packtrain.training.blocks import Block
from packtrain.training.costs import output_error
from packtrain.training.first_layer import FirstLayer
from packtrain.training.joint import Layout, lay_out, subtract, widest
from packtrain.training.kernel import Floats, Networks, Pass
from packtrain.training.randomness import Generators, make_dropout_generators
from packtrain.training.shown_rows import ShownRows
from packtrain.training.spec import Signature
from packtrain.training.updates import Stepper

# Bytes of the first layer's activations of a group of trials that are measured at a time.
MEASURED_BYTES = 320 * 1024


def rows_per_pass(signature: Signature) -> int:
    """Rows that are measured at a time: a function of the signature, because the order of sums
    follows from it."""
    row = widest(signature.sizes[1]) * np.dtype(signature.data_type).itemsize
    return int(np.clip(MEASURED_BYTES // row // 20 * 20, 20, 500))


class StackedPass:
    """Buffers for a pass of ``rows`` rows through the networks in some groups of the layout:
    joint arrays (groups, rows, width) for the first layer where it is hidden, (groups, each,
    rows, neurons) for the others.

    Contiguous for any number of trials, because NumPy's loops may round differently where an
    array is strided. ``by_trial`` and ``shown`` are views (groups, each, rows, neurons) of what
    each hidden layer gives, and of what dropout lets the next one see of it.
    """

    def __init__(self, signature: Signature, layout: Layout, rows: int, groups: int) -> None:
        dtype, outputs = np.dtype(signature.data_type), signature.sizes[-1]
        self._layout, self._is_deep = layout, len(signature.sizes) > 2
        self.y = np.empty((rows, outputs), dtype)

        def joint() -> Floats:
            return np.zeros((groups, rows, layout.width), dtype)

        def layers() -> list[Floats]:
            stacked = [np.empty((groups, layout.each, rows, n), dtype) for n in signature.sizes[1:]]
            return [joint(), *stacked[1:]] if self._is_deep else stacked

        self.a = layers()
        # The first layer's weighted inputs; where it is hidden, its activations replace them.
        self.joint = self.a[0] if self._is_deep else joint()
        self.z = np.empty_like(self.a[-1])
        self.delta = layers()
        self.scratch = layers()
        self.by_trial = self._views(self.a[:-1])
        self.shown = self.by_trial
        self.masks: list[Floats] = []
        self.mask_views: list[Floats] = []
        self.dropped: list[Floats] = []
        self.pass_through(slice(0, groups))

    def pass_through(self, groups: slice) -> None:
        """Take the groups that the next pass is for."""
        self.groups, each = groups, self._layout.each
        self.trials = slice(groups.start * each, min(groups.stop * each, self._layout.trials))

    def _views(self, hidden: list[Floats]) -> list[Floats]:
        return [self._layout.by_trial(a) if a.ndim == 3 else a for a in hidden]

    def make_masks(self) -> None:
        self.dropped = [np.empty_like(a) for a in self.a[:-1]]
        self.shown = self._views(self.dropped)
        self.masks = [np.ones_like(a) for a in self.a[:-1]]
        self.mask_views = self._views(self.masks)

    def total(self, values: Floats, layer: int) -> NDArray[np.float64]:
        if layer == 1 and self._is_deep:
            values = np.ascontiguousarray(self._layout.by_trial(values))
        return _sum_trials(self._of_trials(values))

    def count_rows(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.count_nonzero(self._of_trials(marks), axis=1), np.float64)

    def _of_trials(self, values: NDArray[Any]) -> NDArray[Any]:
        count = self.trials.stop - self.trials.start
        return values.reshape(-1, *values.shape[2:])[:count]


class StackedKernel:
    """Networks of more than a few weights."""

    output_axis = -1

    def __init__(self, signature: Signature, block: Block, networks: Networks) -> None:
        self.block = block
        self._signature = signature
        self._dtype = np.dtype(signature.data_type)
        self._layers = range(len(networks.weights))
        self._layout = lay_out(len(block), signature.sizes[1])
        self._first = FirstLayer(block, self._layout, networks)
        self.rows_per_pass = rows_per_pass(signature)
        # From the second layer on; biases (groups, each, 1, n_out).
        self._weights, self._weight_velocities = (
            [self._stack(array) for array in arrays[1:]]
            for arrays in (networks.weights, networks.weight_velocities)
        )
        self._biases, self._bias_velocities = (
            [self._stack(array[:, np.newaxis]) for array in arrays[1:]]
            for arrays in (networks.biases, networks.bias_velocities)
        )
        self._steps = [np.empty_like(w) for w in self._weights]
        self._scratch = [np.empty_like(w) for w in self._weights]
        self._bias_steps = [np.empty_like(b) for b in self._biases]
        self._stepper = Stepper.of(block, self._spread)
        self._rates: dict[int, Floats] = {}
        self._ones: dict[int, Floats] = {}
        self._passes: dict[tuple[int, int], StackedPass] = {}
        self._gradient: list[Floats] = []

    def _stack(self, array: Floats) -> Floats:
        """(B, ...) as (groups, each, ...), filled up with zeros."""
        stacked = np.zeros((self._layout.slots, *array.shape[1:]), array.dtype)
        stacked[: len(array)] = array
        return stacked.reshape(self._layout.groups, self._layout.each, *array.shape[1:])

    def _unstack(self, array: Floats) -> Floats:
        return array.reshape(self._layout.slots, *array.shape[2:])[: len(self.block)]

    def _spread(self, values: NDArray[np.float64], fill: float) -> Floats:
        return self._layout.spread(values, fill, self._dtype)

    def networks(self) -> Networks:
        def rest(arrays: list[Floats]) -> list[Floats]:
            return [self._unstack(array) for array in arrays]

        weights = (self._first.weights(), *rest(self._weights))
        biases = (self._first.biases(), *(b[:, 0] for b in rest(self._biases)))
        if not self.block.has_momentum:
            return Networks(weights, biases, (), ())
        first, first_bias = self._first.velocities()
        bias_velocities = (b[:, 0] for b in rest(self._bias_velocities))
        return Networks(
            weights,
            biases,
            (first, *rest(self._weight_velocities)),
            (first_bias, *bias_velocities),
        )

    def keep(self, keep: NDArray[np.bool_]) -> Self:
        networks = self.networks().select(keep)
        return type(self)(self._signature, self.block.select(keep), networks)

    def _pass_of(self, rows: int, groups: int) -> StackedPass:
        key = rows, groups
        if key not in self._passes:
            self._passes[key] = StackedPass(self._signature, self._layout, rows, groups)
        return self._passes[key]

    def train_epoch(self, x: Floats, y: Floats, epoch: int) -> None:
        batch = min(self._signature.batch_size, len(x))
        shown = ShownRows(self._signature, self.block, x, epoch)
        generators: Generators = []
        if self.block.has_dropout:
            generators = make_dropout_generators(self.block.seeds, self._layers[:-1], epoch)
        together = self._first.rows_together(batch)
        for start in range(0, len(x), together):
            places = slice(start, min(start + together, len(x)))
            self._first.begin(shown, places, batch)
            for first in range(start, places.stop, batch):
                part = shown.order[first : min(first + batch, places.stop)]
                made = self._pass_of(len(part), self._layout.groups)
                # mode="clip" lets NumPy write straight into the buffer.
                np.take(y, part, axis=0, out=made.y, mode="clip")
                self._first.weigh(made.joint)
                self._forward(made, generators)
                self._learn(made)
            self._first.finish()
        self._first.end_epoch()

    def _forward(self, made: StackedPass, generators: Generators) -> None:
        """On from the first layer's weighted inputs, in ``made.joint``."""
        hidden, output = self._signature.hidden_activation, self._signature.output_activation
        shown = None
        for layer in self._layers[:-1]:
            a = made.a[layer]
            if shown is not None:
                self._weigh(layer, shown, a, made.groups)
            activate(hidden, a, a, -1)
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

    def _learn(self, made: StackedPass) -> None:
        output, rows = self._signature.output_activation, len(made.y)
        output_error(
            self.block.cost, output, made.a[-1], made.y, made.delta[-1], made.scratch[-1], -1
        )
        if rows not in self._rates:
            self._rates[rows] = self._spread(self.block.learning_rate / rows, 0)
            self._ones[rows] = np.ones((1, rows), self._dtype)
        # Scaled here, the error scales every gradient that follows from it.
        np.multiply(made.delta[-1], self._rates[rows], out=made.delta[-1])
        first = self._first.errors()
        for layer in self._layers[:0:-1]:
            delta = first if layer == 1 else made.delta[layer - 1]
            mask = made.masks[layer - 1] if self.block.has_dropout else None
            self._propagate(layer, made, delta, mask)
            self._step(layer, made.shown[layer - 1], made.delta[layer])
        if len(self._layers) == 1:
            self._layout.by_trial(first)[...] = made.delta[0]
        self._first.step()

    def _propagate(self, layer: int, made: StackedPass, delta: Floats, mask: Floats | None) -> None:
        """The errors of the layer before ``layer``, in ``delta``."""
        before = self._layout.by_trial(delta) if layer == 1 else delta
        weights = self._weights[layer - 1][made.groups]
        np.matmul(made.delta[layer], weights.swapaxes(-1, -2), out=before)
        if mask is not None:
            np.multiply(delta, mask, out=delta)
        activation, scratch = self._signature.hidden_activation, made.scratch[layer - 1]
        derivative = differentiate(activation, made.a[layer - 1], scratch)
        if derivative is not None:
            np.multiply(delta, derivative, out=delta)

    def _step(self, layer: int, shown: Floats, delta: Floats) -> None:
        """One step of a layer from the second on."""
        i = layer - 1
        v = self._weight_velocities[i] if self.block.has_momentum else None
        bias_v = self._bias_velocities[i] if self.block.has_momentum else None
        np.matmul(self._ones[delta.shape[-2]], delta, out=self._bias_steps[i])
        self._stepper.step_biases(self._biases[i], bias_v, self._bias_steps[i])
        np.matmul(shown.swapaxes(-1, -2), delta, out=self._steps[i])
        self._stepper.step_weights(self._weights[i], v, self._steps[i], self._scratch[i])

    def forward(self, x: Floats) -> Iterator[StackedPass]:
        # A group at a time: more rows then fit the caches, and its weights serve more of them.
        made = self._pass_of(len(x), 1)
        for group in range(self._layout.groups):
            made.pass_through(slice(group, group + 1))
            self._first.forward(x, made.joint, made.groups)
            self._forward(made, [])
            yield made

    def backward(self, x: Floats, y: Floats, made: Pass) -> None:
        assert isinstance(made, StackedPass)
        if not self._gradient:
            joint = self._layout.zeros(x.shape[1], self._dtype)
            self._gradient = [joint, *(np.zeros_like(w) for w in self._weights)]
        output, scratch = self._signature.output_activation, made.scratch[-1]
        output_error(self.block.cost, output, made.a[-1], y, made.delta[-1], scratch, -1)
        for layer in self._layers[:0:-1]:
            self._propagate(layer, made, made.delta[layer - 1], None)
            shown = made.by_trial[layer - 1].swapaxes(-1, -2)
            self._gradient[layer][made.groups] += np.matmul(shown, made.delta[layer])
        errors = made.delta[0]
        if len(self._layers) == 1:
            errors = made.joint
            self._layout.by_trial(errors)[...] = made.delta[0]
        # The gradient times -1, which has the same norm.
        subtract(x.T, errors, self._gradient[0][made.groups], self._layout)

    def take_gradient_squares(self) -> list[NDArray[np.float64]]:
        rest = (self._unstack(gradient) for gradient in self._gradient[1:])
        squares = [_square_sums(self._layout.unload(self._gradient[0])), *map(_square_sums, rest)]
        for gradient in self._gradient:
            gradient[...] = 0
        return squares

    def rows_beside(self, rows: Floats) -> Floats:
        return rows

    def weight_squares(self, layer: int) -> NDArray[np.float64]:
        return _square_sums(self._layer_weights(layer))

    def weight_magnitudes(self, layer: int) -> NDArray[np.float64]:
        return _sum_trials(np.abs(self._layer_weights(layer)))

    def _layer_weights(self, layer: int) -> Floats:
        return self._unstack(self._weights[layer - 1]) if layer else self._first.weights()

    def are_finite(self) -> NDArray[np.bool_]:
        finite = self._first.are_finite()
        for array in (*self._weights, *self._biases):
            finite &= np.isfinite(self._unstack(array)).all(axis=(1, 2))
        return finite


def _sum_trials(values: Floats) -> NDArray[np.float64]:
    # Over one contiguous axis, so that the order of the sum doesn't depend on the trials.
    flat = values.reshape(len(values), -1)
    return np.asarray(np.add.reduce(flat, axis=1), np.float64)


def _square_sums(values: Floats) -> NDArray[np.float64]:
    flat = values.reshape(len(values), -1)
    return np.array([np.dot(row, row) for row in flat], dtype=np.float64)
