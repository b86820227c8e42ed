"""Warm starts and learning-rate ranges, as objects, in files and on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from tests.client.conftest import EventLog, FakeServer, changed, get_job, job
from tests.client.test_cli import Packtrain

from packtrain.client import (
    SGD,
    FromModel,
    GivenArrays,
    He,
    JobHandle,
    JobSpec,
    LearningRateFinding,
    LearningRateOutcome,
    LearningRateRange,
    ScaledGaussian,
    SpecError,
    choice,
    integer,
    log_uniform,
)
from packtrain.client.converters import range_document, read_job, spec_message
from packtrain.client.rate_plotting import draw_rates
from packtrain.client.spec_files import read_spec
from packtrain.v1 import job_pb2, training_service_pb2

RATE = "optimizer.sgd.learning_rate"
FOUND = job_pb2.LearningRateFinding(
    threshold=4,
    best=3,
    suggestion=2,
    initial_cost=0.7,
    outcome="LEARNING_RATE_OUTCOME_FOUND",
    explanation="Start from 2: it falls.",
)
NONE = job_pb2.LearningRateFinding(
    outcome="LEARNING_RATE_OUTCOME_TOO_HIGH", explanation="No advice: try lower rates."
)


@pytest.fixture
def packtrain(fake: FakeServer) -> Packtrain:
    return Packtrain(fake.target)


def form(**fields: Any) -> dict[str, Any]:
    message = spec_message(JobSpec(dataset="digits", **fields))
    document = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert document.pop("dataset") == {"name": "datasets/digits"}
    return document


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (FromModel(job="first"), {"job": "jobs/first"}),
        (FromModel(job="jobs/first", trial=3), {"job": "jobs/first", "trial": 3}),
        (
            FromModel(job="first", layers=1, rest=He(distribution="uniform")),
            {
                "job": "jobs/first",
                "layers": 1,
                "rest": {"he": {"distribution": "DISTRIBUTION_UNIFORM"}},
            },
        ),
    ],
)
def test_an_origin_is_written(origin: FromModel, expected: dict[str, Any]) -> None:
    assert form(initialization=origin) == {"initialization": {"model": expected}}


def test_a_job_at_hand_is_an_origin(client: Any) -> None:
    record = read_job(job(name="jobs/first"))
    for source in (record, JobHandle(client, record)):
        written = form(initialization=FromModel(job=source))
        assert written["initialization"]["model"]["job"] == "jobs/first"


def test_origins_are_searched() -> None:
    written = form(initialization=FromModel(job="first", trial=integer(0, 4)))
    (parameter,) = written["search"]["parameters"]
    assert parameter["path"] == "initialization.model.trial"
    written = form(initialization=FromModel(job=choice("first", "jobs/second")))
    (parameter,) = written["search"]["parameters"]
    assert parameter["choice"]["values"] == ["jobs/first", "jobs/second"]
    several = choice(ScaledGaussian(), FromModel(job="first", trial=2))
    (parameter,) = form(initialization=several)["search"]["parameters"]
    assert parameter["choice"]["values"] == [
        {"scaled_gaussian": {}},
        {"model": {"job": "jobs/first", "trial": 2.0}},
    ]


def test_what_is_no_origin_is_named() -> None:
    with pytest.raises(SpecError, match=r"initialization\.model\.job: expected a job or its name"):
        FromModel(job=3)
    with pytest.raises(SpecError, match=r"initialization\.rest"):
        form(initialization=FromModel(job="first", rest="he"))
    # What the server refuses can be written all the same.
    form(initialization=FromModel(job="first", rest=GivenArrays(weights=[], biases=[])))


def test_a_file_may_name_an_origin(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("initialization: {model: {job: jobs/first, layers: 1, rest: {he: {}}}}\n")
    message = spec_message(read_spec(str(path)))
    assert message.initialization.model.rest.WhichOneof("kind") == "he"


def test_a_range_is_written() -> None:
    assert form(search=LearningRateRange()) == {"search": {"learning_rate_range": {}}}
    assert form(search=LearningRateRange(low=0.1, high=2, points=9)) == {
        "search": {"learning_rate_range": {"low": 0.1, "high": 2, "points": 9}}
    }


def test_a_range_beside_a_domain_is_refused() -> None:
    with pytest.raises(SpecError, match=r"optimizer.learning_rate: holds a domain"):
        form(optimizer=SGD(learning_rate=log_uniform(0.1, 1)), search=LearningRateRange())


def test_a_finding_is_read() -> None:
    assert read_job(job()).learning_rate_finding is None
    found = read_job(job(learning_rate_finding=FOUND)).learning_rate_finding
    assert found == LearningRateFinding(
        threshold=4,
        best=3,
        suggestion=2,
        initial_cost=0.7,
        outcome=LearningRateOutcome.FOUND,
        explanation="Start from 2: it falls.",
    )
    assert str(found) == "Start from 2: it falls."
    none = read_job(job(learning_rate_finding=NONE)).learning_rate_finding
    assert none == LearningRateFinding(
        threshold=None,
        best=None,
        suggestion=None,
        outcome=LearningRateOutcome.TOO_HIGH,
        explanation="No advice: try lower rates.",
    )


def test_every_outcome_is_known() -> None:
    for number in job_pb2.LearningRateOutcome.values():
        found = job_pb2.LearningRateFinding(outcome=number)
        finding = read_job(job(learning_rate_finding=found)).learning_rate_finding
        assert finding is not None
        assert (finding.outcome is None) == (number == 0)


@pytest.mark.parametrize(
    ("document", "wanted", "epochs", "expected"),
    [
        (
            {"optimizer": {"sgd": {"learning_rate": 0.5, "momentum": 0.9}}, "epochs": 30},
            LearningRateRange(),
            None,
            {
                "optimizer": {"sgd": {"momentum": 0.9}},
                "epochs": 3,
                "search": {"learning_rate_range": {}},
            },
        ),
        (
            {"optimizer": {"adam": {"learningRate": 0.5}}},
            LearningRateRange(high=1, points=5),
            7,
            {
                "optimizer": {"adam": {}},
                "epochs": 7,
                "search": {"learning_rate_range": {"high": 1, "points": 5}},
            },
        ),
        # Its own range, but for what is said.
        (
            {"epochs": 9, "search": {"learningRateRange": {"low": 0.1, "points": 4}}},
            LearningRateRange(points=6),
            None,
            {"epochs": 9, "search": {"learning_rate_range": {"low": 0.1, "points": 6}}},
        ),
        (
            {
                "stopping": {"patience": {}},
                "measurement": {"metrics": ["weight_norm"], "everyEpochs": 5},
                "search": {"random": {"trials": 3}, "parameters": [{"path": RATE, "uniform": {}}]},
            },
            LearningRateRange(),
            None,
            {
                "measurement": {"metrics": ["weight_norm", "training_cost"]},
                "epochs": 3,
                "search": {"learning_rate_range": {}},
            },
        ),
    ],
)
def test_any_specification_becomes_a_range(
    document: dict[str, Any],
    wanted: LearningRateRange,
    epochs: int | None,
    expected: dict[str, Any],
) -> None:
    assert range_document(document, wanted, epochs) == expected


def test_a_search_of_more_becomes_none() -> None:
    parameters = [{"path": RATE}, {"path": "batch_size"}]
    with pytest.raises(SpecError, match="give batch_size a value instead"):
        range_document({"search": {"parameters": parameters}}, LearningRateRange(), None)


def script_range(fake: FakeServer, finding: job_pb2.LearningRateFinding = FOUND) -> None:
    fake.script("CreateJob", training_service_pb2.CreateJobResponse(job=job("QUEUED")))
    fake.answers["WatchJob"] = EventLog(changed("RUNNING"), changed("SUCCEEDED")).replay
    fake.script("GetJob", get_job("SUCCEEDED", learning_rate_finding=finding))
    trials = [
        job_pb2.Trial(
            name=f"jobs/j/trials/{index}",
            index=index,
            state=state,
            parameters={RATE: {"number_value": 2.0**index}},
            final_metrics={"training_cost": cost, "validation_cost": 9},
        )
        for index, (cost, state) in enumerate(
            [(0.5, job_pb2.TRIAL_STATE_SUCCEEDED)] * 29
            + [(float("nan"), job_pb2.TRIAL_STATE_DIVERGED)]
        )
    ]
    fake.script("ListTrials", training_service_pb2.ListTrialsResponse(trials=trials))


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.yaml"
    path.write_text("optimizer: {sgd: {learning_rate: 3}}\nepochs: 30\n")
    return str(path)


def test_find_rate_tells_where_to_start(
    packtrain: Packtrain, fake: FakeServer, spec: str, tmp_path: Path
) -> None:
    script_range(fake)
    plot = tmp_path / "rates.png"
    told = packtrain("find-rate", spec, "--low", "0.01", "--plot", str(plot)).stdout.splitlines()
    assert told[0] == "Start from 2: it falls."
    assert told[2].split() == ["learning", "rate", "training", "cost", "state"]
    rows = told[3:15]
    assert rows[0].split() == ["1", "0.5", "succeeded"]
    assert rows[-1].split() == ["5.37e+08", "-", "diverged"]
    assert told[-1] == "The whole range: packtrain trials j"
    assert plot.read_bytes().startswith(b"\x89PNG")
    sent = fake.requests["CreateJob"][0].spec
    assert not sent.optimizer.sgd.HasField("learning_rate")
    assert (sent.epochs, sent.search.learning_rate_range.low) == (3, 0.01)


def test_find_rate_is_for_programs_too(packtrain: Packtrain, fake: FakeServer, spec: str) -> None:
    script_range(fake)
    (told,) = packtrain.lines("find-rate", spec, "--json", "--epochs", "5")
    assert told["job"] == "jobs/j"
    assert told["learning_rate_finding"] == {
        "threshold": 4,
        "best": 3,
        "suggestion": 2,
        "initial_cost": 0.7,
        "outcome": "found",
        "explanation": "Start from 2: it falls.",
    }
    assert len(told["rates"]) == 30
    assert told["rates"][1] == {"learning_rate": 2, "training_cost": 0.5, "state": "succeeded"}
    assert told["rates"][-1]["training_cost"] is None
    assert fake.requests["CreateJob"][0].spec.epochs == 5


def test_find_rate_says_when_there_is_none(
    packtrain: Packtrain, fake: FakeServer, spec: str
) -> None:
    script_range(fake, NONE)
    assert packtrain("find-rate", spec).stdout.startswith("No advice: try lower rates.\n")
    (told,) = packtrain.lines("find-rate", spec, "--json")
    found = told["learning_rate_finding"]
    assert (found["suggestion"], found["outcome"]) == (None, "too_high")
    assert found["explanation"] == "No advice: try lower rates."


def test_find_rate_ends_as_its_job_does(packtrain: Packtrain, fake: FakeServer, spec: str) -> None:
    script_range(fake)
    fake.script("GetJob", get_job("CANCELLED"))
    fake.answers["WatchJob"] = EventLog(changed("CANCELLED")).replay
    assert not packtrain("find-rate", spec, code=3).stdout


def test_find_rate_refuses_what_it_can_not_do(
    packtrain: Packtrain, fake: FakeServer, spec: str, tmp_path: Path
) -> None:
    script_range(fake)
    for plot, said in (("rates.nonsense", "must end in .png"), ("no/r.png", "there is no folder")):
        told = packtrain("find-rate", spec, "--plot", str(tmp_path / plot), code=2).stderr
        assert said in " ".join(told.split())
    assert not fake.requests["CreateJob"]  # nothing was trained for it
    packtrain("find-rate", spec, "--epochs", "1", code=2)
    Path(spec).write_text("search: {grid: {}, parameters: [{path: batch_size}]}\n")
    told = packtrain("find-rate", spec, code=2).stderr
    assert told.endswith("give batch_size a value instead\n")


def test_show_tells_the_finding(packtrain: Packtrain, fake: FakeServer) -> None:
    script_range(fake)
    assert "finding       Start from 2: it falls." in packtrain("show", "j").stdout


@pytest.mark.parametrize(
    "costs",
    [[3.0, 2.0, 1.0], [300.0, 1.0, float("inf")], [-1.0, 0.0, 2.0], [float("inf")] * 3, [1.0] * 3],
)
def test_rates_are_drawn(tmp_path: Path, costs: list[float]) -> None:
    finding = LearningRateFinding(threshold=None, best=0.1, suggestion=None)
    points = list(zip([0.1, 1.0, 10.0], costs, strict=True))
    draw_rates(points, finding, tmp_path / "p.svg", title="rates")
    drawn = (tmp_path / "p.svg").read_text()
    assert ("diverged" in drawn) == (float("inf") in costs)
