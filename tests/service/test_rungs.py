"""Early stopping through a real server: who goes on, what is recorded, and what faults change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.service.specifications import RATE, choice, read, require_refusal
from tests.service.test_jobs import Gate, assert_equal_values, blocks_of, pb, shape_of

from packtrain.v1 import job_pb2, spec_pb2
from packtrain.workers import Segment

EPOCHS = 9
RATES = tuple(0.05 * (i + 1) for i in range(9))
HALVING = {"successive_halving": {"reduction_factor": 3, "least_epochs": 1}}
COST = {"objectives": [{"metric": "validation_cost"}]}


def document(stopping: dict[str, Any], *parameters: tuple[str, dict[str, object]]) -> Any:
    searched = [{"path": p} | d for p, d in (choice(RATE, *RATES), *parameters)]
    return {
        "dataset": {
            "synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 60},
            "validation_share": 0.25,
        },
        "network": {"hidden": [4]},
        "epochs": EPOCHS,
        "seed": 3,
        "search": {"parameters": searched, "grid": {}} | stopping,
    }


def spec(stopping: dict[str, Any], *parameters: tuple[str, dict[str, object]]) -> spec_pb2.JobSpec:
    return read(document(stopping, *parameters))


def epochs_of(values: dict[tuple[int, int], Any]) -> dict[int, int]:
    last: dict[int, int] = {}
    for trial, epoch in values:
        last[trial] = max(last.get(trial, 0), epoch)
    return last


async def test_the_best_third_of_each_rung_goes_on(
    api: Any, by_trial_and_epoch: Callable[..., Any]
) -> None:
    whole = await api.train(spec({}))
    expected = by_trial_and_epoch(await api.metrics(whole.name))
    job = await api.create(spec(HALVING | COST))
    events = await api.watch(job.name)
    values = by_trial_and_epoch(blocks_of(events))
    ended = await api.get(job.name)
    cost = list(ended.metrics).index("validation_cost")

    def best(epoch: int, among: list[int], count: int) -> list[int]:
        return sorted(among, key=lambda t: float(expected[t, epoch][cost]))[:count]

    second = best(1, list(range(9)), 3)
    (winner,) = best(3, second, 1)
    reached = {t: EPOCHS if t == winner else 3 if t in second else 1 for t in range(9)}
    assert epochs_of(values) == reached
    # What was trained is, bit for bit, what the same trials had without any stopping.
    assert_equal_values(values, {k: v for k, v in expected.items() if k in values})
    assert (ended.state, ended.progress.stopped) == (job_pb2.JOB_STATE_SUCCEEDED, 8)
    assert ended.progress.trial_epochs == sum(reached.values())
    for trial in await api.trials(job.name):
        state = job_pb2.TRIAL_STATE_SUCCEEDED if trial.index == winner else 7
        assert (trial.epochs, trial.state) == (reached[trial.index], state)
        last = float(values[trial.index, trial.epochs][cost])
        assert trial.final_metrics["validation_cost"] == pytest.approx(last)
        assert len(trial.arithmetics) == 1
    assert shape_of(events)[-3:] == [
        f"STOPPED {sorted(set(second) - {winner})}",
        f"SUCCEEDED [{winner}]",
        "SUCCEEDED",
    ]
    assert api.engine.held_states == 0


async def test_packs_of_several_shapes_are_compared_and_stacked_by_shape(
    api: Any, by_trial_and_epoch: Callable[..., Any]
) -> None:
    layers = choice("network.hidden", [4], [3, 3])
    whole, halved = (document(stopping, layers) for stopping in ({}, HALVING | COST))
    del whole["network"], halved["network"]
    expected = by_trial_and_epoch(await api.metrics((await api.train(read(whole))).name))
    job = await api.train(read(halved))
    values = by_trial_and_epoch(await api.metrics(job.name))
    assert sorted(epochs_of(values).values()) == [1] * 12 + [3] * 4 + [9] * 2
    assert_equal_values(values, {k: v for k, v in expected.items() if k in values})


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("at_epoch", [1, 2, 3, 7])
async def test_a_lost_engine_changes_nothing(
    start_api: Any, by_trial_and_epoch: Callable[..., Any], at_epoch: int
) -> None:
    async def lose_once(segment: Segment) -> None:
        if armed and segment.start_epoch == at_epoch:
            armed.clear()
            api.engine.lose_state()

    armed: set[str] = set()
    async with start_api(before_segment=lose_once) as api:
        undisturbed = await api.train(spec(HALVING | COST))
        armed.add("lose")
        disturbed = await api.train(spec(HALVING | COST))
        assert not armed
        found, expected = [
            by_trial_and_epoch(await api.metrics(j.name)) for j in (disturbed, undisturbed)
        ]
        assert_equal_values(found, expected)
        assert disturbed.progress == undisturbed.progress
        assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("at_epoch", [0, 1, 2, 3, 5])
async def test_a_new_server_decides_alike(
    start_api: Any, by_trial_and_epoch: Callable[..., Any], at_epoch: int
) -> None:
    gate = Gate(at_epoch)
    async with start_api(before_segment=gate) as api:
        job = await api.create(spec(HALVING | COST))
        await gate.reached.wait()
    async with start_api() as api:
        events = await api.watch(job.name)
        undisturbed = await api.train(spec(HALVING | COST))
        expected = by_trial_and_epoch(await api.metrics(undisturbed.name))
        assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)
        assert (await api.get(job.name)).progress == undisturbed.progress


@pytest.mark.usefixtures("short_segments")
async def test_cancelling_between_rungs_ends_all(start_api: Any) -> None:
    gate = Gate(2)
    async with start_api(before_segment=gate) as api:
        job = await api.create(spec(HALVING | COST))
        await gate.reached.wait()
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        gate.opened.set()
        await api.watch(job.name)
        progress = (await api.get(job.name)).progress
        assert (progress.stopped, progress.cancelled) == (6, 3)
        assert api.engine.held_states == 0


async def test_a_trial_that_diverges_or_ends_by_itself_is_not_compared(
    api: Any, by_trial_and_epoch: Callable[..., Any]
) -> None:
    wild = document(HALVING | COST, choice("cost", {"quadratic": {}}))
    wild["network"]["output_activation"] = "ACTIVATION_IDENTITY"
    wild["search"]["parameters"][0] = {
        "path": RATE,
        "choice": {"values": [1e30, 2e30, 0.1, 0.2, 0.01, 0.02, 0.03, 0.04, 0.05]},
    }
    wild["stopping"] = {"target": {"metric": "training_cost", "value": 0.2}}
    job = await api.train(read(wild))
    by_state: dict[int, int] = {}
    for trial in await api.trials(job.name):
        by_state[trial.state] = by_state.get(trial.state, 0) + 1
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert by_state[job_pb2.TRIAL_STATE_DIVERGED] == 2
    assert sum(by_state.values()) == 9
    # Models of those that ended at their target are there, whatever became of their pack.
    done = [t for t in await api.trials(job.name) if t.state == job_pb2.TRIAL_STATE_SUCCEEDED]
    assert done
    for trial in done:
        request = pb.DownloadModelRequest(name=trial.name)
        assert [r async for r in api.training.DownloadModel(request)]


async def test_hyperband_and_the_median_rule_train(api: Any) -> None:
    for rule in ({"hyperband": {}}, {"median": {"least_epochs": 2, "every_epochs": 2}}):
        job = await api.train(spec(rule | COST))
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        assert 0 < job.progress.stopped < 9
        assert job.progress.stopped + job.progress.succeeded == 9


async def test_several_objectives_keep_the_front(
    api: Any, by_trial_and_epoch: Callable[..., Any]
) -> None:
    both = {"objectives": [{"metric": "validation_cost"}, {"metric": "training_cost"}]}
    job = await api.train(spec(HALVING | both))
    values = by_trial_and_epoch(await api.metrics(job.name))
    names = list(job.metrics)
    columns = [names.index("validation_cost"), names.index("training_cost")]
    first = np.array([values[t, 1][columns] for t in range(9)])
    for trial, last in epochs_of(values).items():
        beaten = (first < first[trial]).all(axis=1).sum()
        assert last == 1 or beaten < 3


def test_defaults_are_filled_in(plan: Callable[..., Any]) -> None:
    made = plan(spec({"objectives": [{}], "hyperband": {}}))
    resolved = spec_pb2.JobSpec.FromString(made.spec).search
    assert resolved.objectives[0].metric == "validation_accuracy"
    assert resolved.objectives[0].goal == spec_pb2.GOAL_MAXIMIZE
    assert (resolved.hyperband.reduction_factor, resolved.hyperband.least_epochs) == (3, 1)


@pytest.mark.parametrize(
    ("stopping", "fields"),
    [
        (HALVING, ["search.objectives"]),
        ({"objectives": [{"metric": "wit"}]}, ["search.objectives[0].metric"]),
        (
            {"objectives": [{"metric": "weight_norm"}, {"metric": "validation_mse"}]},
            ["search.objectives[0].metric", "search.objectives[1].metric"],
        ),
        ({"objectives": [{}, {"metric": "validation_accuracy"}]}, ["search.objectives[1].metric"]),
        (
            COST | {"successive_halving": {"reduction_factor": 1, "least_epochs": 0}},
            [
                "search.successive_halving.reduction_factor",
                "search.successive_halving.least_epochs",
            ],
        ),
        (COST | {"median": {"every_epochs": 0}}, ["search.median.every_epochs"]),
    ],
)
def test_what_can_not_be_compared_is_refused(
    plan: Callable[..., Any], stopping: dict[str, Any], fields: list[str]
) -> None:
    require_refusal(plan, document(stopping), fields)


def test_searched_epochs_and_ranges_can_not_be_compared(plan: Callable[..., Any]) -> None:
    epochs = document(HALVING | COST, choice("epochs", 3, 6))
    del epochs["epochs"]
    require_refusal(plan, epochs, ["search.successive_halving"])
    rates = document(HALVING | COST) | {"measurement": {"metrics": ["training_cost"]}}
    rates["search"] = {"learning_rate_range": {}, "objectives": [{"metric": "training_cost"}]}
    rates["search"] |= HALVING
    require_refusal(plan, rates, ["search.successive_halving"])


@pytest.mark.usefixtures("short_segments")
async def test_trials_are_listed_rightly_wherever_they_went_on(start_api: Any) -> None:
    gate = Gate(2)
    async with start_api(before_segment=gate) as api:
        job = await api.create(spec(HALVING | COST))
        await api.trials(job.name)  # known before its trials went on in other packs
        await gate.reached.wait()
        between = {trial.index: trial.state for trial in await api.trials(job.name)}
        assert sorted(between.values()) == [job_pb2.TRIAL_STATE_RUNNING] * 3 + [7] * 6
        gate.opened.set()
        await api.watch(job.name)
        brought_up = await api.trials(job.name)
    async with start_api() as api:
        assert await api.trials(job.name) == brought_up
