"""Jobs that begin from networks of other jobs: their numbers, and what is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from safetensors.numpy import load
from tests.service.test_jobs import Gate
from tests.service.test_server import fields_of, refused

from packtrain.service.contract import Planner
from packtrain.service.contract.models import Origins
from packtrain.service.datasets import Catalog
from packtrain.service.errors import NotFoundError
from packtrain.service.networks import Network, NetworkStore, Origin
from packtrain.service.planner import pack_of
from packtrain.service.records import JobRecord, TrialRecord
from packtrain.service.settings import Limits
from packtrain.service.store import Store
from packtrain.training import GivenArrays, Xavier
from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]

TINY = 1e-12


def begin_from(spec: spec_pb2.JobSpec, job: str, **fields: Any) -> spec_pb2.JobSpec:
    model = spec_pb2.ModelInitialization(job=job, **fields)
    spec.initialization.CopyFrom(spec_pb2.Initialization(model=model))
    return spec


def network_of(*sizes: int, start: float = 0.0) -> Network:
    shapes = list(pairwise(sizes))
    return Network(
        tuple(np.arange(n * m, dtype=np.float64).reshape(n, m) + start for n, m in shapes),
        tuple(np.full(m, start) for _, m in shapes),
    )


async def costs_of(api: Any, job: job_pb2.Job, by_trial_and_epoch: Any) -> dict[Any, float]:
    blocks = await api.metrics(job.name, metrics=["training_cost"])
    return {key: float(v[0]) for key, v in by_trial_and_epoch(blocks).items()}


async def model_of(api: Any, job: str, trial: int = 0) -> dict[str, Any]:
    request = pb.DownloadModelRequest(name=f"{job}/trials/{trial}")
    pieces = [r.chunk async for r in api.training.DownloadModel(request)]
    return load(b"".join(pieces))


async def test_a_warm_start_goes_on_where_the_source_ended(
    api: Any, moons: MakeSpec, by_trial_and_epoch: Any
) -> None:
    source = await api.train(moons())
    ended = await costs_of(api, source, by_trial_and_epoch)
    spec = begin_from(moons((TINY,), epochs=1), source.name)
    trial = spec.search.parameters.add(path="initialization.model.trial")
    for index in (2, 0, 3):
        trial.choice.values.add(number_value=index)
    job = await api.train(spec)
    begun = await costs_of(api, job, by_trial_and_epoch)
    assert [begun[t, 1] for t in range(3)] == [ended[t, 12] for t in (2, 0, 3)]
    assert job.spec.initialization.model.layers == 2
    assert job.spec.initialization.model.job == source.name


async def test_the_source_may_go_and_the_server_too(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: Any, tmp_path: Path
) -> None:
    hold, release = asyncio.Event(), asyncio.Event()

    async def gate(segment: Any) -> None:
        hold.set()
        await release.wait()

    async with start_api() as api:
        source = await api.train(moons())
        expected = await costs_of(
            api,
            await api.train(begin_from(moons((0.5,)), source.name, trial=1)),
            by_trial_and_epoch,
        )
    async with start_api(before_segment=gate) as api:
        job = await api.create(begin_from(moons((0.5,)), source.name, trial=1))
        await hold.wait()
        await api.training.DeleteJob(pb.DeleteJobRequest(name=source.name))
        assert list((tmp_path / "data" / "networks").glob("*.safetensors"))
    # Stopped before a single epoch was recorded: the job is expanded anew.
    async with start_api() as api:
        await api.watch(job.name)
        done = await api.get(job.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        assert await costs_of(api, done, by_trial_and_epoch) == expected


async def test_state_that_is_lost_begins_from_the_same_network(
    start_api: Any, moons: MakeSpec, by_trial_and_epoch: Any, short_segments: None
) -> None:
    gate = Gate(5)
    async with start_api() as api:
        source = await api.train(moons((0.5,)))
        expected = await costs_of(
            api, await api.train(begin_from(moons((0.5,)), source.name)), by_trial_and_epoch
        )
    async with start_api(before_segment=gate) as api:
        job = await api.create(begin_from(moons((0.5,)), source.name))
        await gate.reached.wait()
        api.engine.lose_state()
        gate.opened.set()
        await api.watch(job.name)
        assert await costs_of(api, job, by_trial_and_epoch) == expected


async def test_wrong_origins_are_refused(api: Any, moons: MakeSpec) -> None:
    spec = moons((0.5, 1.0))
    spec.optimizer.sgd.momentum = 0
    source = await api.train(spec)
    where = "spec.initialization.model"
    other = spec_pb2.Network(hidden=[7])
    for changes, network, field, words in [
        ({"job": "jobs/none"}, None, "job", "there is no job jobs/none"),
        ({"job": "first"}, None, "job", "must have the form jobs/{job}"),
        ({"job": ""}, None, "job", "must have the form jobs/{job}"),
        ({"trial": 2}, None, "trial", "has no trial 2: its trials go from 0 to 1"),
        ({"trial": -1}, None, "trial", "must be at least 0, not -1"),
        ({"layers": 0}, None, "layers", "must be at least 1, not 0"),
        ({"layers": 3}, None, "layers", f"the layers of {source.name}/trials/0, not 3"),
        ({}, other, "layers", f"widths, 2-7-1; those of {source.name}/trials/0 are 2-5-1"),
        (
            {"rest": spec_pb2.Initialization(arrays=spec_pb2.GivenArrays())},
            None,
            "rest",
            "be arrays: give a random or a constant one",
        ),
        (
            {"rest": spec_pb2.Initialization(he=spec_pb2.He(distribution=9))},
            None,
            "rest.he.distribution",
            "no distribution",
        ),
    ]:
        wrong = begin_from(moons(()), **({"job": source.name} | changes))
        if network is not None:
            wrong.network.CopyFrom(network)
        code, details = await refused(api.training.CreateJob(pb.CreateJobRequest(spec=wrong)))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert f"{where}.{field}" in fields_of(details), changes
        assert words in str(details["BadRequest"]), changes
        assert len(fields_of(details)) == 1, changes


async def test_more_layers_than_the_new_network_has_are_refused(api: Any, moons: MakeSpec) -> None:
    source = await api.train(moons((0.5,)))
    wrong = begin_from(moons(()), source.name)
    wrong.network.Clear()
    _, details = await refused(api.training.CreateJob(pb.CreateJobRequest(spec=wrong)))
    assert "must be 1 to 1, the layers of the new network, not 2" in str(details["BadRequest"])


async def test_wrong_data_hides_no_wrong_origin(api: Any, moons: MakeSpec) -> None:
    wrong = begin_from(moons(()), "jobs/none")
    wrong.dataset.name = "datasets/none"
    wrong.dataset.ClearField("validation_share")
    _, details = await refused(api.training.CreateJob(pb.CreateJobRequest(spec=wrong)))
    assert set(fields_of(details)) == {"spec.dataset.name", "spec.initialization.model.job"}


async def test_a_trial_that_still_runs_or_diverged_has_no_network(
    start_api: Any, moons: MakeSpec
) -> None:
    gate = Gate(0)
    async with start_api(before_segment=gate) as api:
        running = await api.create(moons(()))
        await gate.reached.wait()
        wrong = pb.CreateJobRequest(spec=begin_from(moons(()), running.name), validate_only=True)
        _, details = await refused(api.training.CreateJob(wrong))
        assert fields_of(details) == ["spec.initialization.model.trial"]
        assert "is RUNNING; only a trial that SUCCEEDED has a model" in str(details)
        gate.opened.set()
        await api.watch(running.name)
        exploded = moons((1e30,))
        exploded.network.hidden_activation = spec_pb2.ACTIVATION_RELU
        exploded.network.output_activation = spec_pb2.ACTIVATION_IDENTITY
        diverged = await api.train(exploded)
        assert diverged.progress.diverged == 1
        wrong = pb.CreateJobRequest(spec=begin_from(moons(()), diverged.name))
        _, details = await refused(api.training.CreateJob(wrong))
        assert fields_of(details) == ["spec.initialization.model.trial"]
        assert "is DIVERGED" in str(details)


async def test_a_transfer_takes_the_first_layers(api: Any, moons: MakeSpec) -> None:
    source = await api.train(moons((0.5,)))
    spec = begin_from(
        moons((TINY,), epochs=1), source.name, layers=1, rest=spec_pb2.Initialization(he={})
    )
    spec.network.ClearField("hidden")
    spec.network.hidden.extend([5, 4])
    job = await api.train(spec)
    taken, begun = await model_of(api, source.name), await model_of(api, job.name)
    np.testing.assert_array_equal(begun["layers.1.weights"], taken["layers.1.weights"])
    assert begun["layers.2.weights"].shape == (5, 4)
    # He draws no biases; a step of so little has moved them from 0 by next to nothing.
    assert np.abs(begun["layers.3.biases"]).max() < 1e-9
    assert job.spec.initialization.model.rest.WhichOneof("kind") == "he"


@pytest.mark.parametrize(("trials", "pages"), [((3, 0, 2, 1), 1), ((69, 0, 65, 1), 2)])
async def test_trials_that_a_job_begins_from_are_found_by_the_page(
    api: Any,
    moons: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    trials: tuple[int, ...],
    pages: int,
) -> None:
    source = await api.train(moons(tuple(0.1 * (1 + i) for i in range(70)), epochs=1))
    spec = begin_from(moons((), epochs=1), source.name)
    choice = spec.search.parameters.add(path="initialization.model.trial").choice
    for trial in trials:
        choice.values.add(number_value=trial)
    spec.search.grid.SetInParent()
    firsts: list[int] = []
    read = Store.list_trials_blocking

    def count(store: Store, job: JobRecord, first: int, limit: int) -> list[TrialRecord]:
        firsts.append(first)
        return read(store, job, first, limit)

    monkeypatch.setattr(Store, "list_trials_blocking", count)
    job = await api.train(spec)
    assert job.progress.succeeded == len(trials)
    assert len(firsts) == pages


# Expansion alone, over networks that are given.


class Trained:
    """Stands in for what other jobs trained."""

    def __init__(self, networks: dict[Origin, Network]) -> None:
        self.networks = networks
        self.reads = 0

    def find_job(self, job_id: str) -> TrainedOf:
        return TrainedOf(self, job_id)


class TrainedOf:
    """One job's part of it."""

    def __init__(self, trained: Trained, job_id: str) -> None:
        self.trained, self.job_id = trained, job_id

    def read(self, trial: int) -> Network:
        self.trained.reads += 1
        origin = Origin(self.job_id, trial)
        if origin not in self.trained.networks:
            raise NotFoundError("TRIAL_NOT_FOUND", "no such trial")
        return self.trained.networks[origin]


def test_a_transfer_leaves_the_other_layers_to_their_own_start(
    tmp_path: Path, moons: MakeSpec
) -> None:
    trained = Trained({Origin("a", 0): network_of(2, 5, 1)})
    spec = begin_from(moons(()), "jobs/a", layers=1)
    spec.initialization.model.rest.xavier.SetInParent()
    planner = Planner(Catalog(tmp_path), 2, Limits(), trained, NetworkStore(tmp_path / "n"))
    job = planner.plan(spec, "b", "uid")
    (given,) = planner.expand_stored(job).groups[0].pack.trials.initializations
    assert isinstance(given, GivenArrays)
    assert [w.shape for w in given.weights] == [(2, 5)]
    assert given.rest == Xavier()
    assert trained.reads == 1


def test_a_thousand_trials_hold_a_network_once(tmp_path: Path, moons: MakeSpec) -> None:
    trained = Trained({Origin("a", i): network_of(2, 5, 1, start=i) for i in range(3)})
    spec = begin_from(moons(tuple(0.001 * (1 + i) for i in range(500))), "jobs/a")
    rest = spec.search.parameters.add(path="initialization.model.trial")
    rest.choice.values.add(number_value=1)
    rest.choice.values.add(number_value=2)
    planner = Planner(Catalog(tmp_path), 2, Limits(), trained, NetworkStore(tmp_path / "n"))
    job = planner.plan(spec, "b", "uid")
    assert trained.reads == 2
    (group,) = planner.expand_stored(job).groups
    assert len(group.indices) == 1000
    assert len(group.pack.trials.initializations) == 2
    # A pack carries what its own trials begin from, and that once.
    pack = pack_of(group, np.arange(1, 1000, 2, dtype=np.int32))
    (given,) = pack.trials.initializations
    assert given.biases[0][0] == 2
    later = pack_of(group, np.arange(1000, dtype=np.int32), begins=False)
    assert not any(isinstance(i, GivenArrays) for i in later.trials.initializations)


def test_different_jobs_may_be_chosen_among(tmp_path: Path, moons: MakeSpec) -> None:
    trained = Trained(
        {Origin("a", 0): network_of(2, 5, 1), Origin("b", 4): network_of(2, 5, 1, start=9)}
    )
    spec = moons(())
    parameter = spec.search.parameters.add(path="initialization")
    spec.search.grid.SetInParent()
    for value in (
        {"model": {"job": "jobs/a"}},
        {"model": {"job": "jobs/b", "trial": 4, "layers": 1}},
        {"scaled_gaussian": {}},
    ):
        parameter.choice.values.add().struct_value.update(value)
    planner = Planner(Catalog(tmp_path), 2, Limits(), trained, NetworkStore(tmp_path / "n"))
    job = planner.plan(spec, "c", "uid")
    first, second, third = planner.expand_stored(job).groups[0].pack.trials.initializations
    assert (len(first.weights), len(second.weights)) == (2, 1)
    assert second.biases[0][0] == 9
    assert not isinstance(third, GivenArrays)


def test_more_than_a_server_carries_is_refused(
    tmp_path: Path, moons: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.contract.models.MAX_ORIGIN_BYTES", 150)
    trained = Trained({Origin("a", i): network_of(2, 5, 1) for i in range(2)})
    planner = Planner(Catalog(tmp_path), 2, Limits(), trained, NetworkStore(tmp_path / "n"))
    with pytest.raises(Exception, match="more than 1 GiB in all"):
        planner.plan(begin_from(moons(()), "jobs/a"), "b", "uid")


# What is kept.


def test_networks_are_kept_by_their_content(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path / "networks")
    networks = {Origin("a", 1): network_of(2, 3, 1), Origin("b-2", 0): network_of(4, 2)}
    digest = store.put(networks)
    assert store.put(dict(reversed(networks.items()))) == digest
    assert len(list((tmp_path / "networks").iterdir())) == 1
    found = NetworkStore(tmp_path / "networks").get(digest)
    assert found.keys() == networks.keys()
    for origin, network in networks.items():
        for name in ("weights", "biases"):
            for ours, theirs in zip(
                getattr(found[origin], name), getattr(network, name), strict=True
            ):
                np.testing.assert_array_equal(ours, theirs)


def test_networks_are_released_with_grace(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path)
    kept = store.put({Origin("a", 0): network_of(2, 1)})
    gone = store.put({Origin("a", 1): network_of(2, 1, start=1)})
    assert store.release({kept}) == 0
    assert store.release({kept}, min_age_seconds=0) == 1
    store.get(kept)
    with pytest.raises(NotFoundError, match="are gone"):
        store.get(gone)


def test_what_was_not_finished_is_swept(tmp_path: Path) -> None:
    (tmp_path / "x.unfinished").write_bytes(b"half")
    os.utime(tmp_path / "x.unfinished", (0, 0))
    (tmp_path / "y.unfinished").write_bytes(b"another writes this now")
    NetworkStore(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["y.unfinished"]


def test_no_network_is_found_among_none() -> None:
    from packtrain.service.contract.fields import Violations

    violations = Violations()
    assert Origins().find(Origin("a", 0), violations) is None
    assert [v.description for v in violations] == [
        "the network of jobs/a/trials/0 is not kept with the job"
    ]
