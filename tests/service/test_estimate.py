"""How long a job is thought to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

import pytest
from tests.service.specifications import RATE, choice, read, search

from packtrain.service.contract.expansion import Expansion
from packtrain.service.early_stopping import MedianRule
from packtrain.service.estimate import Estimate, estimate_brackets, find_stages
from packtrain.service.learners import CmaEs, Nsga2, Tpe, proposal_seconds
from packtrain.service.overheads import Overheads, find_slowness
from packtrain.service.pack_run import count_segments
from packtrain.training import Speed
from packtrain.v1 import job_pb2

Expand = Callable[[dict[str, object]], Expansion]

RATES = choice(RATE, *(0.01 * (i + 1) for i in range(81)))
# A second for each unit of work of one kind, and none for the others, nor beside the training.
SLOW = Speed(0, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3)
MOONS = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_MOONS"}}}
UNIFORM = (RATE, {"logUniform": {"low": 0.01, "high": 1}})


def compared(epochs: int, rule: str, **fields: object) -> dict[str, object]:
    found = search(RATES)
    found["search"]["objectives"] = [{"metric": "training_cost"}]  # type: ignore[index]
    found["search"][rule] = fields  # type: ignore[index]
    return found | {"epochs": epochs}


def halved(epochs: int, **fields: object) -> dict[str, object]:
    return compared(epochs, "successive_halving", **fields)


def learned(algorithm: str, trials: int) -> dict[str, object]:
    found = search(UNIFORM, trials=trials)["search"] | {  # type: ignore[operator]
        algorithm: {"trials": trials},
        "objectives": [{"metric": "training_cost"}],
    }
    del found["random"]
    return MOONS | {"search": found, "epochs": 2, "seed": 1}


def estimate(found: Expansion, workers: int, speed: Speed = SLOW) -> Estimate:
    if found.brackets is None:
        return estimate_brackets([[found.parts]], workers, speed)
    rule, groups = found.early_stopping, found.groups
    brackets = [list(find_stages(rule, each, groups)) for each in found.brackets]
    return estimate_brackets(brackets, workers, speed)


def planned(plan: Callable[..., Any], document: dict[str, object]) -> job_pb2.JobPlan:
    return job_pb2.JobPlan.FromString(plan(read(MOONS | document)).plan)


def test_workers_share_what_packs_take(expanded: Expand) -> None:
    found = expanded(search(RATES))
    one, four = (estimate(found, workers) for workers in (1, 4))
    assert one.seconds == pytest.approx(one.worker_seconds)
    assert four.worker_seconds == one.worker_seconds
    assert four.seconds == pytest.approx(one.seconds / 4, rel=0.1)


def test_the_longest_pack_is_waited_for(expanded: Expand) -> None:
    found = expanded(search(choice("epochs", 1, 100)))
    assert estimate(found, 2).seconds == max(part.seconds(SLOW, 1) for part in found.parts)


def test_halving_saves_what_it_stops(expanded: Expand) -> None:
    alone = estimate(expanded(search(RATES) | {"epochs": 27}), 1)
    found = estimate(expanded(halved(27)), 1)
    # 81 trials for 1 epoch, 27 for 2, 9 for 6 and 3 for 18, of 81 x 27.
    share = (81 + 27 * 2 + 9 * 6 + 3 * 18) / (81 * 27)
    assert found.worker_seconds == pytest.approx(share * alone.worker_seconds, rel=0.1)
    assert found.seconds == pytest.approx(found.worker_seconds)
    assert estimate(expanded(halved(27)), 3).seconds == pytest.approx(found.seconds / 3)


def test_a_rung_of_little_work_has_no_use_for_a_second_worker(expanded: Expand) -> None:
    quick = replace(SLOW, lane_value=1e-8)
    found = expanded(halved(27))
    assert estimate(found, 2, quick) == estimate(found, 1, quick)


def test_the_median_rule_is_expected_to_stop_some(expanded: Expand) -> None:
    found = expanded(compared(20, "median", leastEpochs=5, everyEpochs=5))
    (bracket,) = found.brackets or ()
    assert isinstance(found.early_stopping, MedianRule)
    stages = list(find_stages(found.early_stopping, bracket, found.groups))
    counts = [sum(len(part.trials) for part in parts) for parts in stages]
    assert counts[0] == 81
    assert 81 / 2 < counts[1] < 81
    assert counts[1:] == [counts[1]] * 3


def test_whatever_is_handed_out_and_recorded_takes_time(expanded: Expand) -> None:
    idle = Speed(Speed().layer_pass, 0, 0, 0, 0, 0)
    overheads = Overheads.at(idle)

    def seconds(count: int, epochs: int) -> float:
        rates = choice(RATE, *(0.01 * (i + 1) for i in range(count)))
        return estimate(expanded(search(rates) | {"epochs": epochs}), 1, idle).seconds

    least = overheads.stage + overheads.segment
    assert least < seconds(1, 1)
    assert seconds(41, 1) - seconds(1, 1) >= 40 * overheads.trial
    assert seconds(1, 100) - seconds(1, 10) >= 90 * overheads.value


def test_rungs_are_handed_out_and_waited_for(expanded: Expand) -> None:
    speed = Speed(Speed().layer_pass, 0, 0, 0, 0, 0)
    overheads = Overheads.at(speed)
    few, many = (estimate(expanded(halved(27, leastEpochs=n)), 2, speed) for n in (9, 1))
    assert many.seconds - few.seconds >= 2 * (overheads.stage + overheads.segment) * 0.9


def test_segments_are_counted_as_packs_are_handed_out(expanded: Expand) -> None:
    (part,) = expanded(search(RATES) | {"epochs": 1_000}).parts
    later = replace(part, begin=500)
    # 0.05 s and then a second each, of which the last may be half a second longer.
    assert [count_segments(part, 81, seconds) for seconds in (0.01, 0.07, 0.5, 1.5, 2.6)] == [
        1,
        1,
        2,
        2,
        4,
    ]
    assert [count_segments(later, 81, seconds) for seconds in (0.01, 0.5, 1.5, 1.6)] == [1, 1, 1, 2]
    (short,) = expanded(search(RATES) | {"epochs": 2}).parts
    assert count_segments(short, 81, 100.0) == 3  # no segment is less than an epoch


def test_a_slower_machine_is_slower_in_all() -> None:
    usual, slow = Speed(), Speed(*(3 * each for each in astuple(Speed())))
    assert find_slowness(slow) == pytest.approx(3)
    for here, there in zip(astuple(Overheads.at(usual)), astuple(Overheads.at(slow)), strict=True):
        assert there == pytest.approx(3 * here)


@pytest.mark.parametrize("kind", [Tpe, CmaEs, Nsga2])
def test_proposals_take_longer_the_more_is_known(kind: Any) -> None:
    learner = kind(4_096)
    few, many = (proposal_seconds(learner, n, 0, 4, 1) for n in (512, 4_096))
    assert many > 8 * few
    assert proposal_seconds(learner, 512, 2_000, 4, 1) > few
    assert proposal_seconds(learner, 512, 0, 8, 1) > few


def test_what_is_drawn_takes_no_proposals() -> None:
    assert proposal_seconds(Tpe(32), 32, 0, 4, 1) == 0
    assert proposal_seconds(Tpe(32, batch_size=8), 16, 0, 4, 1) == 0
    assert proposal_seconds(Tpe(32), 32, 100, 4, 1) > 0


def test_a_plan_tells_both(plan: Callable[..., Any]) -> None:
    for document in (search(RATES), halved(9)):
        made = planned(plan, document)
        assert Overheads().job < made.seconds <= made.worker_seconds


@pytest.mark.parametrize("algorithm", ["tpe", "cma_es", "nsga2"])
def test_a_second_worker_makes_no_plan_longer(plan: Callable[..., Any], algorithm: str) -> None:
    found = [planned(plan, learned(algorithm, trials)) for trials in (64, 640)]
    for made in found:
        # Proposals are waited for by however many workers.
        assert made.seconds <= made.worker_seconds
    assert found[1].seconds > 5 * found[0].seconds
