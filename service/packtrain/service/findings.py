"""What a job as a whole found, told from what its trials recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packtrain.service.learning_rates import RateFinding, find_rates, measured_costs
from packtrain.service.records import JobRecord, MetricsRecorded
from packtrain.service.states import TrialState
from packtrain.service.store import Store

_READ_BYTES = 8 << 20
_COST = "training_cost"


async def find_learning_rates(
    store: Store, job: JobRecord, rates: NDArray[np.float64]
) -> RateFinding:
    """What the trials of a learning-rate range found, all of which have ended; ``rates``
    (trials,) are theirs."""
    values = np.full((job.trials, 0), np.nan, np.float32)
    sequence = 0
    while events := await store.read_events(job.uid, sequence, _READ_BYTES, metrics_only=True):
        sequence = events[-1].sequence
        for event in events:
            assert isinstance(event.body, MetricsRecorded)
            values = _put(values, event.body)
    trials = await store.list_trials(job, 0, job.trials, [TrialState.SUCCEEDED])
    succeeded = np.zeros(job.trials, bool)
    succeeded[[trial.index for trial in trials]] = True
    return find_rates(rates, measured_costs(values, succeeded))


def _put(values: NDArray[np.float32], block: MetricsRecorded) -> NDArray[np.float32]:
    costs = block.values[:, :, block.names.index(_COST)]
    first = block.first_epoch - 1
    missing = max(0, first + costs.shape[1] - values.shape[1])
    values = np.pad(values, ((0, 0), (0, missing)), constant_values=np.nan)
    values[block.trials, first : first + costs.shape[1]] = costs
    return values
