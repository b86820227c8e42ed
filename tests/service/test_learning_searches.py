"""Searches that learn from results, through a real server with an engine in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tests.service.test_jobs import Gate

from packtrain.service.contract import offered
from packtrain.service.objectives import Scores
from packtrain.service.proposals import Proposer
from packtrain.service.samplers import Cube
from packtrain.service.slices import Steps
from packtrain.v1 import job_pb2, server_service_pb2, spec_pb2, training_service_pb2
from packtrain.workers import Segment

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]
RATE, WIDTH = "optimizer.sgd.learning_rate", "network.hidden"
ALGORITHMS: dict[str, dict[str, int]] = {
    "tpe": {"trials": 22, "batch_size": 6, "startup_trials": 5},
    "cma_es": {"trials": 22, "population_size": 6},
    "nsga2": {"trials": 22, "population_size": 6},
    "gaussian_process": {"trials": 9, "batch_size": 3, "startup_trials": 3},
}
BATCHES = {"tpe": 6, "cma_es": 6, "nsga2": 6, "gaussian_process": 3}
OFFERED = [kind for kind in ALGORITHMS if offered(kind)]


@pytest.fixture
def learning(moons: MakeSpec) -> MakeSpec:
    """Makes a specification that searches a rate and a weight decay, and, but for cma_es, a
    width."""

    def make(kind: str = "tpe", **fields: Any) -> spec_pb2.JobSpec:
        spec = moons(rates=(), epochs=3)
        search = spec.search
        rate = search.parameters.add(path=RATE)
        rate.log_uniform.low, rate.log_uniform.high = 0.01, 10
        decay = search.parameters.add(path="regularization.l2")
        decay.uniform.low, decay.uniform.high = 0, 1
        if kind != "cma_es":
            spec.network.ClearField("hidden")
            width = search.parameters.add(path=WIDTH)
            for neurons in (3, 5):
                width.choice.values.add().list_value.values.add(number_value=neurons)
        search.objectives.add(metric="validation_cost")
        if kind == "nsga2":
            search.objectives.add(metric="training_cost")
        algorithm = getattr(search, kind)
        for name, value in (ALGORITHMS[kind] | fields).items():
            setattr(algorithm, name, value)
        return spec

    return make


def parameters_of(trials: list[job_pb2.Trial]) -> list[dict[str, Any]]:
    return [{p: str(v) for p, v in sorted(t.parameters.items())} for t in trials]


async def refused(api: Any, spec: spec_pb2.JobSpec) -> dict[str, list[str]]:
    """What was wrong with each field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.create(spec)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(caught.value)
    found: dict[str, list[str]] = {}
    for detail in status.details:
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            for violation in bad.field_violations:
                found.setdefault(violation.field, []).append(violation.description)
    return found


@pytest.mark.parametrize("kind", OFFERED)
async def test_a_job_trains_batch_after_batch(api: Any, learning: MakeSpec, kind: str) -> None:
    job = await api.create(learning(kind))
    events = await api.watch(job.name)
    ended = await api.get(job.name)
    assert ended.state == job_pb2.JOB_STATE_SUCCEEDED
    count, batch = job.progress.trials, BATCHES[kind]
    assert ended.progress.succeeded == count == ALGORITHMS[kind]["trials"]
    assert ended.progress.trial_epochs == ended.progress.trial_epochs_total == 3 * count
    begun: list[int] = []
    over: set[int] = set()
    for event in events:
        trials = list(event.trials.trials)
        if event.trials.state == job_pb2.TRIAL_STATE_RUNNING:
            begun += trials
            # All batches before have ended.
            assert over >= set(range(min(trials) // batch * batch))
        elif event.trials.state == job_pb2.TRIAL_STATE_SUCCEEDED:
            over |= set(trials)
    assert sorted(begun) == list(range(count))
    trials = await api.trials(job.name)
    assert all(0.01 <= t.parameters[RATE].number_value < 10 for t in trials)
    assert len({str(row) for row in parameters_of(trials)}) > batch


@pytest.mark.parametrize("kind", OFFERED)
async def test_a_server_that_was_killed_within_a_batch_proposes_the_same(
    start_api: Any, learning: MakeSpec, kind: str
) -> None:
    async with start_api() as api:
        whole = await api.train(learning(kind))
        expected = await api.trials(whole.name)
    reached, third = asyncio.Event(), 2 * BATCHES[kind]

    async def wait_in_the_third(_: Segment) -> None:
        if (await api.trials("jobs/cut"))[third].parameters:
            reached.set()
            await asyncio.Event().wait()

    async with start_api(before_segment=wait_in_the_third) as api:
        await api.create(learning(kind), "cut")
        await reached.wait()
    async with start_api() as api:
        await api.watch("jobs/cut")
        found = await api.trials("jobs/cut")
    assert parameters_of(found) == parameters_of(expected)
    assert [dict(t.final_metrics) for t in found] == [dict(t.final_metrics) for t in expected]


async def test_trials_are_queued_until_they_are_proposed_and_end_with_their_job(
    start_api: Any, learning: MakeSpec
) -> None:
    gate = Gate(0)
    async with start_api(before_segment=gate) as api:
        job = await api.create(learning())
        await gate.reached.wait()
        trials = await api.trials(job.name)
        assert [bool(t.parameters) for t in trials] == [True] * 6 + [False] * 16
        assert {t.state for t in trials[6:]} == {job_pb2.TRIAL_STATE_QUEUED}
        request = pb.ListTrialsRequest(
            parent=job.name, states=[job_pb2.TRIAL_STATE_QUEUED], page_size=7
        )
        queued = await api.training.ListTrials(request)
        assert [t.index for t in queued.trials][-1] >= 6
        assert len(queued.trials) == 7
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        gate.opened.set()
        await api.watch(job.name)
        ended = await api.get(job.name)
        assert ended.state == job_pb2.JOB_STATE_CANCELLED
        progress = ended.progress
        assert progress.cancelled + progress.succeeded + progress.diverged == 22
        last = (await api.trials(job.name))[-1]
        assert last.state == job_pb2.TRIAL_STATE_CANCELLED
        assert not last.final_metrics
        await api.training.DeleteJob(pb.DeleteJobRequest(name=job.name))


async def test_repeats_are_told_by_their_mean_and_what_diverged_as_the_worst(
    api: Any, learning: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Scores] = []
    learn = Proposer.learn

    def spy(proposer: Proposer, first: int, points: Cube, scores: Scores) -> Steps[None]:
        told.append(scores)
        return learn(proposer, first, points, scores)

    monkeypatch.setattr(Proposer, "learn", spy)
    spec = learning(trials=8, batch_size=4, startup_trials=4)
    spec.search.repeats = 3
    spec.search.parameters[0].log_uniform.high = 1e6
    job = await api.train(spec)
    assert job.progress.succeeded + job.progress.diverged == 24
    assert job.progress.diverged > 0
    trials = await api.trials(job.name)
    rows = parameters_of(trials)
    assert all(rows[k] == rows[k - k % 3] for k in range(24))
    worth = [
        -t.final_metrics["validation_cost"] if t.state == job_pb2.TRIAL_STATE_SUCCEEDED else -np.inf
        for t in trials
    ]
    expected = np.reshape(worth, (2, 4, 3)).mean(axis=2, keepdims=True)
    np.testing.assert_allclose(told, expected)


async def test_trials_of_a_batch_are_stopped_beside_each_other(
    api: Any, learning: MakeSpec
) -> None:
    spec = learning(trials=18, batch_size=9)
    spec.epochs = 9
    spec.search.successive_halving.SetInParent()
    job = await api.create(spec)
    await api.watch(job.name)
    epochs = [t.epochs for t in await api.trials(job.name)]
    for batch in (epochs[:9], epochs[9:]):
        assert sorted(batch) == [1] * 6 + [3] * 2 + [9]


async def test_what_is_wrong_in_one_trial_alone_fails_alone(
    start_api: Any, learning: MakeSpec
) -> None:
    spec = learning(trials=40, batch_size=4, startup_trials=16)
    spec.search.ClearField("parameters")
    spec.network.hidden.append(3)
    # Some of what it draws is no rate; none of the first batch is, or the job would be refused.
    rate = spec.search.parameters.add(path=RATE)
    rate.normal.mean, rate.normal.standard_deviation = 0.1, 0.08
    spec.seed = 5
    async with start_api() as api:
        job = await api.train(spec)
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        trials = await api.trials(job.name)
        wrong = [t for t in trials if t.state == job_pb2.TRIAL_STATE_FAILED]
        assert 0 < len(wrong) == job.progress.failed
        assert job.progress.succeeded + job.progress.diverged == 40 - len(wrong)
        for trial in wrong:
            assert trial.parameters[RATE].number_value <= 0
            assert "learning_rate" in trial.failure.message


class TestContinuing:
    async def test_the_first_batch_learns_from_the_earlier_job(
        self, start_api: Any, learning: MakeSpec
    ) -> None:
        spec = learning(trials=12)
        async with start_api() as api:
            earlier = await api.train(spec)
            spec.search.continues = earlier.name
            spec.seed = 4
            job = await api.train(spec)
            found = parameters_of(await api.trials(job.name))
            spec.search.continues = ""
            anew = await api.train(spec)
            assert parameters_of(await api.trials(anew.name))[:6] != found[:6]
            # The results are the job's own now.
            await api.training.DeleteJob(pb.DeleteJobRequest(name=earlier.name))
        async with start_api() as api:
            assert parameters_of(await api.trials(job.name)) == found

    async def test_a_job_of_random_search_can_be_continued(
        self, api: Any, learning: MakeSpec
    ) -> None:
        spec = learning(trials=12)
        random = spec_pb2.JobSpec()
        random.CopyFrom(spec)
        random.search.random.trials = 20
        spec.search.continues = (await api.train(random)).name
        job = await api.train(spec)
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda s: setattr(s.search, "continues", "jobs/none"), "no job jobs/none"),
            (lambda s: setattr(s.search, "continues", "none"), "must have the form jobs/{job}"),
            (lambda s: s.search.parameters.pop(), "searched besides network.hidden"),
            (
                lambda s: setattr(s.search.objectives[0], "metric", "validation_f1"),
                "did not measure",
            ),
            (lambda s: setattr(s.search.random, "trials", 3), "doesn't learn from results"),
            (
                lambda s: (
                    setattr(s.search.parameters[0].log_uniform, "low", 11),
                    setattr(s.search.parameters[0].log_uniform, "high", 12),
                ),
                "no trial that lies within these domains",
            ),
        ],
    )
    async def test_what_does_not_fit_is_named(
        self, api: Any, learning: MakeSpec, change: Callable[[Any], object], expected: str
    ) -> None:
        earlier = await api.train(learning(trials=6))
        spec = learning()
        spec.search.continues = earlier.name
        change(spec)
        if expected.startswith("searched"):
            spec.network.hidden.append(5)
        fields = await refused(api, spec)
        assert any(expected in text for text in fields.get("spec.search.continues", [])), fields


class TestRefusals:
    async def test_everything_wrong_is_named_at_once(self, api: Any, learning: MakeSpec) -> None:
        spec = learning("nsga2", population_size=1, trials=0)
        spec.search.objectives[1].metric = "nothing"
        spec.search.continues = "jobs/none"
        assert set(await refused(api, spec)) == {
            "spec.search.nsga2.population_size",
            "spec.search.nsga2.trials",
            "spec.search.objectives[1].metric",
            "spec.search.continues",
        }

    async def test_batches_have_at_least_one_trial(self, api: Any, learning: MakeSpec) -> None:
        spec = learning(batch_size=0, startup_trials=0)
        fields = await refused(api, spec)
        assert set(fields) == {"spec.search.tpe.batch_size", "spec.search.tpe.startup_trials"}

    async def test_objectives_are_required_and_one_but_for_nsga2(
        self, api: Any, learning: MakeSpec
    ) -> None:
        spec = learning()
        spec.search.objectives.add(metric="training_cost")
        assert "nsga2 takes several" in str(await refused(api, spec))
        spec.search.ClearField("objectives")
        assert "must name what tpe learns from" in str(await refused(api, spec))

    async def test_an_evolution_strategy_takes_numbers_only(
        self, api: Any, learning: MakeSpec
    ) -> None:
        spec = learning("tpe")
        spec.search.cma_es.trials = 4
        assert set(await refused(api, spec)) == {"spec.search.parameters[2].choice"}

    async def test_the_ends_of_domains_are_checked_when_the_job_is_created(
        self, api: Any, learning: MakeSpec
    ) -> None:
        spec = learning()
        decay = spec.search.parameters[1].uniform
        decay.low = -1e-9
        assert "at least 0" in str(await refused(api, spec))

    async def test_gaussian_processes_need_pytorch(
        self, api: Any, learning: MakeSpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        fields = await refused(api, learning("gaussian_process"))
        assert "packtrain[gp]" in str(fields["spec.search.gaussian_process"])
        info = await api.info.GetServerInfo(server_service_pb2.GetServerInfoRequest())
        assert "tpe" in info.search_algorithms
        assert "gaussian_process" not in info.search_algorithms


async def test_a_plan_counts_all_batches(api: Any, learning: MakeSpec) -> None:
    spec = learning(trials=600, batch_size=100)
    request = pb.CreateJobRequest(spec=spec, validate_only=True)
    plan = (await api.training.CreateJob(request)).plan
    assert plan.trials == 600
    # Of each batch, those of each of the two widths.
    assert plan.packs == 6 * 2
    spec.search.tpe.trials = 100
    part = (await api.training.CreateJob(request)).plan
    spec.search.tpe.trials = 600
    request = pb.CreateJobRequest(spec=spec, validate_only=True)
    whole = (await api.training.CreateJob(request)).plan
    assert whole.operations == pytest.approx(part.operations)


async def test_what_was_learned_from_does_not_change(api: Any, learning: MakeSpec) -> None:
    job = await api.train(learning(trials=6))
    changed = job_pb2.Job(name=job.name, spec=job.spec)
    changed.spec.epochs = 9
    with pytest.raises(grpc.aio.AioRpcError, match="has learned from trials of 3 epochs"):
        await api.training.UpdateJob(
            pb.UpdateJobRequest(job=changed, update_mask=FieldMask(paths=["spec.epochs"]))
        )


async def test_the_datasets_of_a_search_are_found_in_every_batch(
    api: Any, learning: MakeSpec
) -> None:
    spec = learning(trials=18, batch_size=6)
    kinds = spec.search.parameters.add(path="dataset.synthetic.kind").choice.values
    for kind in ("SYNTHETIC_KIND_SPIRALS", "SYNTHETIC_KIND_MOONS"):
        kinds.add(string_value=kind)
    spec.dataset.synthetic.ClearField("kind")
    job = await api.train(spec)
    assert job.progress.succeeded + job.progress.diverged == 18
