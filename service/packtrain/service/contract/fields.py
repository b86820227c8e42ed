"""Fields of messages: collecting every wrong one, and reaching them by path."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from packtrain.service.contract.json_values import find_wrong_values, show, unknown_field
from packtrain.service.errors import InvalidSpecError, Violation

_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
_INTEGERS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)


class Violations:
    """Every wrong field of a request, each once."""

    def __init__(self) -> None:
        self._found: dict[Violation, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Violation]:
        return iter(self._found)

    def add(self, field: str, description: str) -> None:
        """``field`` is wrong: what was expected."""
        self._found[Violation(field, description)] = None

    def add_all(self, violations: tuple[Violation, ...], prefix: str = "") -> None:
        """These fields are wrong, as seen from ``prefix``."""
        for violation in violations:
            self.add(prefix + violation.field, violation.description)

    def raise_if_any(self) -> None:
        """Raises InvalidSpecError that names them all."""
        if self._found:
            raise InvalidSpecError.of(list(self._found))

    def number(
        self,
        message: Message,
        name: str,
        path: str,
        default: float,
        *,
        at_least: float | None = None,
        above: float | None = None,
        at_most: float | None = None,
        below: float | None = None,
    ) -> float:
        """An optional number of the message, within its range; ``default`` where it is unset."""
        value = getattr(message, name) if message.HasField(name) else default
        wrong = range_error(value, at_least, above, at_most, below)
        if wrong:
            self.add(path, wrong)
            return default
        return float(value)

    def integer(
        self, message: Message, name: str, path: str, default: int, at_least: int, at_most: int
    ) -> int:
        """An optional whole number of the message, within its range."""
        return int(self.number(message, name, path, default, at_least=at_least, at_most=at_most))


def range_error(
    value: float,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> str | None:
    """What is wrong with a number, or None."""
    bounds: tuple[tuple[float | None, str, Callable[[float, float], bool]], ...] = (
        (at_least, "at least", operator.ge),
        (above, "above", operator.gt),
        (at_most, "at most", operator.le),
        (below, "below", operator.lt),
    )
    given = [(bound, word, holds) for bound, word, holds in bounds if bound is not None]
    if math.isfinite(value) and all(holds(value, bound) for bound, _, holds in given):
        return None
    if not math.isfinite(value):
        return f"must be a finite number, not {value}"
    expected = " and ".join(f"{word} {bound:,}" for bound, word, _ in given)
    return f"must be {expected}, not {value:,}"


def enum_value(enum: Any, name: str) -> Any:
    """The value of that name (the generated stubs call it an int)."""
    return enum.Value(name)


def find_field(root: type[Message], path: str) -> FieldDescriptor | str:
    """The field at a path of singular messages, or a sentence that says what is wrong."""
    descriptor: Any = root.DESCRIPTOR
    field: FieldDescriptor | None = None
    for part in path.split("."):
        if descriptor is None or (field is not None and field.is_repeated):
            return f"there is no field {part!r} within {field.name!r}" if field else "is empty"
        found = descriptor.fields_by_name.get(part)
        if found is None:
            expected = unknown_field(part, sorted(descriptor.fields_by_name))
            return f"there is no field {part!r} in {descriptor.name}: {expected}"
        field, descriptor = found, found.message_type
    assert field is not None
    return field


def all_paths(descriptor: Any, levels: int = 4) -> Iterator[str]:
    """The paths of all fields of a message, down so many levels of singular messages."""
    for field in descriptor.fields:
        yield field.name
        if levels > 1 and field.message_type is not None and not field.is_repeated:
            inner = all_paths(field.message_type, levels - 1)
            yield from (f"{field.name}.{path}" for path in inner)


def is_float(field: FieldDescriptor) -> bool:
    """Whether the field is one real number."""
    return field.cpp_type in _FLOATS and not field.is_repeated


def is_integer(field: FieldDescriptor) -> bool:
    """Whether the field is one whole number."""
    return field.cpp_type in _INTEGERS and not field.is_repeated


def oneof_conflict(message: Message, path: str) -> tuple[str, str] | None:
    """The alternative of a oneof that is given, and the one that the path leads through, where
    they are not the same; None where the path can be set."""
    node = message
    for part in path.split("."):
        field = node.DESCRIPTOR.fields_by_name[part]
        oneof = field.containing_oneof
        if oneof is not None and not oneof.name.startswith("_"):
            given = node.WhichOneof(oneof.name)
            if given not in (None, part):
                return given, part
        if field.message_type is None or field.is_repeated:
            return None
        node = getattr(node, part)
    return None


def set_parents(message: Message, path: str) -> Any:
    """Set the messages that lead to the field at the path; the last of them."""
    node: Any = message
    for part in path.split(".")[:-1]:
        node = getattr(node, part)
        node.SetInParent()
    return node


def choose(message: Message, path: str) -> None:
    """Set the field at the path to something, so that its alternatives are not."""
    node, leaf = set_parents(message, path), path.rpartition(".")[2]
    field = node.DESCRIPTOR.fields_by_name[leaf]
    if field.is_repeated:
        return
    if field.message_type is not None:
        getattr(node, leaf).SetInParent()
    elif field.has_presence:
        setattr(node, leaf, field.default_value)


def is_given(message: Message, path: str) -> bool:
    """Whether the field at the path is set."""
    node = message
    *parents, leaf = path.split(".")
    for part in parents:
        if not node.HasField(part):
            return False
        node = getattr(node, part)
    field = node.DESCRIPTOR.fields_by_name[leaf]
    if field.is_repeated or not field.has_presence:
        return bool(getattr(node, leaf))
    return bool(node.HasField(leaf))


def set_json(message: Message, path: str, value: Any) -> str | None:
    """Set the field at the path to a value in its JSON form; the reason where it can't be."""
    node = message
    *parents, leaf = path.split(".")
    for part in parents:
        node = getattr(node, part)
        node.SetInParent()
    node.ClearField(leaf)
    try:
        json_format.ParseDict({leaf: _whole(value)}, node)
    except (json_format.ParseError, ValueError):
        field: Any = node.DESCRIPTOR.fields_by_name[leaf]
        wrong = next(find_wrong_values(value, field, leaf), None)
        return wrong.description if wrong else f"can't be {show(value)}"
    return None


def _whole(value: Any) -> Any:
    # A google.protobuf.Value has no integers: 30 arrives as 30.0.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(v) for v in value]
    if isinstance(value, dict):
        return {k: _whole(v) for k, v in value.items()}
    return value
