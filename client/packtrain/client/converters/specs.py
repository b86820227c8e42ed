"""Specifications: from typed objects to the contract's JobSpec.

One walk writes them all. A field whose value is a domain stays unset, its parents are set, and
a search parameter with the field's path is added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from packtrain.client import domains as d
from packtrain.client import spec
from packtrain.client.converters.documents import descriptor_of, enum_words, parse_document
from packtrain.client.converters.readers import EARLY_STOPPING, read_fields
from packtrain.client.converters.whole_numbers import expected_whole, fits
from packtrain.client.errors import SpecError
from packtrain.client.learning_rates import LearningRateRange
from packtrain.client.objectives import list_objectives
from packtrain.v1 import spec_pb2

# Whole numbers above this are not exact in a JSON number; proto JSON takes them as text.
_EXACT = 2**53


def spec_message(given: spec.JobSpec | Mapping[str, Any]) -> spec_pb2.JobSpec:
    """The message of a specification, or of the contract's JSON form of one.

    Raises SpecError, which names the field, where a value can't be written into the message.
    Ranges are the server's to check: it names every wrong field at once.
    """
    message = spec_pb2.JobSpec()
    if isinstance(given, Mapping):
        return parse_document(given, message)
    parameters: list[spec_pb2.Parameter] = []
    _write(message, given, "", parameters)
    _write_search(message, given.search, parameters)
    _write_objectives(message.search, given)
    return message


def _write(
    message: Message, value: Any, path: str, parameters: list[spec_pb2.Parameter] | None
) -> None:
    """Write an object; inside of a choice there is no list of parameters to add to."""
    message.SetInParent()
    descriptor = descriptor_of(message)
    for name, part in read_fields(descriptor.name, value, path).items():
        field = descriptor.fields_by_name[name]
        part_path = f"{path}.{name}" if path else name
        if isinstance(part, d.Domain):
            if parameters is None:
                raise SpecError(part_path, "a value of a choice can't hold a further domain")
            parameters.append(_parameter(field, part, part_path))
        elif part is not None:
            _put(message, field, part, part_path, parameters)


def _put(
    message: Message,
    field: FieldDescriptor,
    value: Any,
    path: str,
    parameters: list[spec_pb2.Parameter] | None,
) -> None:
    if not field.is_repeated and field.message_type is not None:
        _write(getattr(message, field.name), value, path, parameters)
    elif not field.is_repeated:
        setattr(message, field.name, _scalar(field, value, path))
    elif isinstance(value, str) or not hasattr(value, "__iter__"):
        raise SpecError(path, f"expected a list, not {value!r}")
    elif field.message_type is not None:
        for item in value:
            _write(getattr(message, field.name).add(), item, path, parameters)
    else:
        getattr(message, field.name).extend(_scalar(field, item, path) for item in value)


def _scalar(field: FieldDescriptor, value: Any, path: str) -> Any:
    """``value`` as the scalar field takes it: NumPy's numbers too, but no booleans for numbers."""
    if field.enum_type is not None:
        words = enum_words(field.enum_type)
        if value not in words:
            raise SpecError(path, f"expected one of {', '.join(words)}, not {value!r}")
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


def _parameter(field: FieldDescriptor, domain: d.Domain, path: str) -> spec_pb2.Parameter:
    message = spec_pb2.Parameter(path=path)
    match domain:
        case d.Choice(values):
            message.choice.SetInParent()
            for value in values:
                json_format.ParseDict(_json_form(field, value, path), message.choice.values.add())
        case d.Uniform(low, high):
            message.uniform.low, message.uniform.high = low, high
        case d.LogUniform(low, high):
            message.log_uniform.low, message.log_uniform.high = low, high
        case d.IntegerRange(low, high, step):
            message.integer.low, message.integer.high = low, high
            if step != 1:
                message.integer.step = step
        case d.Normal(mean, standard_deviation):
            message.normal.mean = mean
            message.normal.standard_deviation = standard_deviation
    return message


def _json_form(field: FieldDescriptor, value: Any, path: str) -> Any:
    """A value in the JSON form of the field, written by way of a message that holds it."""
    if not field.is_repeated and field.message_type is None and field.enum_type is None:
        plain = _scalar(field, value, path)
        return str(plain) if isinstance(plain, int) and abs(plain) > _EXACT else plain
    holder = message_factory.GetMessageClass(descriptor_of(field))()
    _put(holder, field, value, path, None)
    form = json_format.MessageToDict(holder, preserving_proto_field_name=True)
    return form.get(field.name, [])


def _write_search(
    message: spec_pb2.JobSpec,
    search: spec.Grid | spec.RandomSearch | LearningRateRange | None,
    parameters: list[spec_pb2.Parameter],
) -> None:
    if isinstance(search, LearningRateRange):
        if parameters:
            raise SpecError(
                parameters[0].path, "holds a domain, and a LearningRateRange has no other search"
            )
        _write(message.search.learning_rate_range, search, "search.learning_rate_range", None)
        return
    if not parameters:
        if search is not None:
            raise SpecError("search", "no field holds a domain, so there is nothing to search")
        return
    message.search.parameters.extend(parameters)
    match search or _default_search(parameters):
        case spec.Grid(points=points):
            message.search.grid.SetInParent()
            if points is not None:
                message.search.grid.points = _count("search.grid.points", points)
        case spec.RandomSearch(trials=trials):
            message.search.random.trials = _count("search.random.trials", trials)
        case other:
            raise SpecError(
                "search", f"expected Grid, RandomSearch or LearningRateRange, not {other!r}"
            )


def _write_objectives(message: spec_pb2.Search, given: spec.JobSpec) -> None:
    for objective in list_objectives(given.objectives):
        _write(message.objectives.add(), objective, "objectives", None)
    if given.population is not None:
        _write(message.population, given.population, "population", None)
    rule = given.early_stopping
    if rule is None:
        return
    name = EARLY_STOPPING.get(type(rule))
    if name is None:
        expected = " or ".join(f"{kind.__name__}()" for kind in EARLY_STOPPING)
        raise SpecError("early_stopping", f"expected {expected}, not {rule!r}")
    _write(getattr(message, name), rule, "early_stopping", None)


def _count(field: str, value: object) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or abs(int(value)) >= 2**31:
        raise SpecError(field, f"expected a whole number, not {value!r}")
    return int(value)


def _default_search(parameters: list[spec_pb2.Parameter]) -> spec.Grid:
    listed = {"choice", "integer"}
    endless = [p.path for p in parameters if p.WhichOneof("domain") not in listed]
    if endless:
        raise SpecError(
            "search",
            f"the values of {', '.join(endless)} can't all be listed: "
            "add search=RandomSearch(trials=...) or search=Grid(points=...)",
        )
    return spec.Grid()
