"""Measures the networks of a kernel: sweeps the rows in blocks that stay in cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import NEEDS_Z, differentiate, mark_saturated
from packtrain.training.costs import elementwise_cost
from packtrain.training.data import TrainingData
from packtrain.training.kernel import Floats, Kernel, Pass, Rows
from packtrain.training.metrics import metric_names
from packtrain.training.scores import Columns, Scores, Sums
from packtrain.training.spec import Activation, Signature
from packtrain.training.targets import SplitRows


@dataclass(frozen=True, eq=False)
class _Split:
    """Rows that are measured, and what of: ``wanted`` are names without the split's."""

    rows: SplitRows
    wanted: set[str]
    scores: Scores


class Meter:
    """Measures what a signature asks for, on the rows of ``data``; ``training`` are those that
    are trained on."""

    def __init__(self, signature: Signature, data: TrainingData, training: SplitRows) -> None:
        self.names = metric_names(signature)
        self._signature = signature
        self._wanted = set(signature.metrics)
        self._training_rows = len(training)
        self._splits = {"training": self._split("training", data, training, data.y)}
        if data.x_validation is not None and data.y_validation is not None:
            rows = SplitRows(data.x_validation, data.y_validation)
            self._splits["validation"] = self._split("validation", data, rows, data.y_validation)

    def _split(self, name: str, data: TrainingData, rows: SplitRows, y: Floats) -> _Split:
        wanted = {m.removeprefix(f"{name}_") for m in self._wanted if m.startswith(f"{name}_")}
        return _Split(rows, wanted, Scores(y, data.target_kind, wanted))

    def is_due(self, epoch: int) -> bool:
        """Whether ``epoch`` is measured: every so many epochs, and the last."""
        every, last = self._signature.measure_every, self._signature.epochs
        return epoch % every == 0 or epoch == last

    def measure(self, kernel: Kernel) -> Columns:
        """Metric columns, each (B,), by name, in the order of ``names``."""
        found: Columns = {}
        for name, split in self._splits.items():
            instruments = self._wanted & _INSTRUMENTS if name == "training" else set()
            if split.wanted or instruments:
                found |= self._sweep(kernel, name, split, instruments)
        if self._wanted & {"training_cost", "validation_cost"}:
            penalty = self._penalty(kernel)
            for name, split in self._splits.items():
                if "cost" in split.wanted:
                    bare = found[f"{name}_bare_cost"]
                    found[f"{name}_cost"] = bare if penalty is None else bare + penalty
        if "weight_norm" in self._wanted:
            for layer in range(len(self._signature.sizes) - 1):
                found[f"weight_norm/{layer + 1}"] = np.sqrt(kernel.weight_squares(layer))
        return {name: found[name] for name in self.names}

    def _penalty(self, kernel: Kernel) -> NDArray[np.float64] | None:
        block, layers = kernel.block, range(len(self._signature.sizes) - 1)
        if not (block.has_l2 or block.has_l1):
            return None
        terms: list[NDArray[np.float64]] = []
        if block.has_l2:
            squares = sum(kernel.weight_squares(layer) for layer in layers)
            # Where lambda is 0, even infinite weights cost nothing.
            terms.append(np.where(block.l2 > 0, block.l2 / 2 * squares, 0.0))
        if block.has_l1:
            terms.append(block.l1 * sum(kernel.weight_magnitudes(layer) for layer in layers))
        return sum(terms[1:], terms[0]) / self._training_rows

    def _sweep(self, kernel: Kernel, name: str, split: _Split, instruments: set[str]) -> Columns:
        rows = split.rows.under(kernel.block.cost)
        sums: Columns = {}
        count, step = len(rows), kernel.rows_per_pass
        is_all = count <= step
        for first in range(0, count, step):
            places = slice(first, first + step)
            part = rows.part(places)
            for made in kernel.forward(part.x):
                self._add(sums, kernel, made, split.scores.add(kernel, made, places), is_all)
                if split.wanted & {"cost", "bare_cost"}:
                    self._add(sums, kernel, made, _cost(kernel, made, part), is_all)
                self._add(sums, kernel, made, self._instruments(made, instruments), is_all)
                if "gradient_norm" in instruments:
                    kernel.backward(part, made)
        scores = split.scores.finish(sums)
        found = {f"{name}_{score}": column for score, column in scores.items()}
        found |= {key: _share(sums[key], count) for key in sums if key.split("/")[0] in instruments}
        if "summed_cost" in sums:
            found[f"{name}_bare_cost"] = _share(sums["summed_cost"], count)
        if "gradient_norm" in instruments:
            for layer, squares in enumerate(kernel.take_gradient_squares(), start=1):
                found[f"gradient_norm/{layer}"] = np.sqrt(squares) / count
        return found

    @staticmethod
    def _add(sums: Columns, kernel: Kernel, made: Pass, figures: Sums, is_all: bool) -> None:
        for key, values in figures:
            if is_all and len(values) == len(kernel.block):
                sums[key] = values  # nothing to add it to
                continue
            shape = (len(kernel.block), *values.shape[1:])
            sums.setdefault(key, np.zeros(shape))[made.trials] += values

    def _instruments(self, made: Pass, wanted: set[str]) -> Sums:
        """What the rows of a pass add to the figures of each layer."""
        if "output" in wanted:
            yield "output", _share(made.total(made.a[-1], len(made.a)), self._signature.sizes[-1])
        if not wanted & _OF_LAYERS:
            return
        for layer, a in enumerate(made.a, start=1):
            width, activation = self._signature.sizes[layer], self._activation(layer)
            z = made.z if layer == len(made.a) else made.weighed[layer - 1]
            if "saturated_share" in wanted:
                mark_saturated(activation, z, a, made.scratch[layer - 1])
                total = made.total(made.scratch[layer - 1], layer)
                yield f"saturated_share/{layer}", _share(total, width)
            if "sigma_prime" in wanted:
                slopes = _slopes(activation, z, a, made.scratch[layer - 1])
                yield f"sigma_prime/{layer}", _share(made.total(slopes, layer), width)

    def _activation(self, layer: int) -> Activation:
        if layer == len(self._signature.sizes) - 1:
            return self._signature.output_activation
        return self._signature.hidden_activation


# What is measured of the layers while the training rows pass.
_OF_LAYERS = {"saturated_share", "sigma_prime"}
_INSTRUMENTS = {"output", "gradient_norm", *_OF_LAYERS}


def _share(total: NDArray[Any], count: int) -> NDArray[Any]:
    return total if count == 1 else total / count


def _cost(kernel: Kernel, made: Pass, rows: Rows) -> Sums:
    delta, scratch, axis = made.delta[-1], made.scratch[-1], kernel.output_axis
    y = kernel.rows_beside(rows.y)
    weights = None if rows.weights is None else kernel.rows_beside(rows.weights)
    elementwise_cost(kernel.block.cost, made.z, made.a[-1], y, weights, delta, scratch, axis)
    yield "summed_cost", made.total(delta, len(made.a))


def _slopes(activation: Activation, z: Floats | None, a: Floats, out: Floats) -> Floats:
    """abs f'(z), in ``out``."""
    if activation is Activation.SOFTMAX:
        out[...] = np.nan
    elif differentiate(activation, z, a, out) is None:
        out[...] = 1
    elif activation in NEEDS_Z:
        # The others nowhere fall.
        np.abs(out, out=out)
    return out
