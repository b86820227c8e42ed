"""Domains of searched parameters: read off the contract and checked for the field they are for."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from packtrain.service.contract.catalogue import COLUMNS
from packtrain.service.contract.fields import Violations, is_float, is_integer
from packtrain.service.contract.json_values import find_wrong_values, to_json
from packtrain.service.domains import Choice, Domain, Integer, Normal, Uniform
from packtrain.v1 import spec_pb2

# A draw has 53 bits.
MAX_INTEGER_SPAN = 2**53
# Beyond, the distribution function leaves the doubles.
MOST_DEVIATIONS = 30


def read_domain(
    parameter: spec_pb2.Parameter, field: FieldDescriptor | None, where: str, violations: Violations
) -> tuple[Domain, list[Any]] | None:
    """The domain and, of a choice, its values; None where it is wrong. ``field`` is the one that
    the parameter's path leads to, None where it leads nowhere."""
    kind = parameter.WhichOneof("domain")
    if kind is None:
        violations.add(where, "must have a domain: choice, uniform, log_uniform, integer or normal")
        return None
    where = f"{where}.{kind}"
    before = len(violations)
    if kind == "choice":
        values = _read_values(parameter, field, f"{where}.values", violations)
        return (Choice(len(values)), values) if len(violations) == before else None
    if field is not None:
        _check_kind(kind, parameter.path, field, where, violations)
    message = getattr(parameter, kind)
    domain: Domain | None
    if kind == "integer":
        domain = _read_integer(message, where, violations)
    elif kind == "normal":
        domain = _read_normal(message, where, violations)
    else:
        domain = _read_interval(message, kind == "log_uniform", where, violations)
    return (domain, []) if domain is not None and len(violations) == before else None


def check_value(
    value: Any, path: str, field: FieldDescriptor, where: str, violations: Violations
) -> None:
    """Check a value, in JSON form, that a search gives the field at ``path``."""
    if value is None and (path == "seed" or path in COLUMNS):
        violations.add(where, f"must be a number for {field.name}, not null")
    violations.add_all(tuple(find_wrong_values(value, field, where)))


def _check_kind(
    kind: str, path: str, field: FieldDescriptor, where: str, violations: Violations
) -> None:
    if kind == "integer" and not (is_integer(field) or is_float(field)):
        violations.add(where, f"{path} is no number: use a choice")
    if kind != "integer" and not is_float(field):
        other = "an integer or a choice" if is_integer(field) else "a choice"
        violations.add(where, f"{path} is no real number: use {other}")


def _read_values(
    parameter: spec_pb2.Parameter,
    field: FieldDescriptor | None,
    where: str,
    violations: Violations,
) -> list[Any]:
    try:
        values = [to_json(value) for value in parameter.choice.values]
    except ValueError:
        violations.add(where, "must be JSON values: no NaN, no infinity")
        return []
    if not values:
        violations.add(where, "must have at least one value")
    for i, value in enumerate(values):
        if field is not None:
            check_value(value, parameter.path, field, f"{where}[{i}]", violations)
    return values


def _read_integer(
    message: spec_pb2.IntegerRange, where: str, violations: Violations
) -> Integer | None:
    step = message.step if message.HasField("step") else 1
    width = message.high - message.low
    if step < 1:
        violations.add(f"{where}.step", f"must be at least 1, not {step}")
    elif step > max(1, width) and width >= 0:
        violations.add(f"{where}.step", f"must be at most high - low ({width}), not {step}")
    if message.log and message.low < 1:
        violations.add(f"{where}.low", f"must be at least 1 beside log, not {message.low}")
    if width < 0:
        violations.add(f"{where}.high", f"must be at least low ({message.low}), not {message.high}")
    elif width > MAX_INTEGER_SPAN:
        violations.add(f"{where}.high", f"must be at most low + {MAX_INTEGER_SPAN:,}")
    elif step >= 1:
        return Integer(message.low, message.high, step, message.log)
    return None


def _read_interval(
    message: spec_pb2.Uniform | spec_pb2.LogUniform, log: bool, where: str, violations: Violations
) -> Uniform | None:
    before = len(violations)
    low, high = message.low, message.high
    if log and not low > 0:
        violations.add(f"{where}.low", f"must be above 0, not {low:g}")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        violations.add(f"{where}.high", f"must be above low ({low:g}), not {high:g}")
    elif not math.isfinite(high - low):
        violations.add(f"{where}.high", "must be less than 1.8e308 above low")
    step = _read_step(message, where, violations)
    if len(violations) > before:
        return None
    if step is not None and not high - low >= step >= (high - low) / MAX_INTEGER_SPAN:
        violations.add(
            f"{where}.step",
            f"must be at most high - low ({high - low:g}), and not so small that there are more "
            f"than {MAX_INTEGER_SPAN:,} steps, not {step:g}",
        )
        return None
    return Uniform(low, high, log, step)


def _read_normal(message: spec_pb2.Normal, where: str, violations: Violations) -> Normal | None:
    before = len(violations)
    mean, deviation = message.mean, message.standard_deviation
    if not (math.isfinite(mean) and 0 < deviation < math.inf):
        violations.add(f"{where}.standard_deviation", "must be above 0, and both numbers finite")
    elif not math.isfinite(abs(mean) + MOST_DEVIATIONS * deviation):
        violations.add(f"{where}.standard_deviation", "must be less than 1e306")
    step = _read_step(message, where, violations)
    if len(violations) == before:
        _check_bounds(message, where, violations)
    if len(violations) > before:
        return None
    low = message.low if message.HasField("low") else -math.inf
    high = message.high if message.HasField("high") else math.inf
    domain = Normal(mean, deviation, step, low, high)
    if step is not None and domain.steps[0] > domain.steps[1]:
        violations.add(f"{where}.step", "must leave some mean + k step within low and high")
        return None
    return domain


def _check_bounds(message: spec_pb2.Normal, where: str, violations: Violations) -> None:
    reach = MOST_DEVIATIONS * message.standard_deviation
    if message.HasField("low") and not -math.inf < message.low <= message.mean + reach:
        violations.add(
            f"{where}.low",
            f"must be a number of at most {MOST_DEVIATIONS} standard deviations above the mean, "
            f"not {message.low:g}",
        )
    if message.HasField("high") and not message.mean - reach <= message.high < math.inf:
        violations.add(
            f"{where}.high",
            f"must be a number of at most {MOST_DEVIATIONS} standard deviations below the mean, "
            f"not {message.high:g}",
        )
    if message.HasField("low") and message.HasField("high") and not message.low < message.high:
        violations.add(
            f"{where}.high", f"must be above low ({message.low:g}), not {message.high:g}"
        )


def _read_step(
    message: spec_pb2.Uniform | spec_pb2.LogUniform | spec_pb2.Normal,
    where: str,
    violations: Violations,
) -> float | None:
    if not message.HasField("step"):
        return None
    step = float(message.step)
    if not 0 < step < math.inf:
        violations.add(f"{where}.step", f"must be above 0, not {step:g}")
    return step
