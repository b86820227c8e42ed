"""What training a pack takes, counted: calls of NumPy, values, operations, passes over weights.

The counts follow from the pack and its rows alone. What each of them takes on a machine is its
:class:`packtrain.training.speed.Speed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from packtrain.training.blocks import Block, sample_blocks
from packtrain.training.choice import block_trials, rows_per_pass, suits_lanes
from packtrain.training.first_layer import window_rows
from packtrain.training.footprint import epoch_operations, measured_rows
from packtrain.training.joint import WIDE
from packtrain.training.lanes import do_lanes_repeat
from packtrain.training.spec import Pack, Rule, Signature

# NumPy's passes over the weights in a step, of a rule without and with momentum; roots and
# divisions count twice. A step of plain SGD is written once, with its product.
_PASSES = {
    Rule.SGD: (1, 3),
    Rule.NESTEROV: (1, 5),
    Rule.ADAGRAD: (9, 9),
    Rule.RMSPROP: (10, 10),
    Rule.ADAM: (12, 12),
    Rule.ADAMW: (12, 12),
    Rule.NADAM: (15, 15),
    Rule.LION: (9, 9),
}
# A generator and a handful of calls, in passes through a layer: for each layer of a trial that is
# initialized, and for each mask of a trial's dropout.
_DRAWING, _MASKING = 2, 1
# What making an input anew takes, in values: noise is drawn, images are interpolated.
_NOISE, _AUGMENTATION = 2, 3
# What is left of a pass of tiny layers where epochs are played from a tape (training/tape.py).
_PLAYED = 0.5
# Blocks that are counted, where a pack has more: a million trials with rows of their own would
# take half a minute.
_SAMPLE = 64
# A figure of an epoch goes to memory that is touched for the first time.
_FIGURE = 1
# Operations of tiny layers' products that take as long as a value.
_LANE_OPERATIONS = 8


class Work(NamedTuple):
    """Counts of what training does, in the order of :class:`packtrain.training.speed.Speed`.

    ``layer_passes``: passes of a block through a layer: forward, backward and the step are one
    each, whatever the number of trials; they stand for NumPy's calls. ``lane_values``: of tiny
    layers, activations of a neuron for a row, and what else takes as long as they. Of layers
    worth a matrix product, ``activations`` are the same, ``operations`` those that BLAS
    multiplies, ``weight_passes`` weights times passes over them. ``drawn``: initial weights and
    biases. What is in float64 counts twice.
    """

    layer_passes: float = 0.0
    lane_values: float = 0.0
    activations: float = 0.0
    operations: float = 0.0
    weight_passes: float = 0.0
    drawn: float = 0.0


def initial_work(pack: Pack) -> Work:
    """What the initial state takes."""
    trials, sizes = len(pack), pack.signature.sizes
    parameters = sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    passes = _DRAWING * trials * (len(sizes) - 1)
    return Work(layer_passes=passes, drawn=float(trials * parameters))


def epoch_work(pack: Pack, rows: int, validation_rows: int) -> Work:
    """What an epoch of ``rows`` takes, with its share of evaluations (``measure_every``)."""
    signature = pack.signature
    epoch = _Epoch.of(signature, rows, validation_rows)
    count = _lane_work if suits_lanes(signature) else _stacked_work
    blocks, share = sample_blocks(pack.trials, block_trials(signature), rows, _SAMPLE)
    if not blocks:
        return Work()
    total = np.sum([count(signature, block, epoch) for block in blocks], axis=0) / share
    total[1:] *= np.dtype(signature.data_type).itemsize / 4
    return Work(*map(float, total))


@dataclass(frozen=True)
class _Epoch:
    """One trial's epoch: rows that are trained, and steps; rows that are measured and passes of
    some of them at a time, which are shares where not each epoch is; operations and figures."""

    rows: int
    steps: int
    measured: float
    passes: float
    operations: float
    figures: float

    @classmethod
    def of(cls, signature: Signature, rows: int, validation_rows: int) -> _Epoch:
        steps, every = -(-rows // signature.batch_size), signature.measure_every
        of_training, of_validation = measured_rows(signature, rows, validation_rows)
        operations = epoch_operations(signature, rows, validation_rows)
        if suits_lanes(signature) and steps == every == 1 and of_training:
            # The pass that measures is the first half of the next step.
            operations -= 2 * sum(_weights(signature)) * rows
            of_training = 0
        at_a_time = rows_per_pass(signature)
        return cls(
            rows=rows,
            steps=steps,
            measured=(of_training + of_validation) / every,
            passes=(-(-of_training // at_a_time) - (-of_validation // at_a_time)) / every,
            operations=operations,
            figures=len(signature.metrics) / every,
        )


def _lane_work(signature: Signature, block: Block, epoch: _Epoch) -> Work:
    trials, neurons = len(block), sum(signature.sizes[1:])
    values = (epoch.rows + epoch.measured) * neurons + _FIGURE * epoch.figures
    values += epoch.steps * (sum(_weights(signature)) + neurons) * _rule_passes(block)
    values += epoch.operations / _LANE_OPERATIONS
    passes = _layer_passes(signature, block, epoch, epoch.passes)
    if do_lanes_repeat(signature, block, epoch.rows):
        passes *= _PLAYED
    return Work(
        layer_passes=passes,
        lane_values=trials * values + _shown_values(signature, block, epoch),
    )


def _stacked_work(signature: Signature, block: Block, epoch: _Epoch) -> Work:
    trials, inputs = len(block), signature.sizes[0]
    first, *rest = _weights(signature)
    layout = WIDE.lay_out(trials, signature.sizes[1])
    batch = min(signature.batch_size, epoch.rows)
    window = min(window_rows(batch), epoch.rows) if block.is_linear else batch
    operations = trials * epoch.operations
    # As many columns as are a multiple of some.
    joint = layout.groups * layout.width / (trials * signature.sizes[1])
    operations *= 1 + (joint - 1) * first / (first + sum(rest))
    if window > batch:
        # The products between the rows of the steps that are put together.
        operations += 2 * window * inputs * epoch.rows
    steps = first * -(-epoch.rows // window) + sum(rest) * epoch.steps
    values = (epoch.rows + epoch.measured) * sum(signature.sizes[1:]) + _FIGURE * epoch.figures
    return Work(
        layer_passes=_layer_passes(signature, block, epoch, layout.groups * epoch.passes),
        activations=trials * values + _shown_values(signature, block, epoch),
        operations=operations,
        weight_passes=trials * steps * _rule_passes(block) + epoch.rows * inputs,
    )


def _layer_passes(signature: Signature, block: Block, epoch: _Epoch, passes: float) -> float:
    layers = len(signature.sizes) - 1
    masks = _MASKING * len(block) * (layers - 1) * epoch.steps if block.has_dropout else 0
    # Forward, backward and the step. What an epoch begins and ends with, and writing a figure
    # down, take about as much as a pass each.
    return 3 * layers * epoch.steps + layers * passes + 1 + epoch.figures + masks


def _shown_values(signature: Signature, block: Block, epoch: _Epoch) -> float:
    noise = _NOISE if block.input_noise > 0 else 0
    changed = noise + (_AUGMENTATION if signature.augmentation is not None else 0)
    return changed * epoch.rows * signature.sizes[0]


def _rule_passes(block: Block) -> int:
    return _PASSES[block.rule][block.has_momentum]


def _weights(signature: Signature) -> list[int]:
    return [inputs * outputs for inputs, outputs in pairwise(signature.sizes)]
