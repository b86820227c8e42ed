"""What the command line tells while a job trains."""

from __future__ import annotations

import grpc
import numpy as np
from tests.client.conftest import (
    EventLog,
    FakeServer,
    Packtrain,
    Refusal,
    changed,
    get_job,
    job,
)

from packtrain.client.commands.follow import Tally
from packtrain.client.converters import read_job
from packtrain.client.events import MetricsReceived
from packtrain.v1 import job_pb2, server_service_pb2, training_service_pb2


def test_the_live_best_is_the_best_so_far() -> None:
    tally = Tally(read_job(job(progress=job_pb2.JobProgress(trials=2, trial_epochs_total=8))))
    assert str(tally) == "0 of 8 trial-epochs"
    for first_epoch, values in (
        (1, [[0.2, 0.9], [0.3, np.nan]]),
        (3, [[0.1, np.nan], [np.inf, np.nan]]),
    ):
        tally.add(
            MetricsReceived(
                resume_token="t",
                time=None,
                trials=(4, 1),
                first_epoch=first_epoch,
                metrics=("validation_accuracy",),
                values=np.array(values, np.float32)[:, :, None],
            )
        )
    # It does not fall when the trial gets worse.
    assert str(tally) == "8 of 8 trial-epochs, best validation_accuracy 0.9 (trial 4, epoch 2)"


def test_the_live_best_is_not_of_an_epoch_that_diverged() -> None:
    tally = Tally(read_job(job(progress=job_pb2.JobProgress(trials=1, trial_epochs_total=2))))
    tally.add(
        MetricsReceived(
            resume_token="t",
            time=None,
            trials=(0,),
            first_epoch=1,
            metrics=("validation_accuracy", "training_cost"),
            values=np.array([[[0.3, 1.0], [0.9, np.nan]]], np.float32),
        )
    )
    assert str(tally) == "2 of 2 trial-epochs, best validation_accuracy 0.3 (epoch 1)"


def test_whoever_waits_is_told_why_once(packtrain: Packtrain, fake: FakeServer) -> None:
    beat = {"heartbeat": training_service_pb2.Heartbeat()}
    log = EventLog(changed("QUEUED"), beat, beat, beat, beat, changed("CANCELLED"))
    fake.answers["WatchJob"] = log.replay
    fake.script("GetJob", get_job())
    pb = server_service_pb2
    away = pb.EngineInfo(
        state=pb.ENGINE_STATE_STARTING, problem="no Ray cluster answers at 10.0.0.1:6379"
    )
    ready = pb.EngineInfo(state=pb.ENGINE_STATE_READY, workers=2)
    fake.script(
        "GetServerInfo",
        *[pb.GetServerInfoResponse(engine=away)] * 2,
        pb.GetServerInfoResponse(engine=ready),
        Refusal(grpc.StatusCode.INTERNAL, "it is broken"),
    )
    told = packtrain("watch", "j", code=3).stderr.splitlines()
    assert told == [
        "jobs/j queued",
        "packtrain: still waiting: no Ray cluster answers at 10.0.0.1:6379",
        "jobs/j cancelled",
    ]
    assert [line["event"] for line in packtrain.lines("watch", "j", "--json", code=3)] == [
        "job"
    ] * 2
