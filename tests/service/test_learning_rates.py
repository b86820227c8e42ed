"""Learning-rate ranges: what costs tell, and jobs that find it out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service.test_server import fields_of, refused

from packtrain.service.contract.messages import to_finding
from packtrain.service.learning_rates import CostCourses, RateFinding, find_rates
from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2
from packtrain.workers import LocalEngine, Segment, SegmentFailedError

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]

NAN, INF = float("nan"), float("inf")
RATES = [0.001, 0.01, 0.1, 1.0, 10.0]
FALLS, FAST, RISES = [1.0, 0.9, 0.8], [1.0, 0.5, 0.1], [1.0, 1.5, 2.0]


STILL, HARDLY = [1.0] * 3, [0.9999, 0.9995, 0.999]


@pytest.mark.parametrize(
    ("costs", "threshold", "best", "suggestion", "outcome"),
    [
        ([FALLS, FALLS, FAST, RISES, RISES], 0.1, 0.1, 0.05, "found"),
        # The best lies below half the threshold.
        ([FALLS, FAST, FALLS, FALLS, RISES], 1.0, 0.01, 0.01, "found"),
        # The best lies beyond the threshold.
        ([FALLS, FALLS, RISES, FAST, RISES], 0.01, 1.0, 0.005, "found"),
        ([FALLS, FALLS, FALLS, FALLS, FAST], 10.0, 10.0, 5.0, "all_lowered"),
        ([RISES, FALLS, FALLS, FAST, RISES], None, 1.0, None, "unclear"),
        # Neither one that diverged nor one that exceeds its start on the way falls.
        ([FALLS, FALLS, [1.0, NAN, NAN], FAST, FAST], 0.01, 1.0, 0.005, "found"),
        ([FALLS, FALLS, [1.0, INF, 0.1], FAST, FAST], 0.01, 1.0, 0.005, "found"),
        ([FALLS, FALLS, [1.0, 1.1, 0.1], FALLS, RISES], 0.01, 0.1, 0.005, "found"),
        ([[NAN] * 3] * 5, None, None, None, "too_high"),
        ([RISES] * 5, None, None, None, "too_high"),
        # It fell from its first measured epoch on, but not below the cost before training.
        ([[50.0, 40.0, 30.0], [60.0, 50.0, 5.0], RISES, RISES, RISES], *[None] * 3, "too_high"),
        # No change that float32 shows: too small a rate, or, after one that fell, too large.
        ([STILL, FALLS, FAST, RISES, RISES], 0.1, 0.1, 0.05, "found"),
        ([FALLS, FAST, STILL, RISES, RISES], 0.01, 0.01, 0.005, "found"),
        ([STILL] * 5, None, None, None, "too_low"),
        ([STILL, STILL, RISES, RISES, [NAN] * 3], None, None, None, "unclear"),
        # A fall of less than a hundredth is none to go by, if no rate does more.
        ([STILL, HARDLY, HARDLY, HARDLY, HARDLY], None, 0.01, None, "too_low"),
        ([STILL, HARDLY, HARDLY, FAST, RISES], 1.0, 1.0, 0.5, "found"),
    ],
)
def test_what_costs_tell(
    costs: list[list[float]],
    threshold: float | None,
    best: float | None,
    suggestion: float | None,
    outcome: str,
) -> None:
    found = find_rates(np.array(RATES), np.array(costs, np.float32), 1.0)
    assert (found.threshold, found.best, found.suggestion) == (threshold, best, suggestion)
    assert (found.initial_cost, found.outcome) == (1.0, outcome)
    assert found.explanation.startswith("No advice: " if suggestion is None else "Start from ")
    assert found.explanation.endswith(".")


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        (
            [FALLS, FALLS, FAST, RISES, RISES],
            "Start from 0.05: the training cost fell at every rate up to 0.1, and ended least at "
            "0.1.",
        ),
        (
            [STILL] + [FALLS] * 3 + [FAST],
            "Start from 5, or try rates above 10: the training cost fell at every rate from 0.01 up "
            "to 10, and ended least at 10.",
        ),
        (
            [RISES] * 5,
            "No advice: at no rate from 0.001 to 10 did the training cost end below the initial one "
            "of 1: try lower rates.",
        ),
        (
            [STILL] * 5,
            "No advice: at no rate from 0.001 to 10 did the training cost move by more than 1% from "
            "the initial one of 1: try higher rates.",
        ),
        (
            [[1.5, 2.0, 0.9]] + [RISES] * 4,
            "No advice: at the smallest rate, 0.001, the training cost ended below the initial one "
            "of 1, but rose or stood still on its way: try lower rates, or more epochs.",
        ),
        (
            [RISES] + [FALLS] * 4,
            "No advice: at the smallest rate, 0.001, the training cost did not end below the initial "
            "one of 1, although it did at 0.01: try lower rates, or more epochs.",
        ),
        (
            [STILL] + [RISES] * 3 + [FALLS],
            "No advice: at the smallest rate, 0.001, the training cost did not end below the initial "
            "one of 1, although it did at 10: try more points, or more epochs.",
        ),
        (
            [STILL] * 2 + [RISES] * 3,
            "No advice: at no rate from 0.001 to 10 did the training cost end below the initial one "
            "of 1, and up to 0.01 it did not move: try rates between that and 0.1.",
        ),
    ],
)
def test_the_advice_is_a_sentence(costs: list[list[float]], said: str) -> None:
    assert find_rates(np.array(RATES), np.array(costs, np.float32), 1.0).explanation == said


def test_without_an_initial_cost_each_trial_is_held_to_its_first() -> None:
    costs = np.array([[2.0, 1.9, 1.8], [2.0, 1.0, 0.1], [9.0, 5.0, 4.0], RISES, RISES], np.float32)
    found = find_rates(np.array(RATES), costs, None)
    assert (found.threshold, found.initial_cost) == (0.1, None)
    none = find_rates(np.array(RATES), np.array([RISES] * 5, np.float32), None)
    assert "end below the first that was measured: try lower rates." in none.explanation


# Some of each kind, so that all outcomes come up.
_COST = st.sampled_from([0.2, 0.5, 0.992, 0.9999999, 1.0, 1.0000001, 1.008, 1.5, 40.0, INF, NAN])


@settings(max_examples=1000, deadline=None)
@given(
    costs=st.lists(st.lists(_COST, min_size=3, max_size=3), min_size=5, max_size=5),
    initial=st.sampled_from([1.0, 0.9999999, 1.008, None]),
)
def test_what_is_said_is_true_of_the_costs_at_the_end(
    costs: list[list[float]], initial: float | None
) -> None:
    array = np.array(costs, np.float32)
    said = find_rates(np.array(RATES), array, initial).explanation
    # As the command's table has them: trials of which a cost is not finite have none.
    ends = np.where(np.isfinite(array).all(axis=1), array[:, -1].astype(float), NAN)
    starts = array[:, 0].astype(float) if initial is None else np.full(5, initial)
    lower = {r for r, end, start in zip(RATES, ends, starts, strict=True) if end < start - 2e-6}
    least = {RATES[i] for i in np.flatnonzero(ends == np.nanmin(ends))} if lower else set()
    claims = {
        r"at every rate up to (\d+(?:\.\d+)?),": lambda to: {r for r in RATES if r <= to} <= lower,
        r"at every rate from (\d+(?:\.\d+)?) up to (\d+(?:\.\d+)?),": lambda begin, to: (
            {r for r in RATES if begin <= r <= to} <= lower
        ),
        r"ended least at (\d+(?:\.\d+)?)": lambda rate: rate in least,
        r"above (\d+(?:\.\d+)?): the": lambda rate: rate == RATES[-1],
        r"at no rate .* cost end below": lambda: not lower,
        r"up to (\d+(?:\.\d+)?) it did not move": lambda to: all(
            abs(end - start) < 2e-6
            for r, end, start in zip(RATES, ends, starts, strict=True)
            if r <= to
        ),
        r"between that and (\d+(?:\.\d+)?)": lambda rate: rate not in lower,
        r"at no rate .* cost move": lambda: bool((np.abs(ends - starts) <= 0.0101 * starts).all()),
        r"smallest rate, 0.001, the training cost ended below": lambda: 0.001 in lower,
        r"smallest rate, 0.001, the training cost did not end": lambda: 0.001 not in lower,
        r"although it did at (\d+(?:\.\d+)?)": lambda rate: rate in lower,
    }
    made = {c: m for c in claims if (m := re.search(c, said))}
    assert made
    for claim, match in made.items():
        assert claims[claim](*map(float, match.groups())), (claim, said, ends)


def test_a_finding_of_an_older_server_is_told_as_it_is() -> None:
    message = to_finding(RateFinding(threshold=1.0, best=0.4, suggestion=0.4))
    assert message is not None
    assert message.outcome == job_pb2.LEARNING_RATE_OUTCOME_UNSPECIFIED
    assert not message.HasField("initial_cost")


def test_costs_without_a_row_for_each_rate_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(5, epochs\), got \(4, 3\)"):
        find_rates(np.array(RATES), np.zeros((4, 3), np.float32), 1.0)


def test_the_course_of_a_cost_is_told_from_blocks() -> None:
    courses = CostCourses(4)
    both = np.array([0, 2], np.int32)
    courses.add(both, np.array([[NAN, 3, NAN], [NAN, 5, NAN]], np.float32))
    courses.add(both, np.array([[7, NAN, 1], [NAN, NAN, NAN]], np.float32))
    courses.add(np.array([0, 1], np.int32), np.array([[NAN, 2], [INF, NAN]], np.float32))
    found = courses.costs(np.array([True, False, True, True]))
    np.testing.assert_array_equal(found, [[3, 7, 1, 2], [NAN] * 4, [5] * 4, [NAN] * 4])


def ranged(moons: MakeSpec, **fields: float) -> spec_pb2.JobSpec:
    spec = moons(())
    spec.ClearField("epochs")
    spec.search.learning_rate_range.SetInParent()
    for name, value in fields.items():
        setattr(spec.search.learning_rate_range, name, value)
    return spec


async def test_a_range_tells_a_rate_to_start_from(
    api: Any, moons: MakeSpec, by_trial_and_epoch: Any
) -> None:
    job = await api.train(ranged(moons, low=1e-3, high=1e3, points=13))
    assert job.spec.epochs == 3
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert not job.spec.optimizer.sgd.HasField("learning_rate")
    trials = await api.trials(job.name)
    path = "optimizer.sgd.learning_rate"
    rates = np.array([trial.parameters[path].number_value for trial in trials])
    np.testing.assert_allclose(rates, np.geomspace(1e-3, 1e3, 13))
    blocks = await api.metrics(job.name, metrics=["training_cost"])
    values = by_trial_and_epoch(blocks)
    costs = np.array([[values[t, e][0] for e in (1, 2, 3)] for t in range(13)])
    found = job.learning_rate_finding
    assert found == to_finding(find_rates(rates, costs, found.initial_cost))
    assert found.outcome == job_pb2.LEARNING_RATE_OUTCOME_FOUND
    # The smallest rate hardly moves the cost from where all begin.
    assert costs[0, 0] < found.initial_cost < costs[0, 0] * 1.01
    assert 1e-2 < found.suggestion <= found.threshold / 2 < 1e3 / 2
    listed = (await api.training.ListJobs(pb.ListJobsRequest())).jobs
    assert listed[0].learning_rate_finding == found
    # Beside another with the same start, trained alone, nothing but the rate tells them apart.
    alone = moons((float(rates[4]),), epochs=3)
    other = by_trial_and_epoch(
        await api.metrics((await api.train(alone)).name, metrics=["training_cost"])
    )
    np.testing.assert_array_equal([other[0, e][0] for e in (1, 2, 3)], costs[4])


@pytest.mark.parametrize(
    ("low", "high", "outcome", "words"),
    [
        (
            1e3,
            1e6,
            job_pb2.LEARNING_RATE_OUTCOME_TOO_HIGH,
            "from 1e+03 to 1e+06 did the training cost end below",
        ),
        (
            1e-12,
            1e-10,
            job_pb2.LEARNING_RATE_OUTCOME_TOO_LOW,
            "from 1e-12 to 1e-10 did the training cost move",
        ),
        (1e-7, 1e-5, job_pb2.LEARNING_RATE_OUTCOME_TOO_LOW, "try higher rates"),
    ],
)
async def test_an_absurd_range_gives_no_advice(
    api: Any, moons: MakeSpec, low: float, high: float, outcome: int, words: str
) -> None:
    job = await api.train(ranged(moons, low=low, high=high, points=9))
    found = job.learning_rate_finding
    assert found.outcome == outcome
    assert not found.HasField("suggestion")
    assert not found.HasField("threshold")
    assert found.explanation.startswith("No advice: ")
    assert words in found.explanation


@pytest.mark.parametrize("kind", ["sgd", "adam", "lion", "adagrad", "nadam"])
@pytest.mark.parametrize("data_type", [spec_pb2.DATA_TYPE_FLOAT32, spec_pb2.DATA_TYPE_FLOAT64])
async def test_the_initial_cost_is_that_before_any_step(
    api: Any, moons: MakeSpec, kind: str, data_type: int, by_trial_and_epoch: Any
) -> None:
    spec = ranged(moons, low=1e-14, high=1e-12, points=3)
    spec.data_type = data_type
    getattr(spec.optimizer, kind).SetInParent()
    spec.regularization.l2 = 0.3
    job = await api.train(spec)
    values = by_trial_and_epoch(await api.metrics(job.name, metrics=["training_cost"]))
    assert job.learning_rate_finding.initial_cost == pytest.approx(values[0, 1][0], rel=1e-6)


async def test_a_range_ends_without_the_initial_cost(start_api: Any, moons: MakeSpec) -> None:
    async def fail(segment: Segment) -> None:
        if segment.pack_key.endswith("/initial"):
            raise SegmentFailedError("TRAINING_ERROR", "the cost can't be had")

    async with start_api(before_segment=fail) as api:
        job = await api.train(ranged(moons, low=1e-3, high=1e3, points=13))
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert not job.learning_rate_finding.HasField("initial_cost")
    assert job.learning_rate_finding.HasField("suggestion")


async def test_a_range_is_cancelled_at_once_while_its_last_step_waits_for_a_worker(
    start_api: Any, moons: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take_all_workers(_: Segment) -> None:
        monkeypatch.setattr(LocalEngine, "workers", 0)

    async with start_api(before_segment=take_all_workers) as api, asyncio.timeout(20):
        job = await api.create(ranged(moons, points=3))
        async for event in api.training.WatchJob(pb.WatchJobRequest(name=job.name)):
            if event.trials.state == job_pb2.TRIAL_STATE_SUCCEEDED:
                break
        await asyncio.sleep(0.1)  # for the last step to wait
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        await api.watch(job.name)
        job = await api.get(job.name)
    assert job.state == job_pb2.JOB_STATE_CANCELLED
    assert job.progress.succeeded == 3
    assert not job.HasField("learning_rate_finding")


async def test_a_range_without_values_takes_its_defaults(api: Any, moons: MakeSpec) -> None:
    request = pb.CreateJobRequest(spec=ranged(moons), validate_only=True)
    preview = (await api.training.CreateJob(request)).job
    found = preview.spec.search.learning_rate_range
    assert (found.low, found.high, found.points) == (1e-5, 100, 50)
    assert preview.progress.trials == 50
    assert "training_cost" in preview.metrics
    # As it was answered, it is the same job.
    again = await api.training.CreateJob(pb.CreateJobRequest(spec=preview.spec, validate_only=True))
    assert again.job.spec == preview.spec


async def test_a_job_that_is_no_range_finds_nothing(api: Any, moons: MakeSpec) -> None:
    assert not (await api.train(moons())).HasField("learning_rate_finding")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s.search.parameters.add(path="batch_size"), "search.parameters"),
        (
            lambda s: s.optimizer.MergeFrom(
                spec_pb2.Optimizer(sgd=spec_pb2.Sgd(learning_rate=0.5))
            ),
            "optimizer.sgd.learning_rate",
        ),
        (lambda s: s.measurement.metrics.append("weight_norm"), "measurement.metrics"),
        (lambda s: setattr(s, "epochs", 1), "epochs"),
        (lambda s: setattr(s.measurement, "every_epochs", 3), "measurement.every_epochs"),
        (
            lambda s: setattr(s.search.learning_rate_range, "low", 0),
            "search.learning_rate_range.low",
        ),
        (
            lambda s: setattr(s.search.learning_rate_range, "high", 1e-6),
            "search.learning_rate_range.high",
        ),
        (
            lambda s: setattr(s.search.learning_rate_range, "points", 2),
            "search.learning_rate_range.points",
        ),
        (
            lambda s: setattr(s.search.learning_rate_range, "points", 10_001),
            "search.learning_rate_range.points",
        ),
    ],
)
async def test_wrong_ranges_are_refused(
    api: Any, moons: MakeSpec, change: Callable[[spec_pb2.JobSpec], None], field: str
) -> None:
    spec = ranged(moons)
    change(spec)
    code, details = await refused(api.training.CreateJob(pb.CreateJobRequest(spec=spec)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert fields_of(details) == [f"spec.{field}"]
