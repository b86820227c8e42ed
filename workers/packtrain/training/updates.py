"""The step of stacked networks: w <- (1 - eta lambda / n) w - eta / m sum dC_x/dw, in one product
where a layer is large (Nielsen, chapter 3; momentum as there: v <- mu v - eta grad, w <- w + v).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas

from packtrain.training.blocks import Block
from packtrain.training.kernel import Floats, Networks
from packtrain.training.spec import Signature

# From so many weights on, a gemm call per trial that writes the layer once beats three stacked
# passes over it: measured at 300 (even) and 2,500 (a third faster) on an EPYC 7003.
FUSED_WEIGHTS = 1024


class StackedPass:
    """Buffers for a pass of ``rows`` rows. Contiguous for any number of trials, because NumPy's
    loops may round differently where an array is strided."""

    def __init__(self, signature: Signature, trials: int, rows: int) -> None:
        dtype = np.dtype(signature.data_type)

        def layers() -> tuple[Floats, ...]:
            return tuple(np.empty((trials, rows, n), dtype) for n in signature.sizes[1:])

        self.x = np.empty((rows, signature.sizes[0]), dtype)
        # The same rows as BLAS multiplies them fastest in the update: a quarter less time.
        self.x_columns = np.empty_like(self.x, order="F")
        self.y = np.empty((rows, signature.sizes[-1]), dtype)
        self.a = layers()
        self.z = np.empty_like(self.a[-1])
        self.delta = layers()
        self.scratch = layers()
        # What a layer hands on: its activations, or what dropout left of them.
        self.shown: list[Floats] = list(self.a[:-1])
        self.masks: list[Floats] = []
        # Transposed views are what BLAS, which counts columns first, takes without a copy.
        self.delta_columns = [[d.T for d in delta] for delta in self.delta]
        self.shown_columns = [[a.T for a in shown] for shown in self.shown]

    def make_masks(self) -> None:
        self.shown = [np.empty_like(a) for a in self.a[:-1]]
        self.shown_columns = [[a.T for a in shown] for shown in self.shown]
        self.masks = [np.empty_like(a) for a in self.a[:-1]]


class WeightUpdate:
    """Applies the step to the networks of a block, in place.

    The errors in a pass come scaled by eta / m.
    """

    def __init__(
        self, signature: Signature, block: Block, networks: Networks, training_rows: int
    ) -> None:
        dtype = np.dtype(signature.data_type)
        self._block, self._networks = block, networks
        self.rates = block.learning_rate[:, np.newaxis, np.newaxis]
        decay = block.learning_rate * block.l2 / training_rows
        shrink = block.learning_rate * block.l1 / training_rows

        def column(values: Floats) -> Floats:
            return values.astype(dtype)[:, np.newaxis, np.newaxis]

        self._decay, self.keep, self._shrink = column(decay), column(1 - decay), column(shrink)
        self._momentum = column(block.momentum)
        # Python floats, which BLAS takes fastest; rounded to the data type first.
        self._keep_each = self.keep.ravel().tolist()
        self._momentum_each = self._momentum.ravel().tolist()
        (self._gemm,) = blas.get_blas_funcs(("gemm",), dtype=dtype)
        self._columns = [[w.T for w in weights] for weights in networks.weights]
        self._velocity_columns = [[v.T for v in vs] for vs in networks.weight_velocities]
        self._bias_steps = [np.empty_like(b) for b in networks.biases]
        self._fused = [bool(w[0].size >= FUSED_WEIGHTS) for w in networks.weights]
        self._scratch = [
            np.empty_like(w[:1] if fused else w)
            for w, fused in zip(networks.weights, self._fused, strict=True)
        ]
        self._penalties = [np.empty_like(s) for s in self._scratch]

    def is_fused(self, layer: int) -> bool:
        """Whether the layer's step is one product that writes it once."""
        return self._fused[layer]

    def step_weights(self, layer: int, made: StackedPass) -> None:
        """One step of the layer's weights."""
        if not self._fused[layer]:
            self._step_stacked(layer, made)
        elif self._block.has_momentum:
            self._step_fused_momentum(layer, made)
        else:
            self._step_fused(layer, made)

    def step_biases(self, layer: int, delta: Floats) -> None:
        """One step of the layer's biases, from its errors (B, m, n_out)."""
        biases, step = self._networks.biases[layer], self._bias_steps[layer]
        np.add.reduce(delta, axis=1, out=step)
        if self._block.has_momentum:
            velocity = self._networks.bias_velocities[layer]
            np.multiply(velocity, self._momentum[:, 0], out=velocity)
            np.subtract(velocity, step, out=velocity)
            np.add(biases, velocity, out=biases)
        else:
            np.subtract(biases, step, out=biases)

    def _step_stacked(self, layer: int, made: StackedPass) -> None:
        w, step = self._networks.weights[layer], self._scratch[layer]
        shown = made.shown[layer - 1].transpose(0, 2, 1) if layer else made.x.T
        np.matmul(shown, made.delta[layer], out=step)
        if self._block.has_momentum:
            v = self._networks.weight_velocities[layer]
            np.multiply(v, self._momentum, out=v)
            np.subtract(v, step, out=v)
            self._penalize(w, self._decay, self._shrink, self._penalties[layer], step)
            np.subtract(v, self._penalties[layer], out=v)
            np.add(w, v, out=w)
            return
        if self._block.has_l1:
            np.sign(w, out=self._penalties[layer])
            np.multiply(self._penalties[layer], self._shrink, out=self._penalties[layer])
        np.multiply(w, self.keep, out=w)
        np.subtract(w, step, out=w)
        if self._block.has_l1:
            np.subtract(w, self._penalties[layer], out=w)

    def _penalize(
        self, w: Floats, decay: Floats, shrink: Floats, out: Floats, scratch: Floats
    ) -> None:
        """eta times the gradient of the regularization terms, in ``out``."""
        np.multiply(w, decay, out=out)
        if self._block.has_l1:
            np.sign(w, out=scratch)
            np.multiply(scratch, shrink, out=scratch)
            np.add(out, scratch, out=out)

    def _step_fused(self, layer: int, made: StackedPass) -> None:
        weights, sign = self._networks.weights[layer], self._scratch[layer][0]
        gemm, has_l1 = self._gemm, self._block.has_l1
        x, shown, deltas = made.x_columns, made.shown_columns, made.delta_columns[layer]
        turned = 1 if layer else 0
        for row, columns in enumerate(self._columns[layer]):
            if has_l1:
                np.sign(weights[row], out=sign)
                np.multiply(sign, self._shrink[row], out=sign)
            # Positional: (alpha, a, b, beta, c, trans_a, trans_b, overwrite_c).
            inputs = shown[layer - 1][row] if layer else x
            gemm(-1.0, deltas[row], inputs, self._keep_each[row], columns, 0, turned, 1)
            if has_l1:
                np.subtract(weights[row], sign, out=weights[row])

    def _step_fused_momentum(self, layer: int, made: StackedPass) -> None:
        weights = self._networks.weights[layer]
        velocities = self._networks.weight_velocities[layer]
        penalty, scratch = self._penalties[layer][0], self._scratch[layer][0]
        x, shown, deltas = made.x_columns, made.shown_columns, made.delta_columns[layer]
        turned = 1 if layer else 0
        for row, columns in enumerate(self._velocity_columns[layer]):
            w, v = weights[row], velocities[row]
            inputs = shown[layer - 1][row] if layer else x
            momentum = self._momentum_each[row]
            self._gemm(-1.0, deltas[row], inputs, momentum, columns, 0, turned, 1)
            self._penalize(w, self._decay[row], self._shrink[row], penalty, scratch)
            np.subtract(v, penalty, out=v)
            np.add(w, v, out=w)
