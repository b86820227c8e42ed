"""Typed objects of a specification, written into messages.

One walk writes them all. A field whose value is a domain stays unset, its parents are set, and
a search parameter with the field's path is added.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from packtrain.client import domains as d
from packtrain.client.converters.documents import descriptor_of, enum_words
from packtrain.client.converters.readers import read_fields
from packtrain.client.converters.whole_numbers import expected_whole, fits
from packtrain.client.errors import SpecError
from packtrain.client.hints import did_you_mean
from packtrain.v1 import spec_pb2

# Whole numbers above this are not exact in a JSON number; proto JSON takes them as text.
_EXACT = 2**53


class Parameters:
    """The search parameters that a walk comes upon; ``within`` is the choice whose value is being
    walked."""

    def __init__(self, within: str | None = None) -> None:
        self.found: list[spec_pb2.Parameter] = []
        self.within = within

    def add(self, parameter: spec_pb2.Parameter) -> None:
        """One more; or, of the same domain at the same path, more values that it exists under.
        Raises SpecError where the domain is another."""
        for known in self.found:
            if known.path != parameter.path:
                continue
            if _without_values(known) != _without_values(parameter):
                raise SpecError(
                    parameter.path,
                    "has different domains in the values of a choice: it can have one",
                )
            met = known.condition.values
            met.extend(v for v in parameter.condition.values if v not in met)
            return
        self.found.append(parameter)


def _without_values(parameter: spec_pb2.Parameter) -> spec_pb2.Parameter:
    copy = spec_pb2.Parameter()
    copy.CopyFrom(parameter)
    copy.condition.ClearField("values")
    return copy


def write(message: Message, value: Any, path: str, parameters: Parameters | None) -> None:
    """Write an object. Raises SpecError for what can't be written, and for a domain where there
    are no ``parameters`` to add it to."""
    message.SetInParent()
    descriptor = descriptor_of(message)
    for name, part in read_fields(descriptor.name, value, path).items():
        field = descriptor.fields_by_name[name]
        part_path = f"{path}.{name}" if path else name
        if isinstance(part, d.Domain):
            if parameters is None:
                raise SpecError(part_path, "holds a domain where only values can stand")
            _add_parameter(field, part, part_path, parameters)
        elif part is not None:
            _put(message, field, part, part_path, parameters)


def _put(
    message: Message,
    field: FieldDescriptor,
    value: Any,
    path: str,
    parameters: Parameters | None,
) -> None:
    if not field.is_repeated and field.message_type is not None:
        write(getattr(message, field.name), value, path, parameters)
    elif not field.is_repeated:
        setattr(message, field.name, _scalar(field, value, path))
    elif isinstance(value, str) or not hasattr(value, "__iter__"):
        hint = "" if isinstance(value, str) else f"; did you mean [{value!r}]?"
        raise SpecError(path, f"expected a list, not {value!r}{hint}")
    elif field.message_type is not None:
        for item in value:
            write(getattr(message, field.name).add(), item, path, parameters)
    else:
        getattr(message, field.name).extend(_scalar(field, item, path) for item in value)


def _scalar(field: FieldDescriptor, value: Any, path: str) -> Any:
    """``value`` as the scalar field takes it: NumPy's numbers too, but no booleans for numbers."""
    if isinstance(value, d.Domain):  # an item of a list: elsewhere a domain is a parameter
        told = "an item of a list can't be searched; did you mean choice([...], [...])?"
        raise SpecError(path, f"{told} It holds {value!r}")
    if isinstance(value, list | tuple):
        # What several values in place of one are meant for; where they make a list of lists, each
        # of them is a value.
        each = "[...], [...]" if field.is_repeated else ", ".join(map(repr, value[:4]))
        told = f"did you mean choice({each}{', ...' if len(value) > 4 else ''})?"
        raise SpecError(path, f"expected one value or a domain, not {value!r}; {told}")
    if field.enum_type is not None:
        words = enum_words(field.enum_type)
        if value not in words:
            hint = did_you_mean(value, list(words)) if isinstance(value, str) else ""
            raise SpecError(path, f"expected one of {', '.join(words)}, not {value!r}{hint}")
        return words[value]
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if not isinstance(value, str):
            raise SpecError(path, f"expected a text, not {value!r}")
        return value
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool | np.bool):
            raise SpecError(path, f"expected True or False, not {value!r}")
        return bool(value)
    if isinstance(value, bool | np.bool) or not isinstance(value, int | float | np.number):
        raise SpecError(path, f"expected a number or a domain, not {value!r}")
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return float(value)
    if not math.isfinite(value) or int(value) != value or not fits(int(value), field):
        raise SpecError(path, f"expected {expected_whole(field)}, not {value!r}")
    return int(value)


def _add_parameter(
    field: FieldDescriptor, domain: d.Domain, path: str, parameters: Parameters
) -> None:
    message = spec_pb2.Parameter(path=path)
    if isinstance(domain, d.Conditional):
        if parameters.within is not None:
            raise SpecError(
                path, f"exists with a value of {parameters.within}, and takes no other condition"
            )
        _write_condition(message.condition, domain, path)
        domain = domain.domain
    nested = Parameters(path)
    match domain:
        case d.Choice(values):
            _write_choice(message.choice, field, values, nested)
        case d.Uniform() | d.LogUniform() | d.IntegerRange() | d.Normal():
            _write_numbers(message, domain)
    parameters.add(message)
    for inner in nested.found:
        parameters.add(inner)


def _write_numbers(
    message: spec_pb2.Parameter, domain: d.Uniform | d.LogUniform | d.IntegerRange | d.Normal
) -> None:
    match domain:
        case d.Uniform(low, high, step):
            message.uniform.MergeFrom(spec_pb2.Uniform(low=low, high=high, step=step))
        case d.LogUniform(low, high, step):
            message.log_uniform.MergeFrom(spec_pb2.LogUniform(low=low, high=high, step=step))
        case d.IntegerRange(low, high, step, log):
            unset_or_step = None if step == 1 else step
            message.integer.MergeFrom(
                spec_pb2.IntegerRange(low=low, high=high, step=unset_or_step, log=log)
            )
        case d.Normal(mean, deviation, step, low, high):
            message.normal.MergeFrom(
                spec_pb2.Normal(
                    mean=mean, standard_deviation=deviation, step=step, low=low, high=high
                )
            )


def _write_choice(
    message: spec_pb2.Choice, field: FieldDescriptor, values: tuple[Any, ...], nested: Parameters
) -> None:
    """Write the values; domains within them become parameters that exist under these values."""
    path = nested.within or ""
    message.SetInParent()
    open_values: list[bool] = []
    for value in values:
        inner = Parameters(path)
        form = json_form(field, value, path, inner)
        written = json_format.ParseDict(form, message.values.add())
        open_values.append(bool(inner.found))
        same = [open_values[i] for i, v in enumerate(message.values[:-1]) if v == written]
        if same and (inner.found or any(same)):
            raise SpecError(path, "has two values that differ only in their domains: write one")
        for parameter in inner.found:
            if not parameter.HasField("condition"):
                parameter.condition.path = path
                parameter.condition.values.append(written)
            nested.add(parameter)


def _write_condition(message: spec_pb2.Condition, domain: d.Conditional, path: str) -> None:
    field = find_field(domain.path)
    if field is None:
        raise SpecError(path, f"has a condition on {domain.path!r}, which is the path of no field")
    message.path = domain.path
    for value in domain.values:
        json_format.ParseDict(json_form(field, value, domain.path), message.values.add())


def find_field(path: str) -> FieldDescriptor | None:
    """The field at a path of JobSpec, or None."""
    descriptor: Any = spec_pb2.JobSpec.DESCRIPTOR
    field: FieldDescriptor | None = None
    for part in path.split("."):
        if descriptor is None or (field is not None and field.is_repeated):
            return None
        field = descriptor.fields_by_name.get(part)
        if field is None:
            return None
        descriptor = field.message_type
    return field


def json_form(
    field: FieldDescriptor, value: Any, path: str, parameters: Parameters | None = None
) -> Any:
    """A value in the JSON form of the field, written by way of a message that holds it."""
    if not field.is_repeated and field.message_type is None and field.enum_type is None:
        plain = _scalar(field, value, path)
        return str(plain) if isinstance(plain, int) and abs(plain) > _EXACT else plain
    holder = message_factory.GetMessageClass(descriptor_of(field))()
    _put(holder, field, value, path, parameters)
    form = json_format.MessageToDict(holder, preserving_proto_field_name=True)
    return form.get(field.name, [])
