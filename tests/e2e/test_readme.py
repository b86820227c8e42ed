"""What the README tells people to do, done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The demo starts a server of its own.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_example_runs(server: object) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    printed = run("-c", example.replace("localhost:50051", server.address))
    accuracy = float(re.search(r"value=([0-9.]+)", printed)[1])
    assert accuracy > 0.9


@pytest.mark.parametrize("example", ["neuron", "digits", "digits-adam", "digits-sweep"])
def test_an_example_file_runs(server: object, example: str) -> None:
    command = ["-m", "packtrain.client", "--server", server.address]
    printed = run(*command, "run", "--json", f"examples/{example}.yaml")
    events = [json.loads(line) for line in printed.splitlines()]
    assert any("succeeded" in json.dumps(event) for event in events[-2:])


def test_the_commands_run(server: object, tmp_path: Path) -> None:
    def packtrain(*arguments: str) -> str:
        return run("-m", "packtrain.client", *arguments, PACKTRAIN_SERVER=server.address)

    job = json.loads(packtrain("submit", "--json", "examples/neuron.yaml").splitlines()[0])
    name = job.get("name") or job["job"]["name"]
    packtrain("watch", name)
    assert len(packtrain("metrics", name, "--format", "csv").splitlines()) == 601
    packtrain("plot", name, "--output", str(tmp_path / "curves.png"))
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    packtrain("model", name, "1", "-o", str(tmp_path / "model.safetensors"))
    assert "succeeded" in packtrain("trials", name, "--sort", "output", "--top", "1")
    packtrain("delete", name)


def test_the_story_of_the_results_runs(server: object, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "results.md").read_text().replace("examples/", f"{ROOT}/examples/")
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    commands = re.findall(r"^packtrain (.*)$", shell, re.MULTILINE)
    filters = re.findall(r"^\| `([^`]+)` \|", text.split("**Filters**")[1], re.MULTILINE)[:4]
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    # One process for all: each would take a second to start.
    program = f"""
import shlex
from typer.testing import CliRunner
from packtrain.client import Client, cli
def run(*arguments):
    done = CliRunner().invoke(cli.app, ["--server", {server.address!r}, *arguments])
    assert done.exit_code == 0, (arguments, done.output)
    return done.stdout
for command in {commands!r}:
    assert run(*shlex.split(command, comments=True)), command
for wanted in {filters!r}:
    assert len(run("trials", "my-sweep", "--filter", wanted).splitlines()) > 1, wanted
client = Client({server.address!r})
exec({example!r})
run("delete", "my-sweep")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr


def test_a_learning_rate_is_found(server: object, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"^packtrain (find-rate .*)$", text, re.MULTILINE)
    told = run(
        *("-m", "packtrain.client", "--server", server.address),
        *command.replace("rates.png", str(tmp_path / "rates.png")).split(),
    )
    pattern = r"Start from ([0-9.]+): .* up to ([0-9.]+), and ended least at ([0-9.]+)\."
    promised = [float(n) for n in re.search(pattern, text).groups()]
    assert [float(n) for n in re.search(pattern, told).groups()] == pytest.approx(promised, rel=0.5)
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")


def test_the_demo_tells_its_story(tmp_path: Path) -> None:
    run("-m", "packtrain.client", "demo", "-o", str(tmp_path))
    told = json.loads((tmp_path / "summary.json").read_text())["experiments"]
    quadratic = [row["output_after_300_epochs"] for row in told["neuron-quadratic"]["results"]]
    assert quadratic == pytest.approx([0.09, 0.20], abs=0.005)
    cured = [row["output_after_150_epochs"] for row in told["neuron-cross-entropy"]["results"]]
    assert max(cured) < 0.05
    unit, scaled = (
        row["accuracy_after_30_epochs"]["mean"] for row in told["initialization"]["results"]
    )
    assert scaled > unit + 0.02
    by_lambda = {r["lambda"]: r for r in told["regularization"]["results"]}
    accuracy = {lam: r["validation_accuracy"]["mean"] for lam, r in by_lambda.items()}
    assert max(accuracy.values()) > accuracy[0.0] + 0.03
    assert accuracy[30.0] < 0.5
    norms = {lam: r["weight_norm_of_hidden_layer"]["mean"] for lam, r in by_lambda.items()}
    assert norms[1.0] < norms[0.0] / 2
    pictures = sorted(p.name for p in tmp_path.glob("*.png"))
    assert pictures == ["1-slowdown.png", "2-initialization.png", "3-regularization.png"]
