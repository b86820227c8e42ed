"""Pictures of sweeps, and where their trials stand on the axes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.client.conftest import FakeServer, Packtrain, get_job

from packtrain.client import Importance, MissingExtra, Results, Trial, TrialColumns, TrialState
from packtrain.client.plotting import (
    draw_front,
    draw_importance,
    draw_parallel,
    draw_results,
    draw_scatter,
    log_paths,
)
from packtrain.client.plotting.curves import named_trials
from packtrain.client.plotting.fronts import label_front
from packtrain.client.plotting.scales import label, metric_scale, parameter_scale
from packtrain.client.plotting.style import new_figure
from packtrain.client.results import default_goal
from packtrain.client.trial_columns import ParameterColumn
from packtrain.training import METRICS
from packtrain.v1 import job_pb2, training_service_pb2

pytest.importorskip("matplotlib")

RATE = "optimizer.sgd.learning_rate"
HOLES = "optimizer.sgd.momentum"


def sweep(count: int) -> TrialColumns:
    """Trials of numbers, choices and a parameter that only some have; some without a value."""
    draw = np.random.default_rng(0)
    columns = TrialColumns()
    for index in range(count):
        parameters: dict[str, Any] = {
            RATE: float(10 ** draw.uniform(-3, 1)),
            "network.hidden": [[30], [30, 30], [100]][index % 3],
            "cost": [{"crossEntropy": {}}, {"huber": {"delta": 0.5}}][index % 2],
            "regularization.l2": [0, 0.1, 1][index % 3],
        }
        if index % 2:
            parameters[HOLES] = float(draw.uniform())
        cost = float(draw.lognormal(0, 3)) if index % 7 else float("inf")
        columns.add(
            Trial(
                name=f"jobs/j/trials/{index}",
                index=index,
                state=TrialState.SUCCEEDED,
                parameters=parameters,
                epochs=3,
                final_metrics={"validation_cost": cost, "validation_accuracy": draw.uniform()},
                failure=None,
            )
        )
    return columns


@pytest.mark.parametrize(("count", "ending"), [(2, "svg"), (40, "png"), (1500, "png")])
def test_every_kind_draws_sweeps_of_any_size(tmp_path: Path, count: int, ending: str) -> None:
    columns, log = sweep(count), {RATE}
    path = tmp_path / f"a.{ending}"
    for metric in ("validation_cost", "validation_accuracy"):
        for draw in (draw_parallel, draw_scatter):
            draw(columns, metric, path, title="j", log=log)
            assert path.stat().st_size > 5000
            path.unlink()
    draw_front(columns, ("validation_cost", "validation_accuracy"), [1], path, title="j")
    assert path.stat().st_size > 5000


def test_importance_is_drawn_for_any_number_of_parameters(tmp_path: Path) -> None:
    for count in (1, 12):
        paths = [f"optimizer.sgd.parameter_{i}" for i in range(count)]
        found = Importance(
            metric="validation_cost",
            higher_is_better=False,
            shares=dict.fromkeys(paths, 1 / count),
            present=dict.fromkeys(paths, 7),
            trials=30,
            evaluator="PED-ANOVA",
        )
        draw_importance(found, tmp_path / "a.png", title="j")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    empty = TrialColumns()
    for draw in (draw_parallel, draw_scatter):
        with pytest.raises(ValueError, match="no parameter, or no trial has a finite a"):
            draw(empty, "a", tmp_path / "a.png")
    with pytest.raises(ValueError, match="no trial has a finite a and b"):
        draw_front(empty, ("a", "b"), [], tmp_path / "a.png")


def test_scales_follow_the_domains() -> None:
    spread = ParameterColumn("float", [0.001 * 4**i for i in range(8)])
    assert parameter_scale(spread, is_log=True).log
    assert not parameter_scale(spread, is_log=False).log
    np.testing.assert_allclose(parameter_scale(spread, is_log=True).unit(), np.arange(8) / 7)
    few = parameter_scale(ParameterColumn("int", [10, 0, None, 1]), is_log=False)
    assert few.ticks == ("0", "1", "10")
    np.testing.assert_array_equal(few.positions, [2, 0, np.nan, 1])
    text = parameter_scale(ParameterColumn("text", ["b", "a", "b"]), is_log=False)
    assert text.ticks == ("a", "b")
    assert label('{"crossEntropy":{}}') == "crossEntropy"
    assert label('{"constant":{"weight":0.6,"bias":0.9}}') == "constant 0.6, 0.9"
    assert label("x" * 50).endswith("…")
    spec = {
        "search": {"parameters": [{"path": "a", "log_uniform": {}}, {"path": "b", "choice": {}}]}
    }
    assert log_paths(spec) == {"a"}
    assert log_paths({"search": {"learning_rate_range": {}}}) == {RATE}
    assert log_paths({}) == set()


def test_a_metrics_axis_tells_good_trials_apart() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.96, 0.97, 0.98, np.nan])
    scale = metric_scale(values, is_high=True)
    assert scale.beyond == "≤"
    assert np.nanmin(scale.positions) == np.nanmedian(values)
    np.testing.assert_allclose(scale.unit()[[3, 5]], [0.943, 1], atol=0.001)
    assert metric_scale(1 - values, is_high=False).beyond == "≥"
    assert not metric_scale(np.linspace(0, 1, 10), is_high=True).beyond
    assert not metric_scale(np.ones(5), is_high=True).beyond


def test_near_points_of_a_front_share_a_label() -> None:
    figure = new_figure(4, 3, "j")
    axis = figure.subplots()
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    points = [("3", (0.1, 0.1)), ("18", (0.105, 0.102)), ("5", (0.5, 0.5)), ("7", (0.5, 0.9))]
    label_front(figure, axis, points, high_x=False, high_y=True)
    assert [text.get_text() for text in axis.texts] == ["3, 18", "5", "7"]


def test_goals_are_those_of_the_server() -> None:
    for name, metric in METRICS.items():
        assert (default_goal(name) == "max") is metric.higher_is_better, name


def test_curves_name_the_trials_that_are_told_apart() -> None:
    few = Results(trials=(3, 5), metrics=("a",), values=np.ones((2, 2, 1), np.float32))
    assert named_trials(few) == [3, 5]
    values = np.arange(40, 0, -1, dtype=np.float32).reshape(20, 2, 1)
    many = Results(trials=tuple(range(20)), metrics=("a",), values=values)
    assert named_trials(many) == [19]


def test_plots_without_their_extra_say_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"packtrain\[plot\]"):
        draw_scatter(sweep(3), "validation_cost", tmp_path / "a.png")
    results = Results(trials=(0,), metrics=("a",), values=np.ones((1, 1, 1), np.float32))
    with pytest.raises(MissingExtra, match=r"packtrain\[plot\]"):
        draw_results(results, tmp_path / "a.png")


def test_the_command_asks_for_what_a_kind_needs(
    packtrain: Packtrain, fake: FakeServer, tmp_path: Path
) -> None:
    made = [
        job_pb2.Trial(
            name=f"jobs/j/trials/{i}",
            index=i,
            state=job_pb2.TRIAL_STATE_SUCCEEDED,
            final_metrics={"validation_cost": i + 1, "training_cost": 3 - i},
        )
        for i in range(3)
    ]
    for i, each in enumerate(made):
        each.parameters[RATE].number_value = 10.0**i
    fake.script("GetJob", get_job("SUCCEEDED", metrics=["training_cost", "validation_cost"]))
    fake.script("ListTrials", training_service_pb2.ListTrialsResponse(trials=made))
    path = str(tmp_path / "a.png")
    (told,) = packtrain.lines("plot", "j", "--kind", "scatter", "-o", path, "--json")
    assert told == {"path": path, "trials": [0, 1, 2], "metrics": ["validation_cost"]}
    packtrain("plot", "j", "--kind", "parallel", "-o", path, "--filter", "index < 9")
    assert fake.requests["ListTrials"][-1].filter == "index < 9"
    both = ("--metric", "training_cost", "--metric", "validation_cost")
    (told,) = packtrain.lines("plot", "j", "--kind", "pareto", *both, "-o", path, "--json")
    assert told["metrics"] == ["training_cost", "validation_cost"]
    assert list(fake.requests["ListTrials"][-1].pareto) == ["training_cost", "validation_cost"]
    wrong = packtrain("plot", "j", "--kind", "pareto", "-o", path, code=2).stderr
    assert "needs two different metrics" in " ".join(wrong.split())
    wrong = packtrain("plot", "j", "--kind", "scatter", "--metric", "x", "-o", path, code=2).stderr
    assert "there are training_cost, validation_cost" in " ".join(wrong.split())
    packtrain("plot", "j", "--kind", "scatter", *both, "-o", path, code=2)
    fake.script("ListTrials", training_service_pb2.ListTrialsResponse())
    told = packtrain("plot", "j", "--kind", "scatter", "-o", path, code=1).stderr
    assert "no trial has a finite validation_cost yet" in told
