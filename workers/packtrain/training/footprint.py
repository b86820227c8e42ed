"""What a pack costs, told before anything is allocated: memory and operations."""

from __future__ import annotations

import numpy as np

from packtrain.training.choice import block_trials, rows_per_pass
from packtrain.training.deferred import deferred_steps
from packtrain.training.metrics import metric_names
from packtrain.training.spec import Signature


def epoch_operations(signature: Signature, training_rows: int, validation_rows: int = 0) -> float:
    """Floating-point operations of the matrix products of one trial's epoch: forward, backward,
    and its share of evaluations (``measure_every``)."""
    products = [2.0 * a * b for a, b in zip(signature.sizes, signature.sizes[1:], strict=False)]
    forward, backward = sum(products), sum(products) + sum(products[1:])
    measured = {name.split("_", maxsplit=1)[0] for name in signature.metrics} - {"weight"}
    evaluated = 0.0
    if measured - {"validation"}:
        evaluated += forward * training_rows
    if "validation" in measured:
        evaluated += forward * validation_rows
    if "gradient" in measured:
        evaluated += backward * training_rows
    return (forward + backward) * training_rows + evaluated / signature.measure_every


def segment_memory_bytes(
    signature: Signature,
    trials: int,
    training_rows: int,
    validation_rows: int = 0,
    *,
    momentum: bool = True,
    epochs: int | None = None,
) -> int:
    """The most bytes that a segment of ``trials`` holds at a time, beside the data.

    That is the state that it is given and the one that it returns, the metrics of ``epochs``
    (None: the whole run), and the buffers of one block, with every option (L1, dropout,
    gradient norms) in use. ``momentum`` counts the velocities.
    """
    item, parameters = _item_bytes(signature), _parameters(signature)
    copies = 2 if momentum else 1
    states = 2 * copies * trials * parameters * item
    epochs = signature.epochs if epochs is None else epochs
    metrics = 4 * trials * epochs * len(metric_names(signature))
    block = min(trials, block_trials(signature))
    # The block's own networks; two scratch arrays, the running gradient and a product.
    networks = block * parameters * item * (copies + 4)
    batch = min(signature.batch_size, training_rows)
    # Passes of a full and a short mini-batch and of a full and a short block of measured rows.
    rows = 2 * batch + 2 * min(rows_per_pass(signature), max(training_rows, validation_rows))
    # Activations, errors, scratch; under dropout what it shows and its masks; the inputs.
    neurons = 5 * sum(signature.sizes[1:]) + 2 * signature.sizes[-1]
    passes = rows * (block * neurons + 2 * signature.sizes[0] + signature.sizes[-1]) * item
    # The deferred first layer: its weighted inputs and errors, the rows and their products.
    together = min(batch * deferred_steps(signature), training_rows)
    deferred = block * 2 * signature.sizes[1] + 2 * signature.sizes[0] + together
    passes += 2 * together * deferred * item
    order = 2 * 8 * training_rows + 8 * validation_rows
    return states + metrics + networks + passes + order


def _parameters(signature: Signature) -> int:
    pairs = zip(signature.sizes, signature.sizes[1:], strict=False)
    return sum((inputs + 1) * outputs for inputs, outputs in pairs)


def _item_bytes(signature: Signature) -> int:
    return np.dtype(signature.data_type).itemsize
