"""The ranges of whole numbers in the proto files are those that the server goes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from packtrain.service.contract import NUMBERS, NumberField
from packtrain.service.contract.fields import find_field, is_integer
from packtrain.service.contract.learning_rates import MAX_POINTS
from packtrain.service.contract.networks import MAX_WIDTH
from packtrain.service.datasets.dataset import MAX_CLASSES
from packtrain.v1 import range_pb2, spec_pb2

WHOLE = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)
# Whatever their type can hold.
UNBOUNDED = {"JobSpec.seed", "SyntheticDataset.seed", "IntegerRange.low", "IntegerRange.high"}


def bounds(field: FieldDescriptor) -> tuple[int | None, int | None]:
    options: Any = field.GetOptions()
    given = options.Extensions[range_pb2.range]
    return (
        given.at_least if given.HasField("at_least") else None,
        given.at_most if given.HasField("at_most") else None,
    )


def whole_fields() -> Iterator[tuple[str, FieldDescriptor]]:
    messages: dict[str, Descriptor] = spec_pb2.DESCRIPTOR.message_types_by_name
    for message in messages.values():
        for field in message.fields:
            if field.cpp_type in WHOLE:
                yield f"{message.name}.{field.name}", field


def test_every_whole_number_has_a_range() -> None:
    without = {name for name, field in whole_fields() if bounds(field) == (None, None)}
    assert without == UNBOUNDED


@pytest.mark.parametrize(("path", "number"), [(p, n) for p, n in NUMBERS.items() if n.whole])
def test_it_is_the_servers(path: str, number: NumberField) -> None:
    field = find_field(spec_pb2.JobSpec, path)
    assert isinstance(field, FieldDescriptor)
    assert is_integer(field)
    assert bounds(field) == (number.at_least, number.at_most)


def test_those_of_lists_and_ranges_are_the_servers_too() -> None:
    fields = dict(whole_fields())
    assert bounds(fields["Network.hidden"]) == (1, MAX_WIDTH)
    assert bounds(fields["InlineDataset.labels"]) == (0, MAX_CLASSES - 1)
    assert bounds(fields["LearningRateRange.points"]) == (3, MAX_POINTS)
