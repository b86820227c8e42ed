"""Learning-rate ranges: what costs tell, and jobs that find it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from tests.service.test_server import fields_of, refused

from packtrain.service.learning_rates import CostCourses, RateFinding, find_rates
from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]

NAN, INF = float("nan"), float("inf")
RATES = [0.001, 0.01, 0.1, 1.0, 10.0]
FALLS, FAST, RISES = [1.0, 0.9, 0.8], [1.0, 0.5, 0.1], [1.0, 1.5, 2.0]


@pytest.mark.parametrize(
    ("costs", "threshold", "best", "suggestion"),
    [
        ([FALLS, FALLS, FAST, RISES, RISES], 0.1, 0.1, 0.05),
        # The best lies below half the threshold.
        ([FALLS, FAST, FALLS, FALLS, RISES], 1.0, 0.01, 0.01),
        # The best lies beyond the threshold.
        ([FALLS, FALLS, RISES, FAST, RISES], 0.01, 1.0, 0.005),
        ([FALLS, FALLS, FALLS, FALLS, FAST], 10.0, 10.0, 5.0),
        ([RISES, FALLS, FALLS, FAST, RISES], None, 1.0, None),
        # Neither one that diverged nor one that exceeds its start on the way falls.
        ([FALLS, FALLS, [1.0, NAN, NAN], FAST, FAST], 0.01, 1.0, 0.005),
        ([FALLS, FALLS, [1.0, INF, 0.1], FAST, FAST], 0.01, 1.0, 0.005),
        ([FALLS, FALLS, [1.0, 1.1, 0.1], FALLS, RISES], 0.01, 0.1, 0.005),
        ([[NAN] * 3] * 5, None, None, None),
        # No change that float32 shows: too small a rate, or, after one that fell, too large.
        ([[1.0] * 3, FALLS, FAST, RISES, RISES], 0.1, 0.1, 0.05),
        ([FALLS, FAST, [1.0] * 3, RISES, RISES], 0.01, 0.01, 0.005),
        ([[1.0] * 3] * 5, None, 0.001, None),
    ],
)
def test_what_costs_tell(
    costs: list[list[float]], threshold: float | None, best: float | None, suggestion: float | None
) -> None:
    found = find_rates(np.array(RATES), np.array(costs, np.float32))
    assert found == RateFinding(threshold, best, suggestion)


def test_costs_without_a_row_for_each_rate_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(5, epochs\), got \(4, 3\)"):
        find_rates(np.array(RATES), np.zeros((4, 3), np.float32))


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
    expected = find_rates(rates, costs)
    found = job.learning_rate_finding
    assert (found.threshold, found.best, found.suggestion) == (
        expected.threshold,
        expected.best,
        expected.suggestion,
    )
    assert 1e-2 < found.suggestion <= found.threshold / 2 < 1e3 / 2
    listed = (await api.training.ListJobs(pb.ListJobsRequest())).jobs
    assert listed[0].learning_rate_finding == found
    # Beside another with the same start, trained alone, nothing but the rate tells them apart.
    alone = moons((float(rates[4]),), epochs=3)
    other = by_trial_and_epoch(
        await api.metrics((await api.train(alone)).name, metrics=["training_cost"])
    )
    np.testing.assert_array_equal([other[0, e][0] for e in (1, 2, 3)], costs[4])


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
