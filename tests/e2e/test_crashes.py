"""A job that was acknowledged ends, with the same numbers, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.e2e.conftest import SPEC, engine_of
from tests.ray_nodes import free_port

from packtrain.client import (
    Client,
    JobHandle,
    JobSpec,
    JobState,
    MetricsReceived,
    PopulationBasedTraining,
    TrialsAdapted,
)

# Ray is started again and again, which takes its time on a busy machine.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def test_a_killed_service_goes_on_with_the_same_numbers(
    make_server: Callable[..., object], undisturbed: JobHandle
) -> None:
    server = make_server("killed")
    seen = np.zeros((12, 201), int)
    kills = 0
    with Client(server.address) as watcher:
        job = watcher.train(SPEC, job_id="survivor")
        for event in job.watch():
            if not isinstance(event, MetricsReceived):
                continue
            last = event.first_epoch + event.values.shape[1]
            seen[np.ix_(event.trials, range(event.first_epoch, last))] += 1
            # Killed with the first thing that it records, and again with the next.
            if kills < 2:
                kills += 1
                server.kill()
                server.start()
        assert kills == 2
        assert (seen[:, 1:] == 1).all()
        assert job.wait().latest.state is JobState.SUCCEEDED
        np.testing.assert_array_equal(job.results().values, undisturbed.results().values)
        model = job.model(3)
    for got, expected in zip(model.weights, undisturbed.model(3).weights, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_killed_engine_comes_back(server: object, client: Client, undisturbed: JobHandle) -> None:
    job = client.train(SPEC)
    for event in job.watch():
        if isinstance(event, MetricsReceived) and event.first_epoch > 1:
            break
    os.kill(engine_of(server.pid), signal.SIGKILL)
    # Without its engine the service reads and accepts.
    second = client.train(JobSpec(dataset="digits", epochs=1, seed=1))
    assert client.get_job(job.name).state is JobState.RUNNING
    for _ in job.watch():
        pass
    assert job.wait().latest.state is JobState.SUCCEEDED
    assert second.wait().latest.state is JobState.SUCCEEDED
    np.testing.assert_array_equal(job.results().values, undisturbed.results().values)


def test_a_population_is_trained_again_through_its_decisions(
    server: object, client: Client
) -> None:
    spec = replace(
        SPEC,
        objectives="validation_cost",
        population=PopulationBasedTraining(every_epochs=20),
    )
    reference = client.run(spec)
    adapted = 0
    job = client.train(spec)
    for event in job.watch():
        if not isinstance(event, TrialsAdapted):
            continue
        adapted += 1
        if adapted == 2:
            os.kill(engine_of(server.pid), signal.SIGKILL)
    assert adapted == 9
    assert job.wait().latest.state is JobState.SUCCEEDED
    np.testing.assert_array_equal(job.results().values, reference.results().values)
    found, expected = ([t.adaptations for t in j.trials()] for j in (job, reference))
    assert found == expected


def test_sigterm_ends_it_and_the_job_goes_on_later(make_server: Callable[..., object]) -> None:
    server = make_server("stopped")
    with Client(server.address) as client:
        job = client.train(SPEC)
        for event in job.watch():
            if isinstance(event, MetricsReceived):
                break
        begun = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - begun < 30
        server.start()
        for _ in job.watch():
            pass
        assert job.wait().latest.state is JobState.SUCCEEDED


def test_sigterm_during_the_start_ends_it_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "packtrain.service", "--listen", "127.0.0.1:0"]
    starting = subprocess.Popen(
        [*command, "--data-dir", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert starting.stderr is not None
    assert "starting its workers" in starting.stderr.readline()
    while not (tmp_path / "data" / "logs").exists():  # the engine is on its way
        time.sleep(0.05)
    starting.terminate()
    printed, said = starting.communicate(timeout=30)
    assert starting.returncode == 0
    assert "listens on" not in printed
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--listen", "nonsense"], 2, "--listen must be HOST:PORT"),
        (["--workers", "0"], 2, "--workers must be at least 1"),
        (["--max-workers", "4"], 2, "--max-workers is for a Ray cluster that grows"),
        (["--store", "mysql://host/jobs"], 2, "--store must be postgresql://"),
        (["--datasets", "/nowhere"], 2, "--datasets must be a directory"),
        (["--data-dir", "/dev/null/x"], 1, "can't be written"),
        (
            ["--ray-address", "nowhere"],
            2,
            '--ray-address: the address of a Ray cluster must be "auto"',
        ),
    ],
)
def test_a_start_that_fails_says_what_to_do(
    tmp_path: Path, options: list[str], code: int, words: str
) -> None:
    command = [sys.executable, "-m", "packtrain.service"]
    if "--listen" not in options:
        command += ["--listen", "127.0.0.1:0"]
    if "--data-dir" not in options:
        command += ["--data-dir", str(tmp_path / "data")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_ray_of_its_own_that_does_not_start_ends_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "packtrain.service", "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data")],
        env=os.environ | {"PACKTRAIN_FAILPOINTS": "engine.before_start=fail"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "packtrain serve: a failpoint was reached"
    assert "Traceback" not in done.stderr


def test_a_cluster_that_is_away_is_waited_for(make_server: Callable[..., object]) -> None:
    address = f"127.0.0.1:{free_port()}"
    server = make_server("away", "--ray-address", address)
    with Client(server.address) as client:
        job = client.train(SPEC)
        while not (info := client.server_info()).engine_problem:
            time.sleep(0.05)
        assert (info.engine_state, info.workers) == ("starting", 0)
        assert f"no Ray cluster answers at {address}" in info.engine_problem
        assert job.refresh().state is JobState.QUEUED
    assert server.terminate() == 0
    log = (server.data_dir / "server.log").read_text()
    assert "engine.start_failed" in log
    assert info.engine_problem in log
    assert "Traceback" not in log


def test_a_taken_port_and_a_taken_data_directory_are_refused(
    server: object, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "packtrain.service"]
    for options, words in (
        (["--listen", server.address, "--data-dir", str(tmp_path / "other")], "can't listen on"),
        (["--listen", "127.0.0.1:0", "--data-dir", str(server.data_dir)], "in use by another"),
    ):
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
