"""Trials that a rule ends early: what is told of them, and that nothing of them is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import load

from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]

# The first learns, the others as good as not.
RATES = (2.0, 1e-8, 1e-9)


def patient(moons: MakeSpec, epochs: int = 30) -> spec_pb2.JobSpec:
    """Ends the trials that no longer improve by a thousandth in an epoch."""
    spec = moons(RATES, epochs=epochs)
    patience = spec.stopping.patience
    patience.metric, patience.epochs, patience.min_delta = "training_cost", 2, 1e-3
    return spec


async def told_of(api: Any, job: job_pb2.Job, by_trial_and_epoch: Any) -> tuple[Any, Any]:
    trials = await api.training.ListTrials(pb.ListTrialsRequest(parent=job.name))
    values = by_trial_and_epoch(await api.metrics(job.name, metrics=["training_cost"]))
    measured = {
        t: sorted(e for trial, e in values if trial == t and np.isfinite(values[trial, e]).all())
        for t in range(len(RATES))
    }
    return list(trials.trials), measured


async def test_a_stopped_trial_has_succeeded_where_it_ended(
    api: Any, moons: MakeSpec, by_trial_and_epoch: Any, short_segments: None
) -> None:
    job = await api.train(patient(moons))
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert job.progress.succeeded == len(RATES)
    trials, measured = await told_of(api, job, by_trial_and_epoch)
    epochs = [t.epochs for t in trials]
    assert epochs[1:] == [3, 3]  # two epochs after the first, which counts as the best
    assert epochs[0] > 3
    assert all(t.state == job_pb2.TRIAL_STATE_SUCCEEDED for t in trials)
    assert measured == {t: list(range(1, e + 1)) for t, e in enumerate(epochs)}
    assert job.progress.trial_epochs == sum(epochs)
    for trial in trials:
        assert np.isfinite(trial.final_metrics["training_cost"])
        request = pb.DownloadModelRequest(name=trial.name)
        pieces = [r.chunk async for r in api.training.DownloadModel(request)]
        assert set(load(b"".join(pieces))) >= {"layers.1.weights", "layers.2.biases"}


async def test_a_job_is_over_when_all_its_trials_are_stopped(api: Any, moons: MakeSpec) -> None:
    job = await api.train(patient(moons, epochs=1_000_000))
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert 0 < job.progress.trial_epochs < 1000


async def test_a_restart_tells_of_no_stopped_trial_twice_and_keeps_its_model(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: Any, short_segments: None
) -> None:
    async with start_api() as api:
        expected = await told_of(api, await api.train(patient(moons)), by_trial_and_epoch)
    seen, release = asyncio.Event(), asyncio.Event()

    async def gate(segment: Any) -> None:
        # By then the trials that don't learn are recorded as stopped.
        if segment.start_epoch >= 5:
            seen.set()
            await release.wait()

    async with start_api(before_segment=gate) as api:
        job = await api.create(patient(moons))
        await seen.wait()
    async with start_api() as api:
        await api.watch(job.name)
        done = await api.get(job.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        trials, measured = await told_of(api, done, by_trial_and_epoch)
        assert measured == expected[1]
        assert [t.epochs for t in trials] == [t.epochs for t in expected[0]]
        assert done.progress.trial_epochs == sum(t.epochs for t in trials)
        for trial in trials:
            request = pb.DownloadModelRequest(name=trial.name)
            assert [r async for r in api.training.DownloadModel(request)]
