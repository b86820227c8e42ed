"""Trains a pack for some epochs: a pure function of the pack, the data and the state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from packtrain.training.blocks import Block, count_moments, divide_trials
from packtrain.training.checks import check_pack
from packtrain.training.choice import block_trials, make_kernel
from packtrain.training.data import TrainingData
from packtrain.training.epochs import Epochs
from packtrain.training.initializers import initialize_layer, is_drawn
from packtrain.training.kernel import Floats, Kernel, Networks
from packtrain.training.measurement import Meter
from packtrain.training.norms import are_all_finite
from packtrain.training.refusals import require_whole
from packtrain.training.scores import Columns
from packtrain.training.spec import Pack
from packtrain.training.state import Layers, PackState, SegmentMetrics, Watch
from packtrain.training.state_checks import check_state
from packtrain.training.stopping import Stopping
from packtrain.training.targets import SplitRows

Singles = NDArray[np.float32]

# A trial has diverged when one of these, if it is measured, is not finite.
COSTS = ("training_cost", "training_bare_cost", "validation_cost", "validation_bare_cost")


def train(pack: Pack, data: TrainingData) -> tuple[PackState, SegmentMetrics]:
    """The whole run of ``signature.epochs`` epochs: see :func:`train_segment`."""
    check_pack(pack, data)
    return _train(pack, data, None, pack.signature.epochs, 0)


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

    Raises :class:`PackError` where pack and data, or pack and state, don't fit, and where
    ``epochs`` or ``record_after`` is no whole number of 0 or more.
    """
    check_pack(pack, data)
    require_whole("epochs", epochs, at_least=0)
    require_whole("record_after", record_after, at_least=0)
    if state is not None:
        check_state(pack, state)
    return _train(pack, data, state, epochs, record_after)


def _train(
    pack: Pack, data: TrainingData, state: PackState | None, epochs: int, record_after: int
) -> tuple[PackState, SegmentMetrics]:
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
            if not is_drawn(initialization, layer):
                w[rows], b[rows] = initialize_layer(initialization, 0, layer, inputs, outputs)
                continue
            for row in rows:
                seed = int(trials.seeds[row])
                w[row], b[row] = initialize_layer(initialization, seed, layer, inputs, outputs)
        weights.append(w)
        biases.append(b)
    return _with_moments(
        pack,
        PackState(
            epoch=0,
            weights=tuple(weights),
            biases=tuple(biases),
            weight_moments=(),
            bias_moments=(),
            diverged_at=np.zeros(count, np.int32),
            stopped_at=np.zeros(count, np.int32),
            rate_share=np.ones(count),
            plateau=Watch.new(count),
            patience=Watch.new(count),
        ),
    )


def _copy(pack: Pack, state: PackState) -> PackState:
    return _with_moments(pack, state.select(np.arange(len(state))))


def _with_moments(pack: Pack, state: PackState) -> PackState:
    """``state`` with as many moments as the pack's rules keep: those that are missing are 0, and
    so are those that a trial kept under other numbers and keeps no more, whoever it is packed
    with. Writes into the state's moments."""
    counts = count_moments(pack.trials)
    most = int(counts.max(initial=0))

    def fit(kept: tuple[Layers, ...], like: Layers) -> tuple[Layers, ...]:
        missing = range(most - len(kept))
        for i, layers in enumerate(kept[:most]):
            for layer in layers if (counts <= i).any() else ():
                layer[counts <= i] = 0
        return (*kept[:most], *(tuple(map(np.zeros_like, like)) for _ in missing))

    return replace(
        state,
        weight_moments=fit(state.weight_moments, state.weights),
        bias_moments=fit(state.bias_moments, state.biases),
    )


class _Run:
    """A segment under way: writes into ``state``, whose arrays are its own."""

    def __init__(
        self, pack: Pack, data: TrainingData, state: PackState, epochs: int, record_after: int
    ) -> None:
        self._pack, self._data, self._state = pack, data, state
        self._epochs = range(state.epoch + 1, state.epoch + epochs + 1)
        self._first = max(state.epoch, record_after) + 1
        self._rows = SplitRows(data.x, data.y)
        self._meter = Meter(pack.signature, data, self._rows)
        self._stopping = Stopping(pack, state)
        recorded = max(0, self._epochs.stop - self._first)
        # Trials side by side, as a block measures them: written trial by trial, each number of an
        # epoch would go to a page of its own.
        shape = (recorded, len(self._meter.names), len(pack))
        # Each number is written once: filling 100 MB with NaN first takes as long as training.
        self._values = np.empty(shape, np.float32)

    def finish(self) -> tuple[PackState, SegmentMetrics]:
        ended = self._state.ended
        self._values[:, :, ended] = np.nan
        alive = np.flatnonzero(~ended)
        most, rows = block_trials(self._pack.signature), len(self._data.x)
        for block in divide_trials(self._pack.trials, alive, most, rows):
            self._train_block(block)
        end = replace(self._state, epoch=self._epochs.stop - 1)
        metrics = SegmentMetrics(
            self._first,
            self._meter.names,
            self._values.transpose(2, 0, 1),
            end.diverged_at.copy(),
            end.stopped_at.copy(),
        )
        return end, metrics

    def _train_block(self, block: Block) -> None:
        epoch = self._epochs.start
        while epoch < self._epochs.stop and len(block):
            epoch, going = self._train_until_some_end(block, epoch)
            block = block.select(going)

    def _train_until_some_end(self, block: Block, first: int) -> tuple[int, NDArray[np.bool_]]:
        """Train from epoch ``first`` on until trials end, or all epochs are over; returned are the
        epoch that comes next, and who goes on, (B,). The state then has all that was trained."""
        kernel = make_kernel(self._pack.signature, block, self._load(block))
        epochs = Epochs(kernel, self._meter, self._rows.under(block.cost))
        rate_share = self._state.rate_share[block.rows]
        for epoch in range(first, self._epochs.stop):
            measured = self._record(block, epochs.run(epoch, rate_share), epoch)
            going, ending = self._find_going(kernel, measured), None
            if measured and not self._stopping.is_idle:
                ending = self._stopping.judge(block.rows, measured, epoch)
                rate_share = self._state.rate_share[block.rows]
            if going is not None or (ending is not None and ending.any()):
                self._store(kernel)
                return epoch + 1, self._end(block, epoch, going, ending)
        self._store(kernel)
        return self._epochs.stop, np.ones(len(block), np.bool_)

    def _record(self, block: Block, measured: Columns | None, epoch: int) -> dict[str, Singles]:
        """Keep the metrics of the epoch, (B,) each, if there are any; returned is what is kept."""
        columns = {
            name: column.astype(np.float32, copy=False) for name, column in (measured or {}).items()
        }
        if epoch >= self._first:
            kept = self._values[epoch - self._first]
            if measured is None:
                kept[:, block.place] = np.nan
            for place, column in enumerate(columns.values()):
                kept[place, block.place] = column
        return columns

    @staticmethod
    def _find_going(kernel: Kernel, measured: dict[str, Singles]) -> NDArray[np.bool_] | None:
        """Which trials have not diverged, (B,): weights, biases and measured costs are finite.
        None: all."""
        going = kernel.find_finite()
        for name in COSTS:
            if name in measured and not are_all_finite(measured[name]):
                finite = np.isfinite(measured[name])
                going = finite if going is None else going & finite
        return None if going is None or going.all() else going

    def _end(
        self,
        block: Block,
        epoch: int,
        going: NDArray[np.bool_] | None,
        ending: NDArray[np.bool_] | None,
    ) -> NDArray[np.bool_]:
        """End the trials that diverged, and those that a rule ends; returned is who goes on, (B,)."""
        rows = block.rows
        if going is None:
            going = np.ones(len(rows), np.bool_)
        self._state.diverged_at[rows[~going]] = epoch
        self._state.stopped_at[rows[~going]] = 0
        if ending is not None:
            going = going & ~ending
        after = max(0, epoch + 1 - self._first)
        self._values[after:, :, rows[~going]] = np.nan
        return going

    def _load(self, block: Block) -> Networks:
        def layers(arrays: Layers) -> tuple[Floats, ...]:
            return tuple(array[block.rows] for array in arrays)

        state, moments = self._state, block.moments
        return Networks(
            layers(state.weights),
            layers(state.biases),
            tuple(map(layers, state.weight_moments[:moments])),
            tuple(map(layers, state.bias_moments[:moments])),
        )

    def _store(self, kernel: Kernel) -> None:
        networks, state, rows = kernel.networks(), self._state, kernel.block.rows

        def store(wholes: Layers, parts: tuple[Floats, ...]) -> None:
            for whole, part in zip(wholes, parts, strict=True):
                whole[rows] = part

        store(state.weights, networks.weights)
        store(state.biases, networks.biases)
        # A pack may keep more moments than the rule of this block.
        for kept, moments in (
            (state.weight_moments, networks.weight_moments),
            (state.bias_moments, networks.bias_moments),
        ):
            for wholes, parts in zip(kept, moments, strict=False):
                store(wholes, parts)
