"""Values of a choice in their JSON form: whether the field that they are for takes them.

protobuf's parser words what is wrong for its own developers, and stops at the first of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.struct_pb2 import Value

from packtrain.service.errors import Violation
from packtrain.service.hints import did_you_mean
from packtrain.v1 import range_pb2

_MOST_SHOWN = 40
_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def to_json(value: Value) -> Any:
    """The value in JSON form. Raises ValueError where it has none: NaN and infinities."""
    try:
        return json_format.MessageToDict(value)
    except json_format.SerializeToJsonError:
        raise ValueError("no NaN, no infinity") from None


def find_wrong_values(value: Any, field: FieldDescriptor, path: str) -> Iterator[Violation]:
    """Everything in ``value``, which is at ``path``, that can't be the field's; None leaves a
    field unset."""
    if value is None:
        return
    if not field.is_repeated:
        yield from _find_wrong(value, field, path)
    elif not isinstance(value, list):
        yield Violation(path, f"must be a list for {field.name}, not {show(value)}")
    else:
        for i, item in enumerate(value):
            yield from _find_wrong(item, field, f"{path}[{i}]")


def show(value: Any) -> str:
    """A value as it was given, but not all of a long one."""
    text = "null" if value is None else repr(_as_given(value))
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def unknown_field(name: str, names: Sequence[str]) -> str:
    """What was expected in place of a field that there is not."""
    meant = did_you_mean(name, names)
    if meant:
        return meant.removeprefix("; ")
    return f"expected one of {', '.join(names)}" if names else "it has none"


def _as_given(value: Any) -> Any:
    # A google.protobuf.Value has no integers: 30 arrives as 30.0.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _find_wrong(value: Any, field: FieldDescriptor, path: str) -> Iterator[Violation]:
    if field.message_type is not None:
        yield from _find_wrong_fields(value, field, path)
        return
    expected = _scalar(value, field)
    if expected is not None:
        hint = _meant_name(value, field) if isinstance(value, str) else ""
        yield Violation(path, f"must be {expected} for {field.name}, not {show(value)}{hint}")


def _meant_name(word: str, field: FieldDescriptor) -> str:
    """Of an enum, the value that a word may be meant for, with or without its prefix."""
    if field.enum_type is None:
        return ""
    prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
    names = [v.name for v in field.enum_type.values if v.number]
    known = {name.removeprefix(prefix): name for name in names} | {name: name for name in names}
    return did_you_mean(word, known)


def _scalar(value: Any, field: FieldDescriptor) -> str | None:
    """What was expected of a value that is no message, or None where it is that."""
    if field.enum_type is not None:
        names = [v.name for v in field.enum_type.values if v.number]
        good = value in names if isinstance(value, str) else _is_whole(value)
        return None if good else f"one of {', '.join(names)}"
    if field.cpp_type in _BITS:
        low, high = _BITS[field.cpp_type]
        if not _is_whole(value):
            return "a whole number"
        return None if low <= int(value) <= high else _range(field)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return None if isinstance(value, str) else "a text"
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return None if isinstance(value, bool) else "true or false"
    return None if _is_number(value) and math.isfinite(value) else "a number"


def _range(field: FieldDescriptor) -> str:
    """The range of a whole number, in words."""
    given: Any = field.GetOptions()
    bounds = given.Extensions[range_pb2.range]
    low, high = _BITS[field.cpp_type]
    low = bounds.at_least if bounds.HasField("at_least") else low
    high = bounds.at_most if bounds.HasField("at_most") else high
    return f"{low:,} to {high:,}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    if isinstance(value, str):  # as JSON writes those of 64 bits
        return value.removeprefix("-").isdecimal() and value.isascii() and len(value) <= 20
    return _is_number(value) and math.isfinite(value) and value == int(value)


def _find_wrong_fields(value: Any, field: FieldDescriptor, path: str) -> Iterator[Violation]:
    assert field.message_type is not None
    descriptor = field.message_type
    names = ", ".join(part.name for part in descriptor.fields) or "none"
    if not isinstance(value, Mapping):
        expected = f"must be a mapping with fields of {descriptor.name} ({names})"
        parts = {f.name: f"{{{f.name}: {{}}}}" for f in descriptor.fields if f.message_type}
        hint = did_you_mean(value, parts) if isinstance(value, str) else ""
        yield Violation(path, f"{expected} for {field.name}, not {show(value)}{hint}")
        return
    known = {name: part for part in descriptor.fields for name in (part.json_name, part.name)}
    given: dict[str, str] = {}
    for name, item in sorted(value.items()):  # a message's map has no order of its own
        part, where = known.get(name), f"{path}.{name}"
        if part is None:
            hint = unknown_field(name, [part.name for part in descriptor.fields])
            yield Violation(where, f"is no field of {descriptor.name}: {hint}")
            continue
        if item is None:
            continue
        # An optional number is a oneof of its own: no other member can meet it.
        group = part.containing_oneof.name if part.containing_oneof else part.name
        if given.setdefault(group, name) != name:
            yield Violation(where, f"can't stand beside {given[group]}: give one of the two")
        yield from find_wrong_values(item, part, where)
