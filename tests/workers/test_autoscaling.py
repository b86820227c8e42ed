"""Ray's own autoscaler adds nodes for the work that waits, and takes them away again. Its provider
of nodes is Ray's fake one, which starts processes on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.ray_nodes import TOKEN, RayCluster, free_port, running_cluster

from packtrain.training import train_segment
from packtrain.workers import SupervisedEngine
from packtrain.workers.segment_runner import load_data

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(240)]

NOTHING = ("initialization_commands", "setup_commands", "head_setup_commands")
MORE_OF_NOTHING = ("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
HEAD = "f" * 51 + "00000"
PROVIDER = {
    "type": "fake_multinode",
    "use_node_id_as_ip": True,
    "disable_node_updaters": True,
    "disable_launch_config_check": True,
}
CONFIGURATION = {
    "cluster_name": "fake",
    "max_workers": 3,
    "upscaling_speed": 10.0,
    "idle_timeout_minutes": 0.05,
    "auth": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "small": {
            "resources": {"CPU": 1, "object_store_memory": 100_000_000},
            "node_config": {},
            "min_workers": 0,
            "max_workers": 2,
        },
    },
    **{name: [] for name in (*NOTHING, *MORE_OF_NOTHING)},
}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCluster]:
    folder = Path("/tmp") / f"pt-auto-{os.getpid()}"
    folder.mkdir()
    port = free_port()
    provider = PROVIDER | {"gcs_address": f"127.0.0.1:{port}"}
    (folder / "autoscaling.json").write_text(json.dumps(CONFIGURATION | {"provider": provider}))
    for name, value in TOKEN.items():
        monkeypatch.setenv(name, value)
    option = f"--autoscaling-config={folder}/autoscaling.json"
    with running_cluster(
        folder,
        option,
        port=port,
        AUTOSCALER_UPDATE_INTERVAL_S="1",
        RAY_FAKE_CLUSTER="1",
        RAY_OVERRIDE_NODE_ID_FOR_TESTING=HEAD,
    ) as cluster:
        yield cluster
    shutil.rmtree(folder, ignore_errors=True)


async def until_workers(engine: SupervisedEngine, count: int) -> None:
    async with asyncio.timeout(90):
        while engine.workers != count:  # noqa: ASYNC110 - processes set no events
            await asyncio.sleep(0.1)


async def test_nodes_come_with_the_work_and_go_without_it(
    cluster: RayCluster, segment: Any, pack: Any, source: Any
) -> None:
    engine = SupervisedEngine(ray_address=cluster.address, max_workers=3, idle_seconds=3.0)
    await engine.start()
    await engine.wait_ready()
    try:
        # There is one at the least; packs are cut for as many as there may be.
        assert (engine.workers, engine.capacity) == (1, 3)
        engine.want_workers(8)
        await until_workers(engine, 3)
        expected = train_segment(pack, load_data(source), None, 6)[1].values
        keys = [f"grown-{i}" for i in range(6)]
        for result in await asyncio.gather(*(engine.run_segment(segment(k, 0, 6)) for k in keys)):
            np.testing.assert_array_equal(result.metrics.values, expected)
        assert len(cluster.head.find("raylet/raylet")) == 3
        engine.want_workers(0)
        await until_workers(engine, 1)
        # The worker that stays may be on any node.
        async with asyncio.timeout(90):
            while len(cluster.head.find("raylet/raylet")) > 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.2)
    finally:
        await engine.stop()
