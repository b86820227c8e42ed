"""What the command line says when something is wrong: a sentence, a hint, an exit code."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import grpc
import pytest
from rich.console import Console
from rich.progress import Progress
from tests.client.conftest import (
    FakeServer,
    Packtrain,
    Refusal,
)
from typer.testing import CliRunner

from packtrain.client import RetrySettings, Unavailable, cli, errors
from packtrain.client.commands import connection, datasets, exit_codes
from packtrain.client.commands.follow import _columns, tell_interruption


def test_wrong_fields_are_listed(packtrain: Packtrain, fake: FakeServer, spec: str) -> None:
    wrong = (("spec.epochs", "must be above 0"), ("spec.seed", "must be small"))
    code = grpc.StatusCode.INVALID_ARGUMENT
    fake.script("CreateJob", Refusal(code, f"{': '.join(wrong[0])} (and 1 more)", violations=wrong))
    assert packtrain("submit", spec, code=2).stderr == (
        "packtrain: these fields are wrong:\n  epochs: must be above 0\n  seed: must be small\n"
    )
    fake.script("CreateJob", Refusal(code, ": ".join(wrong[0]), violations=wrong[:1]))
    assert packtrain("submit", spec, code=2).stderr == "packtrain: epochs: must be above 0\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("x", code="UNAVAILABLE"), 1),
        (errors.InternalError("x", code="INTERNAL"), 1),
        (errors.InvalidArgument("x", code="INVALID_ARGUMENT"), 2),
        (errors.NotFound("x", code="NOT_FOUND"), 2),
        (errors.AlreadyExists("x", code="ALREADY_EXISTS"), 2),
        (errors.FailedPrecondition("x", code="FAILED_PRECONDITION"), 2),
        (errors.ResourceExhausted("x", code="RESOURCE_EXHAUSTED"), 2),
        (errors.SpecError("x", "y"), 2),
        (FileNotFoundError(2, "x"), 2),
        (PermissionError(13, "x"), 1),
    ],
)
def test_every_refusal_exits_alike(error: Exception, code: int) -> None:
    assert exit_codes.exit_code(error) == code


def test_exit_codes_are_told_by_the_help_and_the_documentation(packtrain: Packtrain) -> None:
    told = "".join(packtrain("--help").stdout.split())
    documented = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
    for code, meaning in exit_codes.MEANINGS.items():
        assert "".join(f"{code} {meaning}".split()) in told
        assert f"| {code} | {meaning} |" in documented


def test_an_update_of_nothing_names_its_options(packtrain: Packtrain, fake: FakeServer) -> None:
    told = " ".join(packtrain("update", "j", code=2).stderr.split())
    assert "give --trials, --epochs, --priority, --label or --remove-label" in told
    assert not fake.requests


@pytest.mark.parametrize(
    ("args", "method", "field", "told"),
    [
        (("trials", "j", "--sort", "a"), "ListTrials", "order_by", "--sort"),
        (("trials", "j", "--order-by", "a"), "ListTrials", "order_by", "--order-by"),
        (("trials", "j", "--filter", "a"), "ListTrials", "filter", "--filter"),
        (("trials", "j", "--pareto", "a"), "ListTrials", "pareto[0]", "--pareto"),
        (("trials", "J"), "ListTrials", "parent", "JOB"),
        (("update", "j", "--epochs", "1"), "UpdateJob", "job.spec.epochs", "--epochs"),
        (("update", "j", "--label", "a=1"), "UpdateJob", "job.labels.a", "--label"),
        (("datasets", "show", "D"), "GetDataset", "name", "NAME"),
    ],
)
def test_a_wrong_option_is_told_as_it_is_written(
    packtrain: Packtrain,
    fake: FakeServer,
    args: tuple[str, ...],
    method: str,
    field: str,
    told: str,
) -> None:
    wrong = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, f"{field}: is wrong", violations=((field, "is wrong"),)
    )
    fake.script(method, wrong)
    assert packtrain(*args, code=2).stderr == f"packtrain: {told}: is wrong\n"


def test_a_wrong_file_is_told_before_the_server_is_asked(
    packtrain: Packtrain, fake: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("epoch: 3\nseed: x\n")
    assert packtrain("run", str(path), code=2).stderr == (
        f"packtrain: {path} is not a specification:\n"
        "  epoch: is not a field; did you mean epochs?\n"
        "  seed: expected a whole number, not 'x'\n"
    )
    assert packtrain("run", str(tmp_path / "no.yaml"), code=2).stderr.endswith(
        "no.yaml: No such file or directory\n"
    )
    assert not fake.requests


def test_a_job_in_place_of_a_file_is_hinted_at(packtrain: Packtrain) -> None:
    told = packtrain("run", "jobs/my-sweep", code=2).stderr
    assert told.endswith("to follow the job of that name: packtrain watch my-sweep\n")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("jobs", "--limit", "0"), "'--limit': expected 1 or more"),
        (("jobs", "--limit", "x"), "'--limit': expected a whole number"),
        (("jobs", "--state", "x"), "'--state': 'x' is not one of 'queued'"),
        (("jobs", "--server", "x:1"), "it comes before the command: packtrain --server"),
        (("datasets", "list", "--server", "x:1"), "comes before the command: packtrain --server"),
        (("--server", "http://x:1", "jobs"), "expected HOST:PORT, without http://"),
    ],
)
def test_usage_errors_are_plain(packtrain: Packtrain, args: tuple[str, ...], told: str) -> None:
    assert told in packtrain(*args, code=2).stderr


def test_a_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_RETRY", RetrySettings(budget_seconds=0))
    told = CliRunner().invoke(cli.app, ["--server", "nosuch.invalid:1", "jobs"])
    assert told.exit_code == 1
    assert "nosuch.invalid:1 can't be resolved" in told.stderr


@pytest.mark.parametrize("width", [70, 80, 100, 150])
def test_the_progress_bar_fits_the_terminal(width: int) -> None:
    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    bar = Progress(*_columns(width), console=console)
    best = "best validation_accuracy 0.9432"
    bar.add_task("jobs/calm-otter-42", total=30_000, completed=12_000, best=best)
    with console.capture() as captured:
        console.print(bar.get_renderable())
    (line,) = captured.get().splitlines()
    assert line.startswith("jobs/calm-otter-42 ━")
    assert "12000" in line
    assert "best val" in line
    assert ("elapsed" in line, "remaining" in line) == (width >= 100, width >= 150)


def test_a_server_that_stops_is_told_without_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    words = "the server stops; the watch can be resumed with its last resume_token"
    tell_interruption(Unavailable(words, code="UNAVAILABLE", reason="SERVER_STOPPING"))
    assert capsys.readouterr().err == "packtrain: the server stops; connecting again\n"


def test_a_download_goes_into_a_folder_of_its_name(
    packtrain: Packtrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        datasets, "download_mnist", lambda folder, mirrors: iter([(folder / "a.gz", True)])
    )
    mnist = tmp_path / "mnist"
    for directory in (tmp_path, mnist):
        told = packtrain("datasets", "download", "mnist", "--directory", str(directory)).stdout
        assert told.splitlines() == [
            f"{mnist / 'a.gz'} fetched",
            f"Offer it as datasets/mnist: packtrain serve --datasets {tmp_path}",
        ]
    args = ("datasets", "download", "mnist", "--directory", str(tmp_path), "--json")
    assert packtrain.lines(*args) == [{"path": str(mnist / "a.gz"), "fetched": True}]


def test_an_unknown_job_is_one_sentence(packtrain: Packtrain, fake: FakeServer) -> None:
    refusal = Refusal(grpc.StatusCode.NOT_FOUND, "there is no job jobs/nope")
    fake.script("GetJob", refusal)
    assert packtrain("show", "nope", code=2).stderr == "packtrain: there is no job jobs/nope\n"
    assert packtrain("watch", "nope", code=2).stderr == "packtrain: there is no job jobs/nope\n"


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("PACKTRAIN_SERVER", target)
    monkeypatch.setattr(connection, "_RETRY", RetrySettings(budget_seconds=0.2))
    result = CliRunner().invoke(cli.app, ["jobs"])
    assert result.exit_code == 1
    assert f"the server at {target} can't be reached" in result.stderr
    assert "packtrain serve" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_server_without_its_port_is_told_so() -> None:
    details = "Failed to connect to remote host: Connection refused"
    told = errors._transport_message(grpc.StatusCode.UNAVAILABLE, details, "10.0.0.1")
    assert (
        told == "the server at 10.0.0.1 can't be reached (Connection refused); expected HOST:PORT"
    )
