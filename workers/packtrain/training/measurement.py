"""Measures the networks of a kernel: sweeps the rows in blocks that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import differentiate, mark_saturated
from packtrain.training.costs import elementwise_cost
from packtrain.training.data import TrainingData
from packtrain.training.kernel import Floats, Kernel, Pass, Rows
from packtrain.training.metrics import metric_names
from packtrain.training.spec import Activation, Signature

Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Rows:
    x: Floats
    y: Floats
    labels: NDArray[np.intp] | None


class Meter:
    """Measures what a signature asks for, on the rows of ``data``."""

    def __init__(self, signature: Signature, data: TrainingData) -> None:
        self.names = metric_names(signature)
        self._signature = signature
        self._wanted = set(signature.metrics)
        self._training = _Rows(data.x, data.y, _labels(data.y, data.classification))
        self._validation: _Rows | None = None
        if data.x_validation is not None and data.y_validation is not None:
            labels = _labels(data.y_validation, data.classification)
            self._validation = _Rows(data.x_validation, data.y_validation, labels)

    def is_due(self, epoch: int) -> bool:
        """Whether ``epoch`` is measured: every so many epochs, and the last."""
        every, last = self._signature.measure_every, self._signature.epochs
        return epoch % every == 0 or epoch == last

    def measure(self, kernel: Kernel) -> Columns:
        """Metric columns, each (B,), by name."""
        layers = range(len(self._signature.sizes) - 1)
        penalty = self._penalty(kernel)
        found = self._sweep(kernel, self._training, "training", penalty)
        if self._validation is not None:
            found |= self._sweep(kernel, self._validation, "validation", penalty)
        if "weight_norm" in self._wanted:
            for layer in layers:
                found[f"weight_norm/{layer + 1}"] = np.sqrt(kernel.weight_squares(layer))
        return found

    def _penalty(self, kernel: Kernel) -> NDArray[np.float64]:
        block, layers = kernel.block, range(len(self._signature.sizes) - 1)
        penalty = np.zeros(len(block))
        if not self._wanted & {"training_cost", "validation_cost"}:
            return penalty
        if block.l2.any():
            squares = sum(kernel.weight_squares(layer) for layer in layers)
            # Where lambda is 0, even infinite weights cost nothing.
            penalty += np.where(block.l2 > 0, block.l2 / 2 * squares, 0.0)
        if block.has_l1:
            penalty += block.l1 * sum(kernel.weight_magnitudes(layer) for layer in layers)
        return penalty / len(self._training.x)

    def _sweep(
        self, kernel: Kernel, rows: _Rows, split: str, penalty: NDArray[np.float64]
    ) -> Columns:
        wanted = {name for name in self._wanted if self._is_from(name, split)}
        if not wanted:
            return {}
        sums: Columns = {}
        count, step = len(rows.x), kernel.rows_per_pass
        for first in range(0, count, step):
            part = slice(first, first + step)
            self._add_rows(kernel, rows, part, wanted, sums)
        found = {key: total / count for key, total in sums.items()}
        named = {
            f"{split}_bare_cost": found.pop("cost", None),
            f"{split}_accuracy": found.pop("right", None),
        }
        if (bare := named[f"{split}_bare_cost"]) is not None:
            named[f"{split}_cost"] = bare + penalty
        found |= {key: column for key, column in named.items() if column is not None}
        if "gradient_norm" in wanted:
            for layer, squares in enumerate(kernel.take_gradient_squares(), start=1):
                found[f"gradient_norm/{layer}"] = np.sqrt(squares) / count
        return found

    @staticmethod
    def _is_from(name: str, split: str) -> bool:
        if name.startswith(("training_", "validation_")):
            return name.startswith(split)
        return split == "training" and name != "weight_norm"

    def _add_rows(
        self, kernel: Kernel, rows: _Rows, part: slice, wanted: set[str], sums: Columns
    ) -> None:
        x, y = rows.x[part], kernel.rows_beside(rows.y[part])
        for made in kernel.forward(x):
            for key, values in self._figures(kernel, rows, part, made, y, wanted):
                sums.setdefault(key, np.zeros(len(kernel.block)))[made.trials] += values
            if "gradient_norm" in wanted:
                kernel.backward(Rows(x, rows.y[part]), made)

    def _figures(
        self,
        kernel: Kernel,
        rows: _Rows,
        part: slice,
        made: Pass,
        y: Floats,
        wanted: set[str],
    ) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """What the rows of a pass add to each figure of its trials."""
        axis, outputs, last = kernel.output_axis, made.a[-1], len(made.a)
        if any(name.endswith("_cost") for name in wanted):
            scratch = made.scratch[-1]
            cost = kernel.block.cost
            elementwise_cost(cost, made.z, outputs, y, None, made.delta[-1], scratch, axis)
            yield "cost", made.total(made.delta[-1], last)
        if any(name.endswith("_accuracy") for name in wanted) and rows.labels is not None:
            labels = kernel.rows_beside(rows.labels[part])
            yield "right", made.count_rows(_classify(outputs, axis) == labels)
        if "output" in wanted:
            yield "output", made.total(outputs, last) / rows.y.shape[1]
        for layer, a in enumerate(made.a, start=1):
            width = self._signature.sizes[layer]
            if "saturated_share" in wanted:
                z = made.z if layer == last else made.weighed[layer - 1]
                mark_saturated(self._activation(layer), z, a, made.scratch[layer - 1])
                total = made.total(made.scratch[layer - 1], layer)
                yield f"saturated_share/{layer}", total / width
            if "sigma_prime" in wanted:
                yield f"sigma_prime/{layer}", self._slopes(layer, made) / width

    def _activation(self, layer: int) -> Activation:
        if layer == len(self._signature.sizes) - 1:
            return self._signature.output_activation
        return self._signature.hidden_activation

    def _slopes(self, layer: int, made: Pass) -> NDArray[np.float64]:
        activation, out = self._activation(layer), made.scratch[layer - 1]
        if activation is Activation.SOFTMAX:
            out[...] = np.nan
            return made.total(out, layer)
        z = made.z if layer == len(made.a) else made.weighed[layer - 1]
        derivative = differentiate(activation, z, made.a[layer - 1], out)
        if derivative is None:
            out[...] = 1
        # Derivatives of all activations here are 0 or more: no absolute value to take.
        return made.total(out, layer)


def _classify(outputs: Floats, axis: int) -> NDArray[np.intp]:
    if outputs.shape[axis] == 1:
        return (outputs >= 0.5).astype(np.intp).squeeze(axis)
    return np.asarray(np.argmax(outputs, axis=axis))


def _labels(y: Floats, classification: bool) -> NDArray[np.intp] | None:
    return _classify(y, 1) if classification else None
