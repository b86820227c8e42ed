"""What a pack costs, told before anything is allocated: memory and operations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from packtrain.training.activations import NEEDS_Z
from packtrain.training.augmentation import CHUNK_ARRAYS, CHUNK_BYTES, DRAWN_NUMBERS
from packtrain.training.choice import block_trials, rows_per_pass, suits_lanes
from packtrain.training.first_layer import SLAB_BYTES, window_rows
from packtrain.training.joint import ARRANGEMENTS, Layout
from packtrain.training.lane_arrays import count_lanes
from packtrain.training.metrics import metric_names
from packtrain.training.shown_rows import noise_rows
from packtrain.training.spec import Signature

# A trial's numbers as a block has them, and the coefficients that follow from them: some 50.
COLUMN_BYTES = 400


def epoch_operations(signature: Signature, training_rows: int, validation_rows: int = 0) -> float:
    """Floating-point operations of the matrix products of one trial's epoch: forward, backward,
    and its share of evaluations (``measure_every``)."""
    products = [2.0 * a * b for a, b in zip(signature.sizes, signature.sizes[1:], strict=False)]
    forward, backward = sum(products), sum(products) + sum(products[1:])
    evaluated = forward * sum(measured_rows(signature, training_rows, validation_rows))
    if "gradient_norm" in signature.metrics:
        evaluated += backward * training_rows
    return (forward + backward) * training_rows + evaluated / signature.measure_every


def measured_rows(
    signature: Signature, training_rows: int, validation_rows: int
) -> tuple[int, int]:
    """Of the training and of the validation rows, how many each measurement passes through."""
    splits = {name.split("_", maxsplit=1)[0] for name in signature.metrics} - {"weight"}
    return (
        training_rows if splits - {"validation"} else 0,
        validation_rows if "validation" in splits else 0,
    )


def segment_memory_bytes(
    signature: Signature,
    trials: int,
    training_rows: int,
    validation_rows: int = 0,
    *,
    moments: int = 2,
    epochs: int | None = None,
) -> int:
    """The most bytes that a segment of ``trials`` holds at a time, beside the data.

    That is the state that it is given and the one that it returns, the metrics of ``epochs``
    (None: the whole run), and the buffers of one block, with every option (L1, dropout,
    gradient norms, input noise, label smoothing) in use. ``moments`` is how many arrays of the weights' shape the
    rules keep at most.
    """
    item, parameters = _item_bytes(signature), _parameters(signature)
    copies = 1 + moments
    states = 2 * copies * trials * parameters * item
    epochs = signature.epochs if epochs is None else epochs
    metrics = 4 * trials * epochs * len(metric_names(signature))
    block = min(trials, block_trials(signature))
    # What a block is loaded from and stored to, beside the kernel's own layout of it.
    networks = block * parameters * item * copies
    batch = min(signature.batch_size, training_rows)
    measured = min(rows_per_pass(signature), max(training_rows, validation_rows))
    if suits_lanes(signature):
        values = _lane_values(signature, block, copies, batch, measured)
    else:
        # Which arrangement it will be, the machine that trains decides.
        values = max(
            _stacked_values(signature, layout, copies, batch, measured, training_rows)
            for layout in (a.lay_out(block, signature.sizes[1]) for a in ARRANGEMENTS)
        )
    order = 2 * 8 * training_rows + 8 * validation_rows
    shown = _shown_bytes(signature, training_rows)
    # Smoothed targets and what rows count; which class or labels a row has.
    outputs = signature.sizes[-1]
    targets = (training_rows + validation_rows) * ((outputs + 1) * item + max(outputs, 2))
    held = states + metrics + networks + values * item + order + shown + targets
    return held + block * (COLUMN_BYTES + _figure_bytes(signature, measured))


def _figure_bytes(signature: Signature, measured: int) -> int:
    """Of one trial: what becomes of the rows that are measured on their way to figures. It is
    gone with the epoch, but a tape keeps all of it (training/tape.py)."""
    columns, outputs = len(metric_names(signature)), signature.sizes[-1]
    sums = 3 * 8 * columns
    if any(name.endswith(("_f1", "label_accuracy")) for name in signature.metrics):
        sums += 24 * 8 * outputs  # counted by output, for two splits
    if not suits_lanes(signature):
        return sums
    neurons = sum(signature.sizes[1:])
    return sums + (8 * neurons * measured + 2 * _parameters(signature)) * _item_bytes(signature)


def _shown_bytes(signature: Signature, training_rows: int) -> int:
    """What showing the rows of an epoch takes beside their order."""
    item, inputs = _item_bytes(signature), signature.sizes[0]
    shown = min(noise_rows(inputs), training_rows) * inputs * item
    if suits_lanes(signature):
        # All rows of an epoch, in its order: inputs, targets, weights.
        shown += training_rows * (inputs + signature.sizes[-1] + 1) * item
    if signature.augmentation is not None:
        area = (signature.augmentation.height + 3) * (signature.augmentation.width + 3)
        # Of a large image, places may be in float64.
        shown += CHUNK_ARRAYS * max(CHUNK_BYTES, area * 8)
        shown += 8 * DRAWN_NUMBERS * training_rows
    return shown


def _lane_values(signature: Signature, block: int, copies: int, batch: int, measured: int) -> int:
    lanes = count_lanes(block)
    # Weights and velocities; their step, penalty, running gradient and its square.
    networks = lanes * _parameters(signature) * (copies + 4)
    # Passes of a full and a short mini-batch, and as many rows as are measured at a time.
    rows = 2 * batch + 2 * measured
    return networks + rows * _pass_values(signature, lanes, lanes * signature.sizes[1])


def _stacked_values(
    signature: Signature,
    layout: Layout,
    copies: int,
    batch: int,
    measured: int,
    training_rows: int,
) -> int:
    first = layout.groups * layout.width
    inputs, rest = signature.sizes[0], _parameters(replace(signature, sizes=signature.sizes[1:]))
    # Weights and velocities, the running gradient; for the first layer parts of a gradient, for
    # the others two arrays for it; and a copy of some layer while it is measured.
    networks = first * (inputs + 1) * (copies + 1) + layout.slots * rest * (copies + 3)
    networks += 4 * SLAB_BYTES // _item_bytes(signature) + layout.trials * _parameters(signature)
    # A full and a short window of the first layer.
    window = min(window_rows(batch), training_rows)
    windows = 2 * (window * (inputs + 2 * window) + (1 + window) * first)
    # Passes of full and short mini-batches, and of rows that are measured, some groups at a time;
    # the last may be fewer.
    training = 2 * batch * _pass_values(signature, layout.slots, first)
    together = layout.groups_together * (1 if layout.groups % layout.groups_together == 0 else 2)
    trials = together * layout.each
    values = _pass_values(signature, trials, together * layout.width)
    measuring = 2 * measured * (values + 2 * trials * max(signature.sizes[1:]))
    return networks + windows + training + measuring


def _pass_values(signature: Signature, trials: int, first: int) -> int:
    """Values in the buffers of a pass of one row, ``first`` of them in a first layer."""
    # Activations, errors, scratch; under dropout what it shows and its masks; what an activation
    # needs for itself, and the weighted inputs that some keep; inputs, targets.
    arrays = 7 if signature.hidden_activation in NEEDS_Z else 6
    neurons = arrays * (first + trials * sum(signature.sizes[2:]))
    neurons += 2 * trials * signature.sizes[-1]
    return neurons + 2 * signature.sizes[0] + signature.sizes[-1]


def _parameters(signature: Signature) -> int:
    pairs = zip(signature.sizes, signature.sizes[1:], strict=False)
    return sum((inputs + 1) * outputs for inputs, outputs in pairs)


def _item_bytes(signature: Signature) -> int:
    return np.dtype(signature.data_type).itemsize
