"""Any specification as a learning-rate range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from packtrain.client.converters.specs import spec_message
from packtrain.client.errors import SpecError
from packtrain.client.learning_rates import LearningRateRange

COST = "training_cost"
DEFAULT_EPOCHS = 3


def range_document(
    document: Mapping[str, Any], wanted: LearningRateRange, epochs: int | None
) -> dict[str, Any]:
    """The JSON form of the specification that looks for the learning rate of ``document``.

    The rate that it gives or searches is left out, and so are its repeats, its rules for stopping
    and how often it measures; its epochs become ``epochs``, or those of its own where it is a range
    already, or 3. Raises SpecError, also where it searches anything else.
    """
    message = spec_message(document)
    kind = message.optimizer.WhichOneof("kind") or "sgd"
    if message.optimizer.WhichOneof("kind"):
        getattr(message.optimizer, kind).ClearField("learning_rate")
    path = f"optimizer.{kind}.learning_rate"
    searched = [p.path for p in message.search.parameters]
    searched += sorted({p for point in message.search.points.points for p in point.values})
    others = [other for other in searched if other != path]
    if others:
        raise SpecError(
            "search.parameters",
            f"a range varies {path} alone: give {', '.join(others)} a value instead",
        )
    found = message.search.learning_rate_range
    is_range = message.search.HasField("learning_rate_range")
    values = {name: getattr(wanted, name) for name in ("low", "high", "points")}
    if is_range:
        own = {name: getattr(found, name) for name in values if found.HasField(name)}
        values = own | {name: v for name, v in values.items() if v is not None}
    message.ClearField("search")
    message.ClearField("stopping")
    if message.HasField("measurement"):
        message.measurement.ClearField("every_epochs")
    if message.measurement.metrics and COST not in message.measurement.metrics:
        message.measurement.metrics.append(COST)
    message.search.learning_rate_range.SetInParent()
    for name, value in values.items():
        if value is not None:
            setattr(message.search.learning_rate_range, name, value)
    if epochs is not None or not is_range:
        message.epochs = epochs or DEFAULT_EPOCHS
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
