"""Specifications: from typed objects to the contract's JobSpec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packtrain.client import spec
from packtrain.client.converters.documents import parse_document
from packtrain.client.converters.python_names import PythonNames
from packtrain.client.converters.searches import write_objectives, write_search
from packtrain.client.converters.writers import Parameters, write
from packtrain.client.errors import SpecError
from packtrain.v1 import spec_pb2


def spec_message(given: spec.JobSpec | Mapping[str, Any]) -> spec_pb2.JobSpec:
    """The message of a specification, or of the contract's JSON form of one.

    Raises SpecError, which names the field, where a value can't be written into the message.
    Ranges are the server's to check: it names every wrong field at once.
    """
    message = spec_pb2.JobSpec()
    if isinstance(given, Mapping):
        return parse_document(given, message)
    try:
        _write(message, given)
    except SpecError as error:
        if isinstance(given, spec.JobSpec):
            error.reword(PythonNames(given, message).violation)
        raise
    return message


def _write(message: spec_pb2.JobSpec, given: spec.JobSpec) -> None:
    parameters = Parameters()
    write(message, given, "", parameters)
    write_search(message, given.search, parameters.found)
    write_objectives(message.search, given)
