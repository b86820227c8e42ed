"""The searches of examples/ are planned, and searches of all kinds are trained and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict
from tests.service.specifications import PLAIN, RATE, read

from packtrain.service.records import NewJob

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SGD, ADAM = {"sgd": {}}, {"adam": {}}


@pytest.mark.parametrize(
    ("name", "trials"),
    [
        ("digits-grid", 35),
        ("digits-sweep", 64),
        ("digits-sobol", 64),
        ("digits-latin-hypercube", 50),
        ("digits-points", 4),
        ("digits-tpe", 96),
        ("digits-cma-es", 160),
        ("digits-nsga2", 128),
    ],
)
def test_an_example_has_so_many_trials(plan: Callable[..., NewJob], name: str, trials: int) -> None:
    assert plan(read(yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()))).trials == trials


async def test_conditions_and_repeats_are_trained_and_told(api: Any) -> None:
    parameters = [
        {"path": "optimizer", "choice": {"values": [SGD, ADAM]}},
        {
            "path": RATE,
            "choice": {"values": [0.5, 2]},
            "condition": {"path": "optimizer", "values": [SGD]},
        },
    ]
    finals = {}
    for repeats in (1, 3):
        search = {"grid": {}, "repeats": repeats, "parameters": parameters}
        job = await api.train(read(PLAIN | {"epochs": 3, "search": search}))
        trials = await api.trials(job.name)
        told = [{p: MessageToDict(v) for p, v in trial.parameters.items()} for trial in trials]
        expected = [{"optimizer": SGD, RATE: 0.5}, {"optimizer": SGD, RATE: 2}, {"optimizer": ADAM}]
        assert told == [row for row in expected for _ in range(repeats)]
        finals[repeats] = [trial.final_metrics["training_cost"] for trial in trials]
    assert finals[3][::3] == finals[1]
    assert len(set(finals[3])) == 9
