"""The benchmark of the trainer: what it counts, whom it asks, and what it tells."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from packtrain.training import (
    Cost,
    CostKind,
    GivenArrays,
    Pack,
    Rule,
    epoch_operations,
    make_trials,
    train,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the benchmark, which is no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT))

    def import_module(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.trainer.{name}")

    return import_module


def test_operations_are_those_of_the_products_alone(load: Any) -> None:
    shapes = load("shapes")
    # Forward 2 (784 x 30 + 30 x 10), backward as much and 2 x 30 x 10 for the hidden layer's
    # error, an evaluation of as many rows.
    by_hand = 1000 * (3 * 2 * (784 * 30 + 30 * 10) + 2 * 30 * 10)
    assert shapes.epoch_operations(shapes.SHAPES["small-batches"]) == by_hand
    # The training rows themselves are what is evaluated: 4 rows of 9 products and 3 for the error.
    assert shapes.epoch_operations(shapes.SHAPES["xor"]) == 4 * (3 * 2 * 9 + 2 * 3)


def test_the_trainer_counts_the_same_operations(load: Any) -> None:
    shapes, packed = load("shapes"), load("peers.packed")
    for shape in shapes.SHAPES.values():
        counted = epoch_operations(packed.make_signature(shape, 1), shape.rows, shape.evaluated)
        assert counted == shapes.epoch_operations(shape), shape.name


def make_figures(load: Any) -> Any:
    measure = load("measure")
    name = "small-batches"
    operations = load("shapes").epoch_operations(load("shapes").SHAPES[name])

    def figure(module: str, pack: int, gflops: float) -> Any:
        return measure.Figure(module, module, pack, operations / gflops / 1e9)

    figures = [
        figure("packed", 1, 10.0),
        figure("packed", 32, 58.0),
        figure("packed", 64, 60.0),
        figure("torch_eager", 1, 5.0),
        measure.Figure("jax_scan", "jax scan", 0, reason="jax: not installed"),
    ]
    return measure.Measured({name: figures}, [80.0, 100.0], [10.0, 12.0])


def test_the_table_tells_shares_ratios_and_who_was_not_there(load: Any) -> None:
    table, measured = load("table"), make_figures(load)
    text = table.as_text("small-batches", measured)
    rows = {line.split("  ")[1]: line.split() for line in text.splitlines() if line[:2] == "  "}
    assert "100 (least 80) GFLOP/s" in table.limits_as_text(measured)
    assert any(line.split()[-2:] == ["60.0", "60%"] for line in text.splitlines())
    assert rows["torch_eager"][-4:] == ["1/12", "of", "its", "time"]
    assert "jax scan" in rows
    assert "jax: not installed" in text
    assert "best is a pack of 64; packs pay up to 32 networks" in text


def test_the_json_says_the_same(load: Any) -> None:
    told = json.loads(json.dumps(load("table").as_json(make_figures(load))))
    shape = told["shapes"]["small-batches"]
    assert shape["packs_pay_up_to"] == 32
    assert shape["figures"][2]["gflops"] == pytest.approx(60.0)
    assert shape["figures"][4]["reason"] == "jax: not installed"


def test_a_pack_that_memory_does_not_hold_is_left_out(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, shapes = load("measure"), load("shapes")
    monkeypatch.setattr(measure, "available_bytes", lambda: 2**30)
    measure._check_memory(shapes.SHAPES["small-batches"], 1)
    with pytest.raises(measure.AbsentError, match="GiB"):
        measure._check_memory(shapes.SHAPES["small-batches"], 100_000)


NAMES = ["neuron", "xor", "small-batches", "large-batches", "deeper"]


def in_one_batch(shape: Any) -> Any:
    """The shape with so few rows that one mini-batch holds them: their order is then no matter."""
    return replace(shape, rows=20, batch=20, evaluated=10) if shape.evaluated else shape


def recorded_by_numpy(load: Any, shape: Any, epochs: int) -> np.ndarray:
    """(epochs, metrics) of one network."""
    data = load("shapes").make_data(shape)
    return np.array(load("peers.plain_numpy").prepare(shape, data, 1, epochs)())


@pytest.mark.parametrize("name", NAMES)
def test_the_peer_in_numpy_computes_what_the_trainer_computes(load: Any, name: str) -> None:
    # One that computed something else would be no measure of speed.
    shapes, packed = load("shapes"), load("peers.packed")
    shape = in_one_batch(shapes.SHAPES[name])
    weights, biases = zip(*((w[0], b[0]) for w, b in shapes.initial_weights(shape, 1)), strict=True)
    trials = make_trials(
        1,
        cost=Cost(CostKind(shape.cost)),
        rule=Rule(shape.rule),
        learning_rate=shape.learning_rate,
        l2=shape.l2,
        initialization=GivenArrays(weights, biases),
    )
    pack = Pack(packed.make_signature(shape, 5), trials)
    _, metrics = train(pack, packed.make_rows(shape, shapes.make_data(shape)))
    expected = recorded_by_numpy(load, shape, 5)
    np.testing.assert_allclose(metrics.values[0], expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_jax_computes_what_numpy_computes(load: Any, name: str) -> None:
    pytest.importorskip("jax")
    shape = in_one_batch(load("shapes").SHAPES[name])
    data = load("shapes").make_data(shape)
    _, recorded = load("peers.jax_scan").prepare(shape, data, 1, 5)()
    by_jax = np.stack([np.asarray(metric)[:, 0] for metric in recorded], axis=1)
    by_numpy = recorded_by_numpy(load, shape, 5)
    np.testing.assert_allclose(by_jax, by_numpy, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["neuron", "xor"])
def test_jax_written_out_computes_what_numpy_computes(load: Any, name: str) -> None:
    pytest.importorskip("jax")
    shape = load("shapes").SHAPES[name]
    data = load("shapes").make_data(shape)
    _, (cost, _), (last, _) = load("peers.jax_written_out").prepare(shape, data, 1, 5)()
    by_jax = np.append(np.asarray(cost)[1:, 0], np.asarray(last))
    by_numpy = recorded_by_numpy(load, shape, 5)[:, shape.recorded.index("training_cost")]
    np.testing.assert_allclose(by_jax, by_numpy, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("module", ["torch_eager", "torch_ensemble"])
@pytest.mark.parametrize("name", NAMES)
def test_pytorch_trains_every_shape(load: Any, module: str, name: str) -> None:
    pytest.importorskip("torch")
    shape = in_one_batch(load("shapes").SHAPES[name])
    run = load(f"peers.{module}").prepare(shape, load("shapes").make_data(shape), 3, 30)
    cost = [float(np.asarray(cost).mean()) for cost, _ in run()]
    assert cost[-1] < cost[0]


def test_absent_peers_are_told_and_the_table_still_prints(tmp_path: Path) -> None:
    # Packages that raise as missing ones do, in front of those that may be installed.
    for name in ("jax", "torch", "sklearn"):
        source = f"raise ModuleNotFoundError('hidden by a test', name={name!r})\n"
        (tmp_path / f"{name}.py").write_text(source)
    figures = tmp_path / "figures.json"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [sys.executable, "-m", "benchmarks.trainer", "--only", "xor", "--rounds", "1"]
    command += ["--pack-sizes", "100", "--json", str(figures)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    for name in ("jax", "torch", "sklearn"):
        assert f"{name}: not installed" in done.stdout
    told = json.loads(figures.read_text())["shapes"]["xor"]["figures"]
    measured = [f["contestant"] for f in told if "seconds_per_trial_step" in f]
    assert measured == ["packed", "bare", "plain_numpy"]
