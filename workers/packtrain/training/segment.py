"""Trains a pack for some epochs: a pure function of the pack, the data and the state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packtrain.training.blocks import Block, divide_trials
from packtrain.training.checks import check_pack, check_state
from packtrain.training.choice import block_trials, make_kernel
from packtrain.training.data import TrainingData
from packtrain.training.initializers import initialize_layer
from packtrain.training.kernel import Floats, Kernel, Networks
from packtrain.training.measurement import Meter
from packtrain.training.metrics import metric_names
from packtrain.training.spec import Constant, GivenArrays, Pack
from packtrain.training.state import PackState, SegmentMetrics

# A trial has diverged when one of these, if it is measured, is not finite.
COSTS = ("training_cost", "training_bare_cost", "validation_cost", "validation_bare_cost")


def train(pack: Pack, data: TrainingData) -> tuple[PackState, SegmentMetrics]:
    """The whole run of ``signature.epochs`` epochs: see :func:`train_segment`."""
    return train_segment(pack, data, None, pack.signature.epochs)


def initial_state(pack: Pack, data: TrainingData) -> PackState:
    """The state before the first epoch. Raises :class:`PackError` where pack and data differ."""
    check_pack(pack, data)
    return _initialize(pack)


def train_segment(
    pack: Pack,
    data: TrainingData,
    state: PackState | None,
    epochs: int,
    *,
    record_after: int = 0,
) -> tuple[PackState, SegmentMetrics]:
    """Train ``epochs`` epochs on from ``state`` (None: the initial one), which is not changed.

    The metrics begin after the later of ``state.epoch`` and ``record_after``, and may be empty;
    earlier epochs are measured only to see again which trials diverged in them. A trial's
    numbers, bit for bit, depend neither on its pack nor on where segments begin.

    Raises :class:`PackError` where pack and data, or pack and state, don't fit.
    """
    check_pack(pack, data)
    if state is not None:
        check_state(pack, state)
    # Infinities and NaN are results here: the trial diverged.
    with np.errstate(all="ignore"):
        state = _initialize(pack) if state is None else _copy(pack, state)
        return _Run(pack, data, state, epochs, record_after).finish()


def _initialize(pack: Pack) -> PackState:
    signature, trials, count = pack.signature, pack.trials, len(pack)
    dtype = np.dtype(signature.data_type)
    weights, biases = [], []
    for layer, (inputs, outputs) in enumerate(
        zip(signature.sizes[:-1], signature.sizes[1:], strict=True)
    ):
        w = np.empty((count, inputs, outputs), dtype)
        b = np.empty((count, outputs), dtype)
        for index, initialization in enumerate(trials.initializations):
            rows = np.flatnonzero(trials.initialization == index)
            if isinstance(initialization, Constant | GivenArrays):
                w[rows], b[rows] = initialize_layer(initialization, 0, layer, inputs, outputs)
                continue
            for row in rows:
                seed = int(trials.seeds[row])
                w[row], b[row] = initialize_layer(initialization, seed, layer, inputs, outputs)
        weights.append(w)
        biases.append(b)
    return _with_velocities(
        pack, PackState(0, tuple(weights), tuple(biases), (), (), np.zeros(count, np.int32))
    )


def _copy(pack: Pack, state: PackState) -> PackState:
    copied = PackState(
        state.epoch,
        tuple(w.copy() for w in state.weights),
        tuple(b.copy() for b in state.biases),
        tuple(v.copy() for v in state.weight_velocities),
        tuple(v.copy() for v in state.bias_velocities),
        state.diverged_at.copy(),
    )
    return _with_velocities(pack, copied)


def _with_velocities(pack: Pack, state: PackState) -> PackState:
    """``state`` with velocities if and only if a trial of the pack has momentum."""
    if bool(state.weight_velocities) == bool((pack.trials.momentum > 0).any()):
        return state
    needed = not state.weight_velocities
    return PackState(
        state.epoch,
        state.weights,
        state.biases,
        tuple(np.zeros_like(w) for w in state.weights) if needed else (),
        tuple(np.zeros_like(b) for b in state.biases) if needed else (),
        state.diverged_at,
    )


class _Run:
    """A segment under way: writes into ``state``, whose arrays are its own."""

    def __init__(
        self, pack: Pack, data: TrainingData, state: PackState, epochs: int, record_after: int
    ) -> None:
        self._pack, self._data, self._state = pack, data, state
        self._epochs = range(state.epoch + 1, state.epoch + epochs + 1)
        self._first = max(state.epoch, record_after) + 1
        self._meter = Meter(pack.signature, data)
        recorded = max(0, self._epochs.stop - self._first)
        shape = (len(pack), recorded, len(metric_names(pack.signature)))
        self._values = np.full(shape, np.nan, np.float32)

    def finish(self) -> tuple[PackState, SegmentMetrics]:
        alive = np.flatnonzero(self._state.diverged_at == 0)
        most = block_trials(self._pack.signature)
        for block in divide_trials(self._pack.trials, alive, most, len(self._data.x)):
            self._train_block(block)
        state = self._state
        end = PackState(
            self._epochs.stop - 1,
            state.weights,
            state.biases,
            state.weight_velocities,
            state.bias_velocities,
            state.diverged_at,
        )
        names, diverged_at = self._meter.names, state.diverged_at.copy()
        return end, SegmentMetrics(self._first, names, self._values, diverged_at)

    def _train_block(self, block: Block) -> None:
        kernel = make_kernel(self._pack.signature, block, self._load(block))
        for epoch in self._epochs:
            kernel.train_epoch(self._data.x, self._data.y, epoch)
            finite = kernel.are_finite()
            if self._meter.is_due(epoch):
                finite &= self._record(kernel, epoch)
            if not finite.all():
                self._store(kernel)
                self._state.diverged_at[kernel.block.rows[~finite]] = epoch
                if not finite.any():
                    return
                kernel = kernel.keep(finite)
        self._store(kernel)

    def _record(self, kernel: Kernel, epoch: int) -> NDArray[np.bool_]:
        """Record the metrics of the epoch; whether all measured costs are finite, (B,)."""
        columns = self._meter.measure(kernel)
        values = np.stack([columns[name] for name in self._meter.names], axis=1)
        values = values.astype(np.float32)
        if epoch >= self._first:
            self._values[kernel.block.rows, epoch - self._first] = values
        is_cost = [name in COSTS for name in self._meter.names]
        return np.asarray(np.isfinite(values[:, is_cost]).all(axis=1))

    def _load(self, block: Block) -> Networks:
        def rows(arrays: tuple[Floats, ...]) -> tuple[Floats, ...]:
            return tuple(array[block.rows] for array in arrays)

        state, moving = self._state, block.has_momentum
        return Networks(
            rows(state.weights),
            rows(state.biases),
            rows(state.weight_velocities) if moving else (),
            rows(state.bias_velocities) if moving else (),
        )

    def _store(self, kernel: Kernel) -> None:
        networks, state = kernel.networks(), self._state
        for target, source in (
            (state.weights, networks.weights),
            (state.biases, networks.biases),
            (state.weight_velocities, networks.weight_velocities),
            (state.bias_velocities, networks.bias_velocities),
        ):
            if source:
                for whole, part in zip(target, source, strict=True):
                    whole[kernel.block.rows] = part
