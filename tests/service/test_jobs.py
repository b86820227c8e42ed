"""Jobs from their creation to their end, through a real server with an engine in threads."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from safetensors.numpy import load

from packtrain.service.settings import Limits
from packtrain.service.states import JobState
from packtrain.service.store import OwnedJob
from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2
from packtrain.workers import Segment, SegmentFailedError

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]
ByTrial = Callable[[list[job_pb2.MetricBlock]], dict[tuple[int, int], Any]]

RATES = (0.1, 0.5, 1.0, 3.0)
EPOCHS = 12


class Gate:
    """Holds the segment that begins at an epoch until it is opened."""

    def __init__(self, at_epoch: int) -> None:
        self.at_epoch = at_epoch
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, segment: Segment) -> None:
        if segment.start_epoch == self.at_epoch and not self.opened.is_set():
            self.reached.set()
            await self.opened.wait()


def shape_of(events: list[pb.WatchJobResponse]) -> list[str]:
    """The state changes of a watch, in words."""
    words = []
    for event in events:
        if event.HasField("job"):
            words.append(job_pb2.JobState.Name(event.job.state).removeprefix("JOB_STATE_"))
        elif event.HasField("trials"):
            state = job_pb2.TrialState.Name(event.trials.state).removeprefix("TRIAL_STATE_")
            words.append(f"{state} {list(event.trials.trials)}")
    return words


def blocks_of(events: list[pb.WatchJobResponse]) -> list[job_pb2.MetricBlock]:
    return [e.metrics for e in events if e.HasField("metrics")]


def assert_equal_values(found: dict[Any, Any], expected: dict[Any, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=str(key))


async def test_a_job_trains_to_its_end(
    api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    job = await api.create(moons())
    events = await api.watch(job.name)
    assert shape_of(events) == [
        "QUEUED",
        "RUNNING",
        "RUNNING [0, 1, 2, 3]",
        "SUCCEEDED [0, 1, 2, 3]",
        "SUCCEEDED",
    ]
    values = by_trial_and_epoch(blocks_of(events))
    assert values.keys() == {(t, e) for t in range(4) for e in range(1, EPOCHS + 1)}
    read = await api.metrics(job.name)
    assert_equal_values(by_trial_and_epoch(read), values)
    done = await api.get(job.name)
    assert done.state == job_pb2.JOB_STATE_SUCCEEDED
    assert (done.progress.succeeded, done.progress.trial_epochs) == (4, 4 * EPOCHS)
    assert done.progress.trial_epochs_total == 4 * EPOCHS
    assert done.create_time.ToDatetime() <= done.start_time.ToDatetime()
    assert done.start_time.ToDatetime() <= done.end_time.ToDatetime()
    assert list(done.layer_sizes) == [2, 5, 1]
    trials = await api.trials(job.name)
    assert [t.parameters["optimizer.sgd.learning_rate"].number_value for t in trials] == list(RATES)
    for trial in trials:
        assert (trial.epochs, trial.state) == (EPOCHS, job_pb2.TRIAL_STATE_SUCCEEDED)
        final = [trial.final_metrics[name] for name in done.metrics]
        np.testing.assert_array_equal(np.float32(final), values[trial.index, EPOCHS])


async def test_the_engine_keeps_no_state_of_ended_jobs(api: Any, moons: MakeSpec) -> None:
    await api.train(moons())
    assert api.engine.held_states == 0


@pytest.mark.usefixtures("short_segments")
async def test_cancelling_keeps_what_was_recorded(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        job = await api.create(moons())
        await gate.reached.wait()
        cancelled = await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        assert cancelled.job.state == job_pb2.JOB_STATE_CANCELLING
        gate.opened.set()
        events = await api.watch(job.name)
        values = by_trial_and_epoch(blocks_of(events))
        # The segment that was under way is recorded; no other one begins.
        assert values.keys() == {(t, e) for t in range(4) for e in range(1, 7)}
        assert shape_of(events)[-3:] == ["CANCELLING", "CANCELLED [0, 1, 2, 3]", "CANCELLED"]
        for trial in await api.trials(job.name):
            assert (trial.epochs, trial.state) == (6, job_pb2.TRIAL_STATE_CANCELLED)
            last = values[trial.index, 6][0]
            assert trial.final_metrics["training_cost"] == pytest.approx(float(last))
        assert api.engine.held_states == 0
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("at_epoch", [1, 4, EPOCHS - 1])
async def test_a_lost_state_changes_no_number(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial, at_epoch: int
) -> None:
    async def lose_once(segment: Segment) -> None:
        if armed and segment.start_epoch == at_epoch:
            armed.clear()
            api.engine.lose_state()

    armed: set[str] = set()
    async with start_api(before_segment=lose_once) as api:
        undisturbed = await api.train(moons())
        expected = by_trial_and_epoch(await api.metrics(undisturbed.name))
        armed.add("lose")
        disturbed = await api.create(moons())
        events = await api.watch(disturbed.name)
        assert not armed
        assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)
        assert shape_of(events)[-2:] == ["SUCCEEDED [0, 1, 2, 3]", "SUCCEEDED"]
        models = [await download(api, f"{j.name}/trials/2") for j in (undisturbed, disturbed)]
        # Not the bytes: safetensors writes its metadata in any order.
        assert_equal_values(load(models[1]), load(models[0]))


@pytest.mark.usefixtures("short_segments")
async def test_a_new_server_goes_on_with_the_job(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        job = await api.create(moons())
        await gate.reached.wait()
    async with start_api() as api:
        events = await api.watch(job.name)
        undisturbed = await api.train(moons())
        expected = by_trial_and_epoch(await api.metrics(undisturbed.name))
    assert_equal_values(by_trial_and_epoch(blocks_of(events)), expected)
    assert shape_of(events) == [
        "QUEUED",
        "RUNNING",
        "RUNNING [0, 1, 2, 3]",
        "SUCCEEDED [0, 1, 2, 3]",
        "SUCCEEDED",
    ]


@pytest.mark.usefixtures("short_segments")
async def test_a_new_server_ends_a_job_that_was_being_cancelled(
    start_api: Any, moons: MakeSpec
) -> None:
    gate = Gate(3)
    async with start_api(before_segment=gate) as api:
        job = await api.create(moons())
        await gate.reached.wait()
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
    async with start_api() as api:
        events = await api.watch(job.name)
        assert shape_of(events)[-2:] == ["CANCELLED [0, 1, 2, 3]", "CANCELLED"]


@pytest.mark.usefixtures("short_segments")
async def test_a_trial_that_diverges_leaves_its_siblings(
    api: Any, moons: MakeSpec, by_trial_and_epoch: ByTrial
) -> None:
    def linear(rates: tuple[float, ...]) -> spec_pb2.JobSpec:
        return moons(
            rates,
            cost=spec_pb2.Cost(quadratic=spec_pb2.QuadraticCost()),
            network=spec_pb2.Network(
                output_activation=spec_pb2.ACTIVATION_IDENTITY,
                hidden_activation=spec_pb2.ACTIVATION_IDENTITY,
            ),
        )

    wild = await api.train(linear((0.001, 1e9, 0.01)))
    tame = await api.train(linear((0.001, 0.002, 0.01)))
    assert wild.state == job_pb2.JOB_STATE_SUCCEEDED
    assert (wild.progress.succeeded, wild.progress.diverged) == (2, 1)
    trials = await api.trials(wild.name)
    assert trials[1].state == job_pb2.TRIAL_STATE_DIVERGED
    found = by_trial_and_epoch(await api.metrics(wild.name))
    expected = by_trial_and_epoch(await api.metrics(tame.name))
    for (trial, epoch), values in expected.items():
        if trial != 1:
            np.testing.assert_array_equal(found[trial, epoch], values)
    end = trials[1].epochs
    assert wild.progress.trial_epochs == 2 * EPOCHS + end
    assert all((1, e) not in found for e in range(end + 1, EPOCHS + 1))
    cost = trials[1].final_metrics["training_cost"]
    np.testing.assert_array_equal(np.float32(cost), found[1, end][0])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await download(api, f"{wild.name}/trials/1")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.usefixtures("short_segments")
async def test_a_segment_that_fails_fails_its_trials(start_api: Any, moons: MakeSpec) -> None:
    async def fail_late(segment: Segment) -> None:
        if segment.start_epoch == 3:
            raise SegmentFailedError("TRAINING_ERROR", "a bug")

    async with start_api(before_segment=fail_late) as api:
        job = await api.train(moons())
        assert job.state == job_pb2.JOB_STATE_FAILED
        assert job.failure.reason == "TRAINING_ERROR"
        assert job.progress.failed == 4
        for trial in await api.trials(job.name):
            assert (trial.state, trial.epochs) == (job_pb2.TRIAL_STATE_FAILED, 3)
            assert trial.failure == job.failure
            assert np.isfinite(trial.final_metrics["training_cost"])
        assert api.engine.held_states == 0


async def test_an_error_that_nobody_foresaw_fails_its_job_alone(
    start_api: Any, moons: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first try to say so fails."""
    tries: list[JobState] = []
    finish_job = OwnedJob.finish_job

    async def finish(self: OwnedJob, state: JobState, *rest: Any) -> None:
        if state is JobState.FAILED:
            tries.append(state)
            if len(tries) == 1:
                raise OSError("a bug")
        await finish_job(self, state, *rest)

    async def crash(segment: Segment) -> None:
        if 0.75 in segment.pack.trials.learning_rate:
            raise KeyError("a bug")

    monkeypatch.setattr(OwnedJob, "finish_job", finish)
    monkeypatch.setattr("packtrain.service.coordinator._STORE_RETRY_SECONDS", 0.01)
    async with start_api(before_segment=crash) as api:
        crashed, other = await asyncio.gather(
            api.train(moons(rates=(0.75,))), api.train(moons(rates=RATES))
        )
        assert crashed.state == job_pb2.JOB_STATE_FAILED
        assert crashed.failure.reason == "INTERNAL"
        assert other.state == job_pb2.JOB_STATE_SUCCEEDED
    assert len(tries) == 2


@pytest.mark.parametrize("change", ["damaged", "changed", "gone"])
async def test_a_job_keeps_the_data_that_it_was_created_with(
    start_api: Any, moons: MakeSpec, tmp_path: Path, change: str, by_trial_and_epoch: ByTrial
) -> None:
    gate, offered = Gate(0), tmp_path / "offered"
    offered.mkdir()
    (offered / "rows.csv").write_text("a,b,label\n" + "0,1,0\n1,0,1\n" * 10)
    spec = moons()
    spec.dataset.name = "datasets/rows"
    async with start_api(datasets=(offered,)) as api:
        undisturbed = await api.metrics((await api.train(spec)).name)
    async with start_api(before_segment=gate, datasets=(offered,)) as api:
        job = await api.create(spec)
        await gate.reached.wait()
    if change == "changed":
        (offered / "rows.csv").write_text("a,b,label\n" + "0,2,0\n2,0,1\n" * 10)
    if change == "damaged":
        for file in (tmp_path / "data").rglob("*.npy"):
            file.chmod(0o600)
            file.write_bytes(b"no array")
    async with start_api(datasets=() if change == "gone" else (offered,)) as api:
        await api.watch(job.name)
        ended = await api.get(job.name)
        trials = await api.trials(job.name)
        metrics = await api.metrics(job.name)
    if change != "damaged":
        assert ended.state == job_pb2.JOB_STATE_SUCCEEDED
        assert_equal_values(by_trial_and_epoch(metrics), by_trial_and_epoch(undisturbed))
        return
    assert ended.state == job_pb2.JOB_STATE_FAILED
    assert ended.failure.reason == "DATA_UNREADABLE"
    assert {(t.state, t.failure.reason) for t in trials} == {
        (job_pb2.TRIAL_STATE_FAILED, "DATA_UNREADABLE")
    }


async def download(api: Any, name: str) -> bytes:
    request = pb.DownloadModelRequest(name=name)
    responses = [r async for r in api.training.DownloadModel(request)]
    header, content = responses[0].header, b"".join(r.chunk for r in responses[1:])
    assert len(content) == header.size_bytes
    assert hashlib.sha256(content).hexdigest() == header.sha256
    return content


async def test_a_model_is_a_safetensors_file(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons())
    tensors = load(await download(api, f"{job.name}/trials/3"))
    assert {name: t.shape for name, t in tensors.items()} == {
        "layers.1.weights": (2, 5),
        "layers.1.biases": (5,),
        "layers.2.weights": (5, 1),
        "layers.2.biases": (1,),
    }
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await download(api, f"{job.name}/trials/4")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_equal_requests_at_once_make_one_job(api: Any, moons: MakeSpec) -> None:
    request = pb.CreateJobRequest(spec=moons(), request_id="r-1")
    made = await asyncio.gather(*(api.training.CreateJob(request) for _ in range(20)))
    assert len({m.job.uid for m in made}) == 1
    assert len((await api.training.ListJobs(pb.ListJobsRequest())).jobs) == 1
    request.job_id = "another"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.training.CreateJob(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_validating_creates_nothing(api: Any, moons: MakeSpec) -> None:
    request = pb.CreateJobRequest(spec=moons(), validate_only=True)
    response = await api.training.CreateJob(request)
    assert (response.plan.trials, response.plan.packs) == (4, 1)
    assert response.plan.memory_bytes > 0
    assert response.plan.operations > 0
    assert response.job.spec.batch_size == 10
    assert not (await api.training.ListJobs(pb.ListJobsRequest())).jobs


async def test_jobs_are_listed_in_pages_that_fit_a_message(start_api: Any, moons: MakeSpec) -> None:
    # Each of these specifications has about 0.9 MB: five of them are more than a client reads.
    rows = [spec_pb2.Row(values=np.linspace(0, i, 1_000)) for i in range(110)]
    inline = spec_pb2.InlineDataset(inputs=rows, labels=[i % 2 for i in range(110)])
    async with start_api(limits=Limits(max_message_bytes=4 << 20)) as api:
        for i in range(5):
            await api.create(
                spec_pb2.JobSpec(
                    dataset=spec_pb2.DatasetSelection(inline=inline), epochs=1, seed=i
                ),
                f"job-{i}",
            )
        names, token, pages = [], "", 0
        while pages == 0 or token:
            request = pb.ListJobsRequest(page_token=token)
            response = await api.training.ListJobs(request)
            names += [job.name for job in response.jobs]
            token, pages = response.next_page_token, pages + 1
        assert names == [f"jobs/job-{i}" for i in reversed(range(5))]
        assert pages > 1


async def test_trials_are_listed_in_pages_by_state(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons(tuple(0.1 + i / 10 for i in range(25))))
    found: list[job_pb2.Trial] = []
    token = ""
    while not found or token:
        request = pb.ListTrialsRequest(
            parent=job.name,
            page_size=7,
            page_token=token,
            states=[job_pb2.TRIAL_STATE_SUCCEEDED],
        )
        response = await api.training.ListTrials(request)
        found += response.trials
        token = response.next_page_token
    assert [t.index for t in found] == list(range(25))
    values = [t.parameters["optimizer.sgd.learning_rate"].number_value for t in found]
    assert values == [0.1 + i / 10 for i in range(25)]
    request = pb.ListTrialsRequest(parent=job.name, states=[job_pb2.TRIAL_STATE_QUEUED])
    assert not (await api.training.ListTrials(request)).trials


async def test_trials_with_large_parameters_are_listed_in_pages_that_fit(
    api: Any, moons: MakeSpec
) -> None:
    spec = moons(rates=(), epochs=1)
    spec.network.hidden[:] = [4000]
    spec.network.outputs = 1
    starts = spec.search.parameters.add(path="initialization").choice
    layers = [
        {"weights": [0.123456789] * 8000, "biases": [0.5] * 4000},
        {"weights": [0.123456789] * 4000, "biases": [0.5]},
    ]
    json_format.ParseDict({"values": [{"arrays": {"layers": layers}}]}, starts)
    spec.search.parameters.add(path="seed").integer.CopyFrom(spec_pb2.IntegerRange(low=1, high=30))
    spec.search.grid.SetInParent()
    job = await api.train(spec)
    seen, token = [], ""
    while True:
        request = pb.ListTrialsRequest(parent=job.name, page_size=100, page_token=token)
        page = await api.training.ListTrials(request)
        seen += [t.index for t in page.trials]
        token = page.next_page_token
        assert page.ByteSize() < 4 << 20
        if not token:
            break
    assert seen == list(range(30))


async def test_a_model_is_the_same_file_each_time(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons())
    files = {await download(api, f"{job.name}/trials/0") for _ in range(8)}
    assert len(files) == 1
