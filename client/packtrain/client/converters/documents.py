"""Specifications in the contract's JSON form: checked against the proto's own descriptors.

protobuf's parser stops at the first wrong field and words it for its own developers; this walk
names all of them. It knows no schema but the descriptors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from packtrain.client.converters.whole_numbers import expected_whole, fits
from packtrain.client.errors import SpecError, Violation
from packtrain.client.hints import did_you_mean, find_meant, in_our_words
from packtrain.client.names import dataset_name
from packtrain.v1 import spec_pb2

# What an error calls the specification itself, which has no path.
WHOLE = "specification"

M = TypeVar("M", bound=Message)


def parse_document(document: Any, message: M) -> M:
    """Fill ``message`` from its JSON form. Raises SpecError, which names every wrong field."""
    wrong = list(check_document(document, descriptor_of(message), ""))
    if wrong:
        raise SpecError(*wrong[0], *wrong[1:])
    try:
        json_format.ParseDict(document, message)
    except json_format.ParseError as error:  # what the walk does not know
        raise SpecError(WHOLE, " ".join(str(error).split())) from None
    return message


def descriptor_of(owner: Message | FieldDescriptor) -> Descriptor:
    """The descriptor of a message, or of the message that a field belongs to."""
    # The stubs know two implementations of descriptors; both have the same attributes.
    found = owner.DESCRIPTOR if isinstance(owner, Message) else owner.containing_type
    return cast(Descriptor, found)


def enum_words(enum: EnumDescriptor) -> dict[str, int]:
    """The enum's values by their names without prefix, in lower case; not the unspecified one."""
    return {word: value.number for word, value in _words(enum).items()}


def _words(enum: EnumDescriptor) -> dict[str, Any]:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {v.name.removeprefix(prefix).lower(): v for v in enum.values if v.number}


def check_document(value: Any, descriptor: Descriptor, path: str) -> Iterator[Violation]:
    """What is wrong with ``value`` as the JSON form of a message."""
    if descriptor.full_name == "google.protobuf.Value":
        yield from _check_json(value, path)  # the server knows what the parameter's path takes
        return
    if not isinstance(value, Mapping):
        expected = f"expected a mapping of fields, not {_shown(value)}"
        yield Violation(path or WHOLE, expected + _meant_mapping(value, descriptor))
        return
    known = {name: f for f in descriptor.fields for name in (f.json_name, f.name)}
    chosen: dict[str, str] = {}
    for name, part in value.items():
        part_path = f"{path}.{name}" if path else str(name)
        field = known.get(name)
        if field is None:
            yield Violation(part_path, _unknown(str(name), descriptor))
        elif part is not None:
            yield from _check_oneof(field, str(name), part_path, chosen)
            yield from _check_field(part, field, part_path)


def _check_json(value: Any, path: str) -> Iterator[Violation]:
    """Any value that JSON can write."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _check_json(part, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _check_json(part, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Violation(path, f"expected a finite number, not {_shown(value)}")
    elif value is not None and not isinstance(value, bool | int | float | str):
        expected = "expected a number, a text, true, false, a list or a mapping"
        yield Violation(path, f"{expected}, not {_shown(value)}")


def _check_oneof(
    field: FieldDescriptor, name: str, path: str, chosen: dict[str, str]
) -> Iterator[Violation]:
    # An optional scalar is a oneof of one: no other member can meet it.
    if field.containing_oneof is not None:
        first = chosen.setdefault(field.containing_oneof.name, name)
        if first != name:
            yield Violation(path, f"can't stand beside {first}: expected only one of the two")


def _check_field(value: Any, field: FieldDescriptor, path: str) -> Iterator[Violation]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        yield from _check_map(value, field.message_type, path)
    elif not field.is_repeated:
        yield from _check_item(value, field, path)
    elif not isinstance(value, list | tuple):
        meant = "" if isinstance(value, Mapping) else f"; did you mean [{_shown(value)}]?"
        yield Violation(path, f"expected a list, not {_shown(value)}{meant}")
    else:
        for index, item in enumerate(value):
            yield from _check_item(item, field, f"{path}[{index}]")


def _check_map(value: Any, entry: Descriptor, path: str) -> Iterator[Violation]:
    if not isinstance(value, Mapping):
        yield Violation(path, f"expected a mapping, not {_shown(value)}")
        return
    for name, part in value.items():
        yield from _check_item(part, entry.fields_by_name["value"], f'{path}["{name}"]')


def _check_item(value: Any, field: FieldDescriptor, path: str) -> Iterator[Violation]:
    if field.message_type is not None:
        yield from check_document(value, field.message_type, path)
        return
    found = list(_check_scalar(value, field, path))
    if isinstance(value, list | tuple | Mapping) and _is_searched(path):
        # The one thing that a list, or a domain, in place of a value can be meant for.
        where = re.sub(r"\[\d+\]$", "", path)
        domain = "choice: {values: [...]}" if isinstance(value, list | tuple) else "..."
        hint = f"; what is searched goes into search.parameters: {{path: {where}, {domain}}}"
        found = [Violation(v.field, v.description + hint) for v in found]
    yield from found


def _is_searched(path: str) -> bool:
    """Whether a search can give the field values: it is one of the job's own."""
    return path.split(".")[0] not in ("search", "measurement", "data_type", "job_id")


def _check_scalar(value: Any, field: FieldDescriptor, path: str) -> Iterator[Violation]:
    if field.enum_type is not None:
        names_and_numbers = {*field.enum_type.values_by_name, *field.enum_type.values_by_number}
        if isinstance(value, bool | list | dict) or value not in names_and_numbers:
            names = {word: each.name for word, each in _words(field.enum_type).items()}
            told = f"expected one of {', '.join(names.values())}, not {_shown(value)}"
            # relu is meant for ACTIVATION_RELU, and so is ACTIVATION_RELUU.
            known = names | {name: name for name in names.values()}
            hint = did_you_mean(value, known) if isinstance(value, str) else ""
            yield Violation(path, told + hint)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if not isinstance(value, str):
            yield Violation(path, f"expected a text, not {_shown(value)}")
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            yield Violation(path, f"expected true or false, not {_shown(value)}")
    elif field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        if not _is_number(value, float):
            yield Violation(path, f"expected a number, not {_shown(value)}")
        elif not math.isfinite(float(value)):
            yield Violation(path, f"expected a finite number, not {_shown(value)}")
    elif not _is_number(value, int):
        yield Violation(path, f"expected a whole number, not {_shown(value)}")
    elif not fits(int(value), field):
        yield Violation(path, f"expected {expected_whole(field)}, not {_shown(value)}")


_NUMBER_CHARACTERS = re.compile(r"[^\s_]+")


def _is_number(value: Any, kind: type[int] | type[float]) -> bool:
    """Whether JSON's number, or the text of one, is of this kind."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    if isinstance(value, str) and not _NUMBER_CHARACTERS.fullmatch(value):
        return False  # Python reads " 7" and "1_0" too, JSON's readers don't
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        return False
    return kind is float or isinstance(value, str) or number == value


def _unknown(name: str, descriptor: Descriptor) -> str:
    # In the style of the one who asks: batchSize to those who write capitals, else batch_size.
    is_camel = name != name.lower()
    names = [field.json_name if is_camel else field.name for field in descriptor.fields]
    meant = find_meant(name, names) or _within(name, descriptor)[:1]
    meant = list(dict.fromkeys([*meant, *_alternatives(name, descriptor)]))
    if meant:
        *others, last = meant
        return f"is not a field; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
    if elsewhere := _elsewhere(name, descriptor):
        return f"is not a field; did you mean the specification's {elsewhere}?"
    if not names:
        return "is not a field: expected an empty mapping {}"
    return f"is not a field; expected one of {', '.join(names)}"


def _parts(descriptor: Descriptor) -> list[tuple[str, Descriptor]]:
    """The names and messages of the fields that hold one."""
    return [
        (field.name, field.message_type)
        for field in descriptor.fields
        if field.message_type is not None and not field.is_repeated
    ]


def _within(name: str, descriptor: Descriptor, levels: int = 2) -> list[str]:
    """Where a field of that name is within the message, the nearest first: people leave out what
    it belongs to."""
    parts, word = _parts(descriptor), in_our_words(name)
    found = [
        f"{part}.{field.name}"
        for part, kind in parts
        for field in kind.fields
        if word in (field.name, field.json_name)
    ]
    if found or levels == 1:
        return found
    return [f"{part}.{path}" for part, kind in parts for path in _within(name, kind, levels - 1)]


def _alternatives(name: str, descriptor: Descriptor) -> list[str]:
    """The fields of which the name says what they are alternatives of, such as an algorithm, in
    the message or in the one part of it that has such."""
    word = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", name).lower()
    if word in descriptor.oneofs_by_name:
        return [field.name for field in descriptor.oneofs_by_name[word].fields]
    found = [(part, kind) for part, kind in _parts(descriptor) if word in kind.oneofs_by_name]
    if len(found) != 1:
        return []
    (part, kind), *_ = found
    return [f"{part}.{field.name}" for field in kind.oneofs_by_name[word].fields]


def _elsewhere(name: str, descriptor: Descriptor) -> str | None:
    """Where in a specification the field is that was written into another part of one."""
    whole = cast(Descriptor, spec_pb2.JobSpec.DESCRIPTOR)
    if descriptor.file.name != whole.file.name or descriptor.full_name == whole.full_name:
        return None
    word = in_our_words(name)
    found = [field.name for field in whole.fields if word in (field.name, field.json_name)]
    return next(iter(found or _within(name, whole)), None)


# What a number is meant for that stands in place of an algorithm, a rule or an optimizer.
_NUMBERS_MEANT = ("trials", "points", "epochs", "value", "learning_rate")


def _meant_mapping(value: Any, descriptor: Descriptor) -> str:
    """The mapping that a value may have been meant for that stands in its place: the name of an
    alternative, or what its one field holds."""
    for field in descriptor.fields:
        of_values = field.message_type is None or field.message_type.name == "Value"
        if isinstance(value, list | tuple) and field.is_repeated and of_values:
            return f"; did you mean {{{field.name}: {_shown(list(value))}}}?"
        if isinstance(value, int | float) and field.name in _NUMBERS_MEANT:
            return f"; did you mean {{{field.name}: {_shown(value)}}}?"
    if not isinstance(value, str):
        return ""
    plain = [field for field in descriptor.fields if not field.is_repeated]
    if meant := did_you_mean(
        value, {f.name: f"{{{f.name}: {{}}}}" for f in plain if f.message_type is not None}
    ):
        return meant
    for field in plain:
        if field.enum_type is not None:
            words = _words(field.enum_type).items()
            names = {word: f"{{{field.name}: {each.name}}}" for word, each in words}
            if meant := did_you_mean(value, names):
                return meant
        elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            text = dataset_name(value) if descriptor.name == "DatasetSelection" else value
            return f"; did you mean {{{field.name}: {text}}}?"
    return ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
