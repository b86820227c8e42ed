"""How long a segment may take before its worker is given up."""

from __future__ import annotations

from packtrain.workers.engine import Segment
from packtrain.workers.messages import EngineOptions


def find_deadline(
    options: EngineOptions, segment: Segment, seconds_per_epoch: float | None
) -> float:
    """Seconds. ``seconds_per_epoch`` is what the last epochs took of the packs that the segment
    goes on from; None: unknown, and the planner's guess counts.

    A worker that hangs as a whole is found by its silence (see :mod:`packtrain.workers.liveness`);
    this is for one that answers but does not come to an end, as behind a file system that hangs.
    So it may be generous: a machine on which five others train takes five times as long as it did,
    and a first segment reads its data, and is guessed at by a speed that was measured on an idle
    machine.
    """
    if seconds_per_epoch is None:
        least, expected = options.first_deadline_seconds, segment.expected_seconds
    else:
        least, expected = options.least_deadline_seconds, seconds_per_epoch * segment.epochs
    return max(least, options.deadline_factor * expected)
