"""The specification files of examples/ are the JSON form of JobSpec, with nothing unknown."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from packtrain.v1.spec_pb2 import JobSpec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name: str) -> JobSpec:
    return ParseDict(yaml.safe_load((EXAMPLES / name).read_text()), JobSpec())


def has_field(descriptor: Any, path: str) -> bool:
    """Whether the path leads from field to field of the message."""
    head, _, rest = path.partition(".")
    field = descriptor.fields_by_name.get(head)
    if not rest:
        return field is not None
    return field is not None and field.message_type and has_field(field.message_type, rest)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_example_survives_the_json_mapping(name: str) -> None:
    spec = load(name)
    assert spec.dataset.WhichOneof("source")
    assert spec.epochs > 0
    for parameter in spec.search.parameters:
        assert has_field(JobSpec.DESCRIPTOR, parameter.path), parameter.path
        assert parameter.WhichOneof("domain")
    assert ParseDict(MessageToDict(spec), JobSpec()) == spec


def test_neuron_starts_from_the_two_points_of_the_book() -> None:
    spec = load("neuron.yaml")
    starts = MessageToDict(spec.search.parameters[0].choice)["values"]
    assert starts == [
        {"constant": {"weight": 0.6, "bias": 0.9}},
        {"constant": {"weight": 2.0, "bias": 2.0}},
    ]
    assert list(spec.network.hidden) == []
    assert spec.optimizer.sgd.learning_rate == 0.15


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ParseError, match="learning_rat"):
        ParseDict({"optimizer": {"sgd": {"learning_rat": 0.1}}}, JobSpec())
