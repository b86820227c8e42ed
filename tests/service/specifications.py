"""Specifications in their JSON form: what the tests of the contract share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf import json_format

from packtrain.service.errors import InvalidSpecError
from packtrain.v1 import spec_pb2

PLAIN = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 60}}, "seed": 3}
LINEAR = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_LINEAR"}}}
RATE = "optimizer.sgd.learning_rate"


def read(document: dict[str, object]) -> spec_pb2.JobSpec:
    return json_format.ParseDict(document, spec_pb2.JobSpec())


def search(
    *parameters: tuple[str, dict[str, object]], trials: int | None = None
) -> dict[str, object]:
    found: dict[str, object] = {"parameters": [{"path": p} | d for p, d in parameters]}
    found |= {"grid": {}} if trials is None else {"random": {"trials": trials}}
    return {"search": found}


def choice(path: str, *values: object) -> tuple[str, dict[str, object]]:
    return path, {"choice": {"values": list(values)}}


def inline(targets: list[list[float]]) -> dict[str, object]:
    rows = [{"values": [i, i * i]} for i in range(len(targets))]
    return {"dataset": {"inline": {"inputs": rows, "targets": [{"values": t} for t in targets]}}}


def require_refusal(
    plan: Callable[..., object], document: dict[str, object], fields: list[str]
) -> None:
    """That the document is refused for exactly these fields, each with a word of why."""
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(document))
    violations = caught.value.violations
    assert sorted({v.field for v in violations}) == sorted({f"spec.{field}" for field in fields})
    assert all(v.description for v in violations)
