"""The command line against the fake server: what it prints, and how it exits."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from tests.client.conftest import (
    EventLog,
    FakeServer,
    Packtrain,
    block,
    changed,
    dataset,
    get_job,
    job,
    ordinary_log,
)

from packtrain.v1 import dataset_service_pb2, job_pb2, server_service_pb2, training_service_pb2

COMMANDS = (
    *(
        "serve",
        "run",
        "submit",
        "watch",
        "find-rate",
        "jobs",
        "show",
        "trials",
        "importance",
        "metrics",
        "export",
        "model",
        "plot",
    ),
    *(
        "update",
        "pause",
        "resume",
        "retry",
        "cancel",
        "delete",
        "info",
        "demo",
        "datasets list",
        "datasets show",
        "datasets upload",
    ),
    *("datasets delete", "datasets download"),
)


def created(state: str = "QUEUED") -> training_service_pb2.CreateJobResponse:
    plan = job_pb2.JobPlan(
        trials=3, packs=2, memory_bytes=3 * 2**20, operations=1.5e9, worker_seconds=2.5, seconds=1.5
    )
    progress = job_pb2.JobProgress(trials=1, trial_epochs_total=3)
    made = job(state, progress=progress, layer_sizes=[64, 30, 10], metrics=["m"])
    return training_service_pb2.CreateJobResponse(job=made, plan=plan)


def trial(index: int, rate: float, **metrics: float) -> job_pb2.Trial:
    made = job_pb2.Trial(
        name=f"jobs/j/trials/{index}",
        index=index,
        state=job_pb2.TRIAL_STATE_SUCCEEDED,
        epochs=3,
        final_metrics=metrics,
        arithmetics=["NumPy 2.4.6 X86_V3, OpenBLAS 0.3.31 Zen"],
    )
    made.parameters["optimizer.sgd.learning_rate"].number_value = rate
    adaptation = made.adaptations.add(epoch=2, copied_trial=7)
    adaptation.parameters["optimizer.sgd.learning_rate"].number_value = 1.5
    return made


TRIALS = training_service_pb2.ListTrialsResponse(
    trials=[
        trial(0, 0.1, training_cost=3.0, validation_accuracy=0.5),
        trial(1, 0.2, training_cost=float("nan"), validation_accuracy=0.25),
        trial(2, 0.3, training_cost=1.0, validation_accuracy=0.75),
    ]
)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "serve"])
def test_every_help_has_an_example(command: str, packtrain: Packtrain) -> None:
    assert f"Example: packtrain {command.split()[0]}" in " ".join(
        packtrain(*command.split(), "--help")
        .stdout.replace("--server training.example:50051 ", "")
        .split()
    )


def test_submit_prints_the_name_alone(packtrain: Packtrain, fake: FakeServer, spec: str) -> None:
    fake.script("CreateJob", created())
    assert packtrain("submit", spec, "--job-id", "mine").stdout == "j\n"
    (request,) = fake.requests["CreateJob"]
    assert (request.job_id, request.spec.epochs, request.validate_only) == ("mine", 3, False)
    assert request.request_id
    (told,) = packtrain.lines("submit", spec, "--json")
    assert (told["job"]["state"], told["plan"]["packs"]) == ("queued", 2)


def test_a_dry_run_prints_the_plan(packtrain: Packtrain, fake: FakeServer, spec: str) -> None:
    fake.script("CreateJob", created())
    told = packtrain("plan", spec).stdout
    assert "memory      3.0 MiB" in told
    assert "seconds     about 1.5, on one worker 2.5" in told
    assert "layers      64, 30, 10" in told
    assert fake.requests["CreateJob"][0].validate_only


def test_a_specification_may_come_by_the_standard_input(
    packtrain: Packtrain, fake: FakeServer
) -> None:
    fake.script("CreateJob", created())
    packtrain("submit", "-", stdin="epochs: 1e1")
    assert fake.requests["CreateJob"][0].spec.epochs == 10


def test_run_follows_to_the_end(packtrain: Packtrain, fake: FakeServer, spec: str) -> None:
    fake.script("CreateJob", created())
    fake.answers["WatchJob"] = ordinary_log().replay
    fake.script("ListTrials", TRIALS)
    result = packtrain("run", spec)
    assert "jobs/j queued\njobs/j running\njobs/j succeeded\n" in result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == [
        *("trial", "state", "epochs", "learning_rate", "training_cost", "validation_accuracy")
    ]
    assert [row.split()[0] for row in rows] == ["0", "1", "2"]


def test_run_prints_an_event_a_line(packtrain: Packtrain, fake: FakeServer, spec: str) -> None:
    fake.script("CreateJob", created())
    with_nan = block(1, 2, metrics=("a", "b"))
    values = np.array([[1, np.nan], [np.inf, 2]], "<f4")
    with_nan.values = values.tobytes()
    fake.answers["WatchJob"] = EventLog({"metrics": with_nan}, changed("SUCCEEDED")).replay
    first, metrics, last = packtrain.lines("run", spec, "--json")
    assert (first["event"], first["job"]["name"]) == ("created", "jobs/j")
    assert metrics["event"] == "metrics"
    assert metrics["values"] == [[[1, None], ["Infinity", 2]]]
    assert (last["event"], last["state"], last["resume_token"]) == ("job", "succeeded", "t2")


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELLED", 3)])
def test_the_exit_code_tells_how_it_ended(
    packtrain: Packtrain, fake: FakeServer, spec: str, state: str, code: int
) -> None:
    fake.script("CreateJob", created())
    fake.script("ListTrials", TRIALS)
    failure = {"failure": job_pb2.Failure(message="No data.")} if state == "FAILED" else {}
    fake.answers["WatchJob"] = EventLog(changed(state, **failure)).replay
    result = packtrain("run", spec, code=code)
    assert ("No data." in result.stderr) == (state == "FAILED")


def test_ctrl_c_leaves_the_job_running(
    packtrain: Packtrain, fake: FakeServer, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **more: Any) -> Any:
        raise KeyboardInterrupt
        yield

    fake.script("CreateJob", created())
    monkeypatch.setattr("packtrain.client.client.Client.watch_job", interrupt)
    told = packtrain("run", spec, code=130).stderr
    assert "jobs/j goes on" in told
    assert "packtrain watch j" in told
    assert "packtrain cancel j" in told
    assert not fake.requests["CancelJob"]


def test_watch_goes_on_after_a_token(packtrain: Packtrain, fake: FakeServer) -> None:
    fake.script("GetJob", get_job())
    fake.answers["WatchJob"] = ordinary_log().replay
    args = ("--resume-token", "t6", "--trials", "0,2-4", "--metric", "m", "--replay-only")
    (event,) = packtrain.lines("watch", "jobs/j", "--json", *args)
    assert event["state"] == "succeeded"
    (request,) = fake.requests["WatchJob"]
    assert (list(request.trials), list(request.metrics)) == ([0, 2, 3, 4], ["m"])
    assert request.replay_only


def test_trials_are_asked_for_in_the_contracts_words(
    packtrain: Packtrain, fake: FakeServer
) -> None:
    fake.script("ListTrials", TRIALS)
    told = packtrain.lines("trials", "j", "--json")
    assert [t["index"] for t in told] == [0, 1, 2]
    assert told[0]["arithmetics"] == ["NumPy 2.4.6 X86_V3, OpenBLAS 0.3.31 Zen"]
    assert told[0]["adaptations"] == [
        {"epoch": 2, "copied_trial": 7, "parameters": {"optimizer.sgd.learning_rate": 1.5}}
    ]
    assert len(packtrain.lines("trials", "j", "--json", "--top", "1")) == 1
    rows = packtrain("trials", "j", "--sort", "validation_accuracy").stdout.splitlines()
    assert rows[0].split()[4] == "validation_accuracy"
    assert rows[1].split()[:5] == ["0", "succeeded", "3", "0.1", "0.5"]
    began = "Parameters are those that the trials began with; packtrain trials j --json tells"
    assert began in packtrain("trials", "j").stderr
    packtrain("trials", "j", "--sort", "training_cost", "--filter", "index < 3")
    packtrain("trials", "j", "--order-by", "epochs desc", "--pareto", "a", "--pareto", "b asc")
    asked = fake.requests["ListTrials"]
    assert (asked[1].page_size, asked[1].order_by) == (1, "")
    assert asked[2].order_by == "validation_accuracy desc"
    assert (asked[4].order_by, asked[4].filter) == ("training_cost asc", "index < 3")
    assert (asked[5].order_by, list(asked[5].pareto)) == ("epochs desc", ["a", "b asc"])
    packtrain("trials", "j", "--sort", "a", "--order-by", "b", code=2)
    directed = packtrain("trials", "j", "--sort", "validation_accuracy desc", code=2)
    assert "expected a metric alone" in directed.stderr
    assert len(fake.requests["ListTrials"]) == 6


def test_alternatives_are_shown_by_their_names_as_filters_take_them(
    packtrain: Packtrain, fake: FakeServer
) -> None:
    made = job_pb2.Trial(name="jobs/j/trials/0", state=job_pb2.TRIAL_STATE_SUCCEEDED)
    json_format.ParseDict({"adam": {}}, made.parameters["optimizer"])
    json_format.ParseDict({"huber": {"delta": 2}}, made.parameters["cost"])
    fake.script("ListTrials", training_service_pb2.ListTrialsResponse(trials=[made]))
    told = packtrain("trials", "j")
    assert told.stdout.splitlines()[1].split(maxsplit=3)[3] == '{"huber": {"delta": 2}}  adam'
    assert "began with" not in told.stderr


def test_the_table_at_the_end_has_the_best_of_many(
    packtrain: Packtrain, fake: FakeServer, spec: str
) -> None:
    made = created()
    made.job.progress.trials = 3000
    made.job.metrics[:] = ["training_cost", "validation_accuracy"]
    fake.script("CreateJob", made)
    fake.answers["WatchJob"] = ordinary_log().replay
    fake.script("ListTrials", TRIALS)
    told = packtrain("run", spec)
    asked = fake.requests["ListTrials"][0]
    assert (asked.order_by, asked.page_size) == ("validation_accuracy desc", 10)
    assert len(fake.requests["ListTrials"]) == 1
    assert told.stdout.split()[4] == "validation_accuracy"
    assert "The best 10 of 3000" in told.stderr


def test_repeats_are_one_row_with_their_spread(packtrain: Packtrain, fake: FakeServer) -> None:
    made = [
        trial(i, rate, training_cost=cost)
        for i, (rate, cost) in enumerate(
            [(0.1, 1.0), (0.1, 3.0), (0.2, float("nan")), (0.2, 0.5), (0.3, float("inf"))]
        )
    ]
    for seed, each in enumerate(made):
        each.parameters["seed"].number_value = seed
    fake.script("ListTrials", training_service_pb2.ListTrialsResponse(trials=made))
    rows = packtrain("trials", "j", "--group-repeats", "--sort", "training_cost").stdout
    assert [row.split(maxsplit=2) for row in rows.splitlines()] == [
        ["trials", "learning_rate", "training_cost"],
        ["2", "0.2", "0.5 (1)"],
        ["2", "0.1", "2 ± 1.4"],
        ["1", "0.3", "-"],
    ]
    told = packtrain.lines("trials", "j", "--group-repeats", "--json")
    assert [t["trials"] for t in told] == [[0, 1], [2, 3], [4]]
    assert told[0]["mean"] == {"training_cost": 2.0}
    assert told[0]["standard_deviation"] == {"training_cost": pytest.approx(2**0.5)}
    assert told[1]["count"] == {"training_cost": 1}
    assert told[1]["standard_deviation"] == {"training_cost": None}
    packtrain("trials", "j", "--group-repeats", "--order-by", "index", code=2)
    wrong = packtrain("trials", "j", "--group-repeats", "--sort", "nonsense", code=2).stderr
    assert "expected a metric (training_cost)" in " ".join(wrong.split())


def test_importance_is_told_as_bars(packtrain: Packtrain, fake: FakeServer) -> None:
    answer = training_service_pb2.GetImportanceResponse(
        parameters=[
            {"path": "optimizer.sgd.learning_rate", "share": 0.75, "trials": 40},
            {"path": "optimizer.sgd.momentum", "share": 0.25, "trials": 10},
        ],
        metric="validation_cost",
        trials=40,
        evaluator="PED-ANOVA",
    )
    fake.script("GetImportance", answer)
    fake.script("GetJob", get_job("SUCCEEDED", metrics=["training_cost", "validation_cost"]))
    lines = packtrain("importance", "j").stdout.splitlines()
    assert lines[0] == "validation_cost (lowest is best), 40 trials, PED-ANOVA:"
    assert lines[1].split() == ["optimizer.sgd.learning_rate", "75.0%", "█" * 22]
    assert lines[2].endswith("(of the 10 trials that have it)")
    assert fake.requests["GetImportance"][0].metric == "validation_cost"
    (told,) = packtrain.lines("importance", "j", "--json", "--metric", "x")
    assert told["shares"] == {"optimizer.sgd.learning_rate": 0.75, "optimizer.sgd.momentum": 0.25}
    assert fake.requests["GetImportance"][1].metric == "x"


def test_metrics_as_csv_and_json(packtrain: Packtrain, fake: FakeServer, tmp_path: Path) -> None:
    first, second = block(1, 2, trials=(0, 3), metrics=("a", "b")), block(3, 1, trials=(3,))
    second.metrics[:] = ["a"]
    fake.answers["ReadMetrics"] = lambda request, context: iter(
        training_service_pb2.ReadMetricsResponse(block=b) for b in (first, second)
    )
    rows = list(csv.reader(io.StringIO(packtrain("metrics", "j").stdout)))
    assert rows[0] == ["trial", "epoch", "a", "b"]
    assert rows[1] == ["0", "1", "1.0", "1.1"]
    assert rows[-1] == ["3", "3", "3003.0", ""]
    assert len(rows) == 1 + 5
    path = tmp_path / "m.json"
    packtrain("metrics", "j", "--format", "json", "-o", str(path), "--trials", "0-1")
    told = json.loads(path.read_text())
    assert (told["trials"], told["epochs"], told["metrics"]) == ([0, 3], [1, 2, 3], ["a", "b"])
    assert told["values"][0][2] == [None, None]
    assert list(fake.requests["ReadMetrics"][-1].trials) == [0, 1]
    packtrain("metrics", "j", "--trials", "a-b", code=2)


@pytest.mark.parametrize("command", ["metrics", "plot", "watch"])
@pytest.mark.parametrize("text", ["5-2", "", "1,,2", ","])
def test_a_selection_of_no_trials_is_refused(
    packtrain: Packtrain, fake: FakeServer, command: str, text: str
) -> None:
    assert "--trials" in packtrain(command, "j", "--trials", text, code=2).stderr
    assert not fake.requests["ReadMetrics"]
    assert not fake.requests["WatchJob"]


def test_a_model_of_many_must_be_named(packtrain: Packtrain, fake: FakeServer) -> None:
    fake.script("GetJob", get_job(progress=job_pb2.JobProgress(trials=12)))
    told = " ".join(packtrain("model", "j", code=2).stderr.split())
    assert "j has 12 trials" in told
    assert "packtrain model j 0" in told
    wrong = packtrain("model", "j", "0", "-o", "best.onnx", code=2).stderr
    assert "best.onnx must end in .safetensors" in wrong
    assert not fake.requests["DownloadModel"]


def test_a_file_not_yet_read_says_so(packtrain: Packtrain, fake: FakeServer) -> None:
    unread = dataset_service_pb2.ListDatasetsResponse(datasets=[dataset()])
    fake.script("ListDatasets", unread)
    row = packtrain("datasets", "list").stdout.splitlines()[1]
    assert row.split() == ["d", "uploaded", "not", "read", "yet", "-", "-"]


def test_jobs_and_show(packtrain: Packtrain, fake: FakeServer) -> None:
    found = job("RUNNING", name="jobs/a-job-with-a-name-that-is-rather-long-for-a-table-in-a-pipe")
    found.progress.trial_epochs, found.progress.trial_epochs_total = 5, 10
    found.spec.batch_size = 30
    found.create_time.FromSeconds(1_700_000_000)
    fake.script("ListJobs", training_service_pb2.ListJobsResponse(jobs=[found]))
    fake.script("GetJob", training_service_pb2.GetJobResponse(job=found))
    told = packtrain("jobs", "--state", "running").stdout
    assert "a-job-with-a-name-that-is-rather-long-for-a-table-in-a-pipe  running" in told
    assert list(fake.requests["ListJobs"][0].states) == [job_pb2.JOB_STATE_RUNNING]
    assert packtrain.lines("jobs", "--json")[0]["create_time"] == "2023-11-14T22:13:20+00:00"
    told = packtrain("show", "j").stdout
    assert "trial-epochs  5/10" in told
    assert "specification:\n  batch_size: 30\n" in told
    assert packtrain.lines("show", "j", "--json")[0]["spec"] == {"batch_size": 30}


def test_cancel_and_delete(packtrain: Packtrain, fake: FakeServer) -> None:
    fake.script("CancelJob", training_service_pb2.CancelJobResponse(job=job("CANCELLING")))
    fake.script("DeleteJob", training_service_pb2.DeleteJobResponse())
    assert packtrain("cancel", "j").stdout == "j cancelling\n"
    assert packtrain.lines("cancel", "j", "--json")[0]["state"] == "cancelling"
    assert packtrain("delete", "jobs/j").stdout == "deleted jobs/j\n"
    assert packtrain.lines("delete", "j", "--json") == [{"deleted": "jobs/j"}]
    assert fake.requests["DeleteJob"][0].name == "jobs/j"


def test_model_and_plot_write_files(
    packtrain: Packtrain, fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = (
        b'{"layers.1.weights":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},'
        b'"layers.1.biases":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    )
    content = len(header).to_bytes(8, "little") + header + bytes(8)
    digest = hashlib.sha256(content).hexdigest()
    fake.answers["DownloadModel"] = lambda request, context: iter(
        (
            training_service_pb2.DownloadModelResponse(
                header={"size_bytes": len(content), "sha256": digest}
            ),
            training_service_pb2.DownloadModelResponse(chunk=content),
        )
    )
    monkeypatch.chdir(tmp_path)
    assert packtrain("model", "jobs/j", "2").stdout == "j-2.safetensors\n"
    assert Path("j-2.safetensors").read_bytes() == content
    fake.script("ListTrials", TRIALS)
    fake.answers["ReadMetrics"] = lambda request, context: iter(
        [training_service_pb2.ReadMetricsResponse(block=block(1, 3, trials=(0, 1, 2)))]
    )
    (told,) = packtrain.lines("model", "j", "2", "--json")
    assert told == {"path": "j-2.safetensors", "trial": 2, "size_bytes": len(content)}
    fake.script("GetTrial", training_service_pb2.GetTrialResponse(trial=TRIALS.trials[0]))
    (told,) = packtrain.lines("plot", "j", "--json")
    assert told == {"path": "j.png", "trials": [0, 1, 2], "metrics": ["m"]}
    assert Path("j.png").read_bytes().startswith(b"\x89PNG")
    packtrain("plot", "j", "-o", "j.nonsense", code=2)
    packtrain("plot", "j", "-o", "nowhere/j.png", code=2)
    fake.answers["ReadMetrics"] = lambda request, context: iter(())
    assert "has no metrics yet" in packtrain("plot", "j", code=1).stderr


def test_datasets(packtrain: Packtrain, fake: FakeServer, tmp_path: Path) -> None:
    made = dataset(features=2, classes=3, digest="abc", splits=[{"name": "train", "rows": 5}])
    fake.script("ListDatasets", dataset_service_pb2.ListDatasetsResponse(datasets=[made]))
    fake.script("GetDataset", dataset_service_pb2.GetDatasetResponse(dataset=made))
    fake.script("UploadDataset", dataset_service_pb2.UploadDatasetResponse(dataset=made))
    fake.script("DeleteDataset", dataset_service_pb2.DeleteDatasetResponse())
    assert packtrain("datasets", "list").stdout.splitlines()[1].split() == [
        *("d", "uploaded", "train", "5", "2", "3", "classes")
    ]
    assert packtrain.lines("datasets", "list", "--json")[0]["splits"] == {"train": 5}
    told = packtrain("datasets", "show", "d").stdout.splitlines()
    assert ["sha256", "abc"] in [line.split() for line in told]
    path = tmp_path / "d.csv"
    path.write_text("a,b,c\n1,2,0\n3,4,1\n")
    packtrain("datasets", "upload", "d", str(path), "--description", "mine")
    header, chunk, labels = fake.requests["UploadDataset"][0]
    assert (header.header.dataset_id, header.header.description) == ("d", "mine")
    assert chunk.chunk == np.array([[1, 2], [3, 4]], "<f8").tobytes()
    assert labels.chunk == np.array([0, 1], "<i8").tobytes()
    assert packtrain("datasets", "delete", "d").stdout == "deleted datasets/d\n"
    told = packtrain.lines("datasets", "delete", "d", "--json")
    assert told == [{"deleted": "datasets/d"}]
    path.write_text("a,b\n1,x\n")
    assert (
        "column 'b' holds text ('x'): classes must be whole numbers from 0"
        in packtrain("datasets", "upload", "d", str(path), code=2).stderr
    )
    assert "No such file" in packtrain("datasets", "upload", "d", "no.csv", code=2).stderr
    assert "expected mnist" in packtrain("datasets", "download", "cifar", code=2).stderr


def test_a_download_that_fails_is_one_sentence(packtrain: Packtrain, tmp_path: Path) -> None:
    args = ("--directory", str(tmp_path), "--mirror", "http://127.0.0.1:1/")
    told = packtrain("datasets", "download", "mnist", *args, code=1).stderr
    assert told.startswith("packtrain: train-images-idx3-ubyte.gz could not be fetched")


def test_info(packtrain: Packtrain, fake: FakeServer) -> None:
    fake.script(
        "GetServerInfo",
        server_service_pb2.GetServerInfoResponse(
            version="1.2",
            metrics=[server_service_pb2.MetricInfo(name="w", description="d", per_layer=True)],
            activations=["ACTIVATION_TANH", "ACTIVATION_SOFTMAX"],
            hidden_activations=["ACTIVATION_TANH"],
            numbers=[
                server_service_pb2.NumberInfo(path="e", whole=True, at_least=1),
                server_service_pb2.NumberInfo(path="f", above=0, below=1, default_value=0.5),
            ],
            engine=server_service_pb2.EngineInfo(
                state=server_service_pb2.ENGINE_STATE_STARTING, problem="no Ray cluster answers"
            ),
        ),
    )
    told = packtrain("info").stdout
    assert "starting, 0 workers: no Ray cluster answers\n" in told
    assert "not known until a worker was seen" in told
    assert "  w/LAYER  d" in told
    assert re.search(r"of outputs only +ACTIVATION_SOFTMAX\n", told)
    assert "  e  at least 1\n" in told
    assert "  f  above 0, below 1; unset: 0.5\n" in told
    assert packtrain.lines("info", "--json")[0]["version"] == "1.2"
