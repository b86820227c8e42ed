"""What a server takes by the machines that train, and how many workers it asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.service.changes import Gate
from tests.service.specifications import PLAIN, read

from packtrain.service.contract import Planner
from packtrain.service.datasets import Catalog
from packtrain.service.errors import InvalidSpecError
from packtrain.service.settings import Limits, Settings
from packtrain.v1 import server_service_pb2, spec_pb2
from packtrain.workers import Memory

GIGABYTE = 1 << 30
LARGE = PLAIN | {"network": {"hidden": [5000, 5000]}}


def planner(catalog: Catalog, memory: Memory, limits: Limits | None = None) -> Planner:
    return Planner(catalog, lambda: 2, limits or Limits(), memory=lambda: memory)


def test_a_job_may_need_half_of_all_workers_memory() -> None:
    memory = Memory(total_bytes=10, machine_bytes=4)
    assert Limits().job_memory_bytes(memory) == 5
    assert Limits(max_job_memory_bytes=9).job_memory_bytes(memory) == 9


def test_a_trial_may_need_half_of_the_smallest_machine() -> None:
    assert Limits().trial_memory_bytes(Memory(100, 8)) == 4
    assert Limits(max_job_memory_bytes=3).trial_memory_bytes(Memory(100, 8)) == 3


def test_a_trial_that_no_machine_of_a_cluster_could_train_is_refused(catalog: Catalog) -> None:
    many_small = Memory(total_bytes=1000 * GIGABYTE, machine_bytes=GIGABYTE // 8)
    with pytest.raises(InvalidSpecError, match="GiB") as caught:
        planner(catalog, many_small).plan(read(LARGE), "job", "uid")
    assert caught.value.reason == "MEMORY_LIMIT_EXCEEDED"
    planner(catalog, Memory(8 * GIGABYTE, 8 * GIGABYTE)).plan(read(LARGE), "job", "uid")


def test_packs_fit_into_a_workers_share(catalog: Catalog) -> None:
    spec = read(PLAIN | {"network": {"hidden": [200]}})
    parameter = spec.search.parameters.add(path="optimizer.sgd.learning_rate")
    parameter.log_uniform.CopyFrom(spec_pb2.LogUniform(low=0.1, high=10))
    spec.search.random.trials = 500
    roomy = planner(catalog, Memory(64 * GIGABYTE, 64 * GIGABYTE)).plan(spec, "job", "uid").packs
    limits = Limits(max_job_memory_bytes=GIGABYTE)
    tight = planner(catalog, Memory(1 << 24, 1 << 24), limits).plan(spec, "job", "uid").packs
    assert len(tight) > len(roomy)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_workers": 4},
        {"max_workers": 4, "workers": 2, "ray_address": "auto"},
        {"max_workers": 0, "ray_address": "auto"},
    ],
)
def test_growing_is_for_clusters(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="--max-workers"):
        Settings(data_dir=tmp_path, **fields)


async def test_the_server_tells_its_limit(api: Any) -> None:
    info = await api.info.GetServerInfo(server_service_pb2.GetServerInfoRequest())
    assert info.limits.max_job_memory_bytes == Memory.of_this_machine().total_bytes // 2


@pytest.mark.usefixtures("short_segments")
async def test_the_engine_is_told_what_there_is_to_do(
    start_api: Any, moons: Callable[..., spec_pb2.JobSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packtrain.service.coordinator._DEMAND_SECONDS", 0.01)
    gate = Gate(3)
    async with start_api(before_segment=gate) as api:
        jobs = [await api.create(moons()) for _ in range(3)]
        await gate.reached.wait()
        while api.engine.wanted_workers < 3:
            await api.get(jobs[0].name)
        gate.opened.set()
        for job in jobs:
            await api.watch(job.name)
        while api.engine.wanted_workers:
            await api.get(jobs[0].name)
