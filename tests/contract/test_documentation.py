"""docs/specification.md: its two forms say the same, and nothing is left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from packtrain import client
from packtrain.client.converters import spec_message
from packtrain.training import METRICS
from packtrain.v1 import spec_pb2

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "specification.md"
FIELDS = {
    "Activations": "network.output_activation",
    "Costs": "cost",
    "Initializations": "initialization",
    "Regularization": "regularization",
    "Optimizers": "optimizer",
    "Schedules": "optimizer.schedule",
    "Stopping": "stopping",
}


def sections() -> dict[str, str]:
    found = re.split(r"^## (.+)$", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


ROWS = [
    (name, *forms)
    for name, text in sections().items()
    if name in FIELDS
    for forms in re.findall(r"\| `([^`]+)` \| `([^`]+)` \|$", text, flags=re.MULTILINE)
]


def at(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(("section", "written", "typed"), ROWS, ids=[row[1] for row in ROWS])
def test_both_forms_say_the_same(section: str, written: str, typed: str) -> None:
    path = FIELDS[section]
    content = re.sub(r"(?<=: )1e-6", "0.000001", written)  # YAML 1.1 takes it for a text
    document = {"dataset": {"name": "datasets/d"}} | at(path, yaml.safe_load(content))
    made = eval(typed, vars(client))
    if section == "Activations":
        fields = {"network": client.Network(output_activation=made)}
    elif section == "Schedules":
        fields = {"optimizer": client.SGD(schedule=made)}
        document["optimizer"]["sgd"] = {}
    else:
        fields = {path: made}
    expected = spec_message(client.JobSpec(dataset="d", **fields))
    assert MessageToDict(spec_message(document)) == MessageToDict(expected)


SEARCHES = [
    (name, *forms)
    for name, text in sections().items()
    if name in ("Domains", "Algorithms")
    for forms in re.findall(r"\| `([^`]+)` \| `([^`]+)` \|$", text, flags=re.MULTILINE)
]


@pytest.mark.parametrize(("section", "written", "typed"), SEARCHES, ids=[s[1] for s in SEARCHES])
def test_both_forms_of_a_search_say_the_same(section: str, written: str, typed: str) -> None:
    form, made = yaml.safe_load(written), eval(typed, vars(client))
    domain = {"integer": {"low": 1, "high": 2}}
    field, algorithm = client.integer(1, 2), client.RandomSearch(trials=3)
    search: dict[str, Any] = {"random": {"trials": 3}}
    if section == "Domains":
        domain, field = form, made
    else:
        search, algorithm = form, made
    takes_parameters = not {"learning_rate_range", "points"} & search.keys()
    if takes_parameters:
        search = search | {"parameters": [{"path": "regularization.l2"} | domain]}
    document: dict[str, Any] = {"dataset": {"name": "datasets/d"}, "search": search}
    fields: dict[str, Any] = {}
    if takes_parameters:
        document["regularization"] = {}
        fields["regularization"] = client.Regularization(l2=field)
    expected = spec_message(client.JobSpec(dataset="d", search=algorithm, **fields))
    assert MessageToDict(spec_message(document)) == MessageToDict(expected)


@pytest.mark.parametrize(
    ("section", "message", "oneof"),
    [
        ("Domains", spec_pb2.Parameter, "domain"),
        ("Algorithms", spec_pb2.Search, "algorithm"),
        ("Costs", spec_pb2.Cost, "kind"),
        ("Initializations", spec_pb2.Initialization, "kind"),
        ("Optimizers", spec_pb2.Optimizer, "kind"),
        ("Schedules", spec_pb2.Schedule, "shape"),
    ],
)
def test_every_alternative_is_documented(section: str, message: Any, oneof: str) -> None:
    alternatives = {f.name for f in message.DESCRIPTOR.oneofs_by_name[oneof].fields}
    documented = {
        key
        for name, form, _ in [*ROWS, *SEARCHES]
        if name == section
        for key in yaml.safe_load(form)
    }
    assert alternatives <= documented


def test_every_part_of_the_rest_is_documented() -> None:
    for section, message in (
        ("Regularization", spec_pb2.Regularization),
        ("Stopping", spec_pb2.Stopping),
    ):
        fields = {field.name for field in message.DESCRIPTOR.fields}
        assert fields == {k for name, f, _ in ROWS if name == section for k in yaml.safe_load(f)}
    activations = {f for name, f, _ in ROWS if name == "Activations"}
    assert activations == set(spec_pb2.Activation.keys()) - {"ACTIVATION_UNSPECIFIED"}
    names = set(re.findall(r"`(\w+)`", sections()["Metrics"].split("| name")[1]))
    assert set(METRICS) <= names
