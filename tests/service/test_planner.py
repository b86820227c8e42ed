"""Packs and first segments are cut by the speed of the workers, and results by nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from tests.service.conftest import StartApi, pb
from tests.service.specifications import RATE, choice, search

from packtrain.service.contract.expansion import Expansion
from packtrain.service.pack_run import PackRun
from packtrain.service.planner import TrialGroup, plan_packs
from packtrain.service.records import PackRecord
from packtrain.training import SegmentMetrics, Speed
from packtrain.v1 import spec_pb2
from packtrain.workers import SegmentResult

Expand = Callable[[dict[str, object]], Expansion]

RATES = choice(RATE, *(0.01 * (i + 1) for i in range(64)))


def times(factor: float) -> Speed:
    """So many times as slow as usual."""
    return Speed(*(factor * each for each in astuple(Speed())))


def make_run(group: TrialGroup, speed: Speed) -> PackRun:
    record = PackRecord(
        index=0,
        trials=group.indices,
        metrics=group.metrics,
        epochs=0,
        until=None,
        started=False,
        is_closed=False,
        arithmetics=(),
        generation=0,
    )
    return PackRun("uid", record, group, {}, Path("model"), speed)


def test_a_slower_machine_shares_a_job_among_more_workers(expanded: Expand) -> None:
    parts = expanded(search(RATES)).parts
    seconds = parts[0].seconds(Speed(), 64) - parts[0].seconds(Speed(), 1)
    quick, slow = (plan_packs(parts, 8, times(of / seconds)) for of in (0.1, 10))
    assert (len(quick), len(slow)) == (1, 8)
    assert sorted(np.concatenate([p.trials for p in slow]).tolist()) == list(range(64))
    between = [len(plan_packs(parts, 8, times(of / seconds))) for of in (0.5, 1.0, 2.0)]
    assert sorted(set(between)) == between


def test_overhead_that_every_pack_has_is_not_shared(expanded: Expand) -> None:
    parts = expanded(search(RATES)).parts
    # Whatever the number of trials: a second worker would take as long as the first.
    assert len(plan_packs(parts, 8, Speed(1e-4, 0, 0, 0, 0, 0))) == 1
    assert len(plan_packs(parts, 8, Speed(0, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4))) == 8


def test_the_group_that_takes_longest_gets_the_most_workers(expanded: Expand) -> None:
    parts = expanded(search(choice("network.hidden", [2], [200]), RATES)).parts
    packs = plan_packs(parts, 4, times(1000))
    by_group = [sum(pack.part is part for pack in packs) for part in parts]
    assert sorted(by_group) == [1, 4]


def test_an_epoch_of_a_pack_takes_no_longer_than_others_should_wait(expanded: Expand) -> None:
    parts = expanded(search(RATES, trials=4_000)).parts
    numbers = Speed(0, *[1.0] * 5)
    scale = 7.9 / parts[0].epoch_seconds(numbers, 4_000)
    packs = plan_packs(parts, 1, Speed(0, *[scale] * 5))
    assert len(packs) == 4
    assert sorted(np.concatenate([pack.trials for pack in packs]).tolist()) == list(range(4_000))
    # What takes as long for any number of trials is not done more often.
    assert len(plan_packs(parts, 1, Speed(10, 0, 0, 0, 0, 0))) == 1


def test_the_first_segment_is_short_by_the_speed(expanded: Expand) -> None:
    (group,) = expanded({"epochs": 1_000_000} | search(RATES)).groups
    quick, slow = (make_run(group, times(factor)).next_segment() for factor in (0.01, 0.1))
    assert quick.epochs == pytest.approx(10 * slow.epochs, rel=0.1)
    for segment in (quick, slow):
        assert 0.04 < segment.expected_seconds < 0.06


def test_later_segments_go_by_what_epochs_took_beside_the_beginning(expanded: Expand) -> None:
    (group,) = expanded({"epochs": 1_000_000} | search(RATES)).groups
    drawing = Speed(drawn=1e-2)
    run = make_run(group, drawing)
    first = run.next_segment()
    beginning = first.expected_seconds - first.epochs * group.epoch_seconds(drawing, first.pack)
    assert beginning > 1
    run.advance(first, told(group, first.epochs, beginning * 1.01))
    # The beginning took almost all of it: of the epochs nothing is known yet.
    second = run.next_segment()
    assert second.epochs > 10 * first.epochs
    # Only a first segment has a beginning: a deadline goes by what is to be done.
    assert second.expected_seconds == pytest.approx(
        second.epochs * group.epoch_seconds(drawing, first.pack)
    )
    run.advance(second, told(group, second.epochs, 2.0))
    assert run.next_segment().epochs == pytest.approx(second.epochs / 2, abs=1)


def told(group: TrialGroup, epochs: int, seconds: float) -> SegmentResult:
    trials, none = len(group.indices), np.zeros(len(group.indices), np.int32)
    values = np.zeros((trials, epochs, len(group.metrics)), np.float32)
    return SegmentResult(SegmentMetrics(1, group.metrics, values, none, none), seconds, "NumPy")


async def test_the_server_plans_by_the_speed_that_its_engine_tells(
    start_api: StartApi,
    moons: Callable[..., spec_pb2.JobSpec],
    by_trial_and_epoch: Callable[..., dict[tuple[int, int], np.ndarray]],
) -> None:
    async with start_api() as api:
        jobs, plans = [], []
        for speed in (Speed(), times(1e4)):
            api.engine.speed = speed
            request = pb.CreateJobRequest(spec=moons(), validate_only=True)
            plans.append((await api.training.CreateJob(request)).plan)
            jobs.append(await api.train(moons()))
        assert [plan.packs for plan in plans] == [1, 2]
        assert plans[1].worker_seconds > 10 * plans[0].worker_seconds
        values = [by_trial_and_epoch(await api.metrics(job.name)) for job in jobs]
    assert values[0].keys() == values[1].keys()
    for key, expected in values[0].items():
        np.testing.assert_array_equal(values[1][key], expected)
