"""Specification files: the JSON form of the contract's JobSpec, written in YAML or JSON."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from packtrain.client.converters import spec_message
from packtrain.client.errors import SpecError


class SpecFileError(SpecError):
    """A file is not a specification; ``violations`` names every wrong field."""

    def __init__(self, path: str, cause: SpecError) -> None:
        super().__init__(*cause.violations[0], *cause.violations[1:])
        self.path = path
        self.args = (f"{path} is not a specification: {cause}",)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars, which are JSON's: 1e-3 is a number, and "no" and dates are text."""


_SCALARS: tuple[tuple[str, str, str], ...] = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", r"~|null|Null|NULL|", "~nN"),
)
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"(?:{_pattern})$"),
        [*_first, ""] if _tag == "null" else list(_first),
    )


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))  # 010 is ten, as in YAML 1.2


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.MarkedYAMLError(
                problem=f"expected a field's name, not {key!r}", problem_mark=key_node.start_mark
            )
        if key in found:
            raise yaml.MarkedYAMLError(
                problem=f"the field {key} is there twice", problem_mark=key_node.start_mark
            )
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_spec(path: str) -> dict[str, Any]:
    """The specification in a file, in JSON form; "-" is the standard input.

    Raises SpecFileError where it is not a specification, OSError where it can't be read.
    """
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        document = _parse(text, is_json=path.endswith(".json"))
        spec_message(document)
    except UnicodeDecodeError:
        raise SpecFileError(path, SpecError("file", "expected text in UTF-8")) from None
    except SpecError as error:
        raise SpecFileError(path, error) from None
    return document


def _parse(text: str, *, is_json: bool) -> dict[str, Any]:
    try:
        document = json.loads(text) if is_json else yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except json.JSONDecodeError as error:
        raise SpecError(f"line {error.lineno}", error.msg) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"line {line}", error.problem or "expected YAML") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError("file", f"expected YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        shown = "nothing" if document is None else repr(document)[:40]
        raise SpecError("file", f"expected a mapping of fields, not {shown}")
    return document
