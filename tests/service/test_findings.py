"""What a learning-rate range is compared with: the cost before training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from tests.service.specifications import RATE, choice, search

from packtrain.service.contract.expansion import Expansion
from packtrain.service.findings import measure_initial_cost
from packtrain.training import Pack, SegmentMetrics, Speed
from packtrain.workers import Segment, SegmentResult, StateLostError


class MortalEngine:
    """Loses what it has ``deaths`` times, and then tells a cost of 2."""

    speed = Speed()

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths
        self.asked: list[Segment] = []
        self.dropped: list[str] = []

    async def run_segment(self, segment: Segment) -> SegmentResult:
        self.asked.append(segment)
        if len(self.asked) <= self.deaths:
            raise StateLostError("the engine process is gone")
        none = np.zeros(1, np.int32)
        metrics = SegmentMetrics(1, ("training_cost",), np.full((1, 1, 1), 2.0, "f"), none, none)
        return SegmentResult(metrics, 0.1, "NumPy")

    async def drop_state(self, pack_key: str) -> None:
        self.dropped.append(pack_key)


async def test_the_cost_before_training_outlives_an_engine(
    expanded: Callable[[Any], Expansion],
) -> None:
    (group,) = expanded(search(choice(RATE, 0.1, 1.0))).groups
    trials = replace(group.pack.trials, max_norm=np.full(len(group.pack), 0.1))
    bounded = replace(group, pack=Pack(group.pack.signature, trials))
    engine: Any = MortalEngine(deaths=2)
    assert await measure_initial_cost(engine, "uid", bounded) == 2.0
    assert len(engine.asked) == 3
    assert engine.dropped == [engine.asked[0].pack_key]
    only = engine.asked[-1].pack.trials
    # A bound of norms would shrink weights at any rate.
    assert (len(only), only.max_norm[0], only.learning_rate[0] < 1e-200) == (1, 0, True)
