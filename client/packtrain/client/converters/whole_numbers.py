"""Whole numbers of messages: what fits a field, and the range that the contract gives it."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from packtrain.v1 import range_pb2

_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def fits(value: int, field: FieldDescriptor) -> bool:
    """Whether the field can hold it at all; its range is the server's to check, with all else."""
    low, high = _BITS[field.cpp_type]
    return low <= value <= high


def expected_whole(field: FieldDescriptor) -> str:
    """What the field takes, in words."""
    given: Any = field.GetOptions()
    bounds = given.Extensions[range_pb2.range]
    low, high = _BITS[field.cpp_type]
    low = bounds.at_least if bounds.HasField("at_least") else low
    high = bounds.at_most if bounds.HasField("at_most") else high
    return f"a whole number of {low:,} to {high:,}"
