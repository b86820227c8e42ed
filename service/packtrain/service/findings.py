"""What a job as a whole found, told from what its trials recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packtrain.service.learning_rates import CostCourses, RateFinding, find_rates
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
    courses = CostCourses(job.trials)
    sequence = 0
    while events := await store.read_events(job.uid, sequence, _READ_BYTES, metrics_only=True):
        sequence = events[-1].sequence
        for event in events:
            block = event.body
            assert isinstance(block, MetricsRecorded)
            courses.add(block.trials, block.values[:, :, block.names.index(_COST)])
    trials = await store.list_trials(job, 0, job.trials, [TrialState.SUCCEEDED])
    succeeded = np.zeros(job.trials, bool)
    succeeded[[trial.index for trial in trials]] = True
    return find_rates(rates, courses.costs(succeeded))
