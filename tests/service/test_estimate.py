"""How long a job is thought to take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.service.specifications import RATE, choice, read, search

from packtrain.service.contract.expansion import Expansion
from packtrain.service.estimate import estimate_brackets, estimate_packs
from packtrain.service.planner import plan_packs
from packtrain.training import Speed
from packtrain.v1 import job_pb2

Expand = Callable[[dict[str, object]], Expansion]

RATES = choice(RATE, *(0.01 * (i + 1) for i in range(81)))
# A second for each unit of work of one kind, and none for the others.
SLOW = Speed(0, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3)


def halved(epochs: int, **fields: object) -> dict[str, object]:
    found = search(RATES)
    found["search"]["objectives"] = [{"metric": "training_cost"}]  # type: ignore[index]
    found["search"]["successive_halving"] = fields  # type: ignore[index]
    return found | {"epochs": epochs}


def test_workers_share_what_packs_take(expanded: Expand) -> None:
    parts = expanded(search(RATES)).parts
    one, four = (estimate_packs(plan_packs(parts, w, SLOW), w, SLOW) for w in (1, 4))
    assert one.seconds == pytest.approx(one.worker_seconds)
    assert four.worker_seconds == one.worker_seconds
    assert four.seconds == pytest.approx(one.seconds / 4, rel=0.1)


def test_the_longest_pack_is_waited_for(expanded: Expand) -> None:
    parts = expanded(search(choice("epochs", 1, 100))).parts
    packs = plan_packs(parts, 2, SLOW)
    found = estimate_packs(packs, 2, SLOW)
    assert found.seconds == max(part.seconds(SLOW, 1) for part in parts)


def test_halving_saves_what_it_stops(expanded: Expand) -> None:
    def estimate(document: dict[str, object], workers: int) -> Any:
        found = expanded(document)
        assert found.early_stopping is not None
        brackets = found.brackets or ()
        return estimate_brackets(found.early_stopping, brackets, found.groups, workers, SLOW)

    whole = expanded(search(RATES) | {"epochs": 27})
    alone = estimate_packs(plan_packs(whole.parts, 1, SLOW), 1, SLOW)
    found = estimate(halved(27), 1)
    # 81 trials for 1 epoch, 27 for 2, 9 for 6 and 3 for 18, of 81 x 27.
    share = (81 + 27 * 2 + 9 * 6 + 3 * 18) / (81 * 27)
    assert found.worker_seconds == pytest.approx(share * alone.worker_seconds, rel=0.1)
    assert found.seconds == pytest.approx(found.worker_seconds)
    assert estimate(halved(27), 3).seconds == pytest.approx(found.seconds / 3)


def test_a_plan_tells_both(plan: Callable[..., Any]) -> None:
    for document in (search(RATES), halved(9)):
        dataset = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_MOONS"}}}
        made = job_pb2.JobPlan.FromString(plan(read(dataset | document)).plan)
        assert 0 < made.seconds <= made.worker_seconds
