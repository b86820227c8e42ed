"""What a segment of a pack comes to in the store."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from packtrain.service.records import EndedTrials, MetricsRecorded
from packtrain.service.states import TrialState


class Recording:
    """What one segment adds to the store."""

    def __init__(
        self,
        pack_index: int,
        generation: int,
        from_epoch: int,
        to_epoch: int,
        block: MetricsRecorded,
        diverged_at: NDArray[np.int32],
        stopped_at: NDArray[np.int32],
        late: EndedTrials,
        arithmetics: tuple[str, ...],
        *,
        is_last: bool,
    ) -> None:
        self.pack_index = pack_index
        self.generation = generation
        self.from_epoch = from_epoch
        self.to_epoch = to_epoch
        self.block = block
        self.arithmetics = arithmetics
        self._diverged_at = diverged_at
        self._stopped_at = stopped_at
        self._late = late
        self._is_last = is_last

    @property
    def trial_epochs(self) -> int:
        """Epochs that it adds, summed over trials."""
        ended_at = np.maximum(self._diverged_at, self._stopped_at)
        reached = np.where(ended_at > 0, ended_at, self.to_epoch)
        return int((reached - self.from_epoch).sum())

    def ended(self) -> Iterator[EndedTrials]:
        """The trials that end with it."""
        if len(self._late.trials):
            yield self._late
        diverged = np.flatnonzero(self._diverged_at)
        if len(diverged):
            yield self._ending(TrialState.DIVERGED, diverged, self._diverged_at[diverged])
        last_epochs = np.where(self._stopped_at > 0, self._stopped_at, self.to_epoch)
        finished = self._diverged_at == 0
        if not self._is_last:
            finished &= self._stopped_at > 0
        rows = np.flatnonzero(finished)
        if len(rows):
            yield self._ending(TrialState.SUCCEEDED, rows, last_epochs[rows].astype(np.int32))

    def _ending(
        self, state: TrialState, rows: NDArray[np.intp], epochs: NDArray[np.int32]
    ) -> EndedTrials:
        final = self.block.values[rows, epochs - self.block.first_epoch]
        return EndedTrials(state, self.block.trials[rows], epochs, final)
