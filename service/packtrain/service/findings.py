"""What a job as a whole found, told from what its trials recorded."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray

from packtrain.service.learning_rates import CostCourses, RateFinding, find_rates
from packtrain.service.planner import TrialGroup
from packtrain.service.records import JobRecord, MetricsRecorded
from packtrain.service.states import TrialState
from packtrain.service.store import Store
from packtrain.training import Pack, SegmentMetrics
from packtrain.workers import Engine, Segment, SegmentFailedError, StateLostError

_READ_BYTES = 8 << 20
_COST = "training_cost"
# Above 0, as a rate must be; a step of it is 0 in float32, and far below rounding in float64.
_NO_RATE = 1e-300

log = structlog.get_logger()


async def find_learning_rates(
    store: Store, job: JobRecord, rates: NDArray[np.float64], initial_cost: float | None
) -> RateFinding:
    """What the trials of a learning-rate range found, all of which have ended; ``rates``
    (trials,) are theirs, and ``initial_cost`` that of :func:`measure_initial_cost`."""
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
    return find_rates(rates, courses.costs(succeeded), initial_cost)


async def measure_initial_cost(engine: Engine, uid: str, group: TrialGroup) -> float | None:
    """The training cost before training of a range's trials, which begin alike; None where it
    is not finite or can't be measured."""
    pack = _unmoved(group.pack)
    segment = Segment(
        pack_key=f"{uid}/initial",
        pack=pack,
        data=group.data,
        start_epoch=0,
        epochs=1,
        expected_seconds=group.seconds(engine.speed, pack),
    )
    try:
        metrics = await _run(engine, segment)
    except SegmentFailedError as error:
        log.warning("initial_cost_unknown", job=uid, why=str(error))
        return None
    finally:
        await engine.drop_state(segment.pack_key)
    cost = float(metrics.values[0, 0, metrics.names.index(_COST)])
    return cost if math.isfinite(cost) else None


async def _run(engine: Engine, segment: Segment) -> SegmentMetrics:
    while True:
        try:
            return (await engine.run_segment(segment)).metrics
        except StateLostError as error:
            # The engine died and is started anew; the segment needs no state.
            log.warning("state_lost", pack=segment.pack_key, why=str(error))


def _unmoved(pack: Pack) -> Pack:
    """One trial of the pack that trains an epoch at a rate that moves no weight."""
    one = pack.trials.select(np.zeros(1, np.intp))
    return Pack(
        replace(pack.signature, epochs=1, measure_every=1),
        # A bound of norms would shrink weights at any rate.
        replace(one, learning_rate=np.array([_NO_RATE]), max_norm=np.zeros(1)),
    )
