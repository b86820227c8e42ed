"""What each message of a specification takes from the typed object that stands for it.

A reader gives the values of a message's fields, by the proto's names; a value may be a further
object, a domain or None. Most objects bear the proto's names and need no reader of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from packtrain.client import (
    costs,
    initializations,
    objectives,
    optimizers,
    regularization,
    schedules,
    selections,
    spec,
    stopping,
)
from packtrain.client.domains import Choice, Conditional, Domain
from packtrain.client.errors import SpecError
from packtrain.client.hints import did_you_mean
from packtrain.client.names import dataset_name, job_name
from packtrain.client.origins import FromModel

Fields = dict[str, Any]

# The member of its oneof that each alternative is.
COSTS: dict[type[Any], str] = {
    costs.Quadratic: "quadratic",
    costs.CrossEntropy: "cross_entropy",
    costs.LogLikelihood: "log_likelihood",
    costs.Hinge: "hinge",
    costs.Huber: "huber",
    costs.Absolute: "absolute",
    costs.Poisson: "poisson",
}
INITIALIZATIONS: dict[type[Any], str] = {
    initializations.ScaledGaussian: "scaled_gaussian",
    initializations.UnitGaussian: "unit_gaussian",
    initializations.Xavier: "xavier",
    initializations.He: "he",
    initializations.LeCun: "lecun",
    initializations.Orthogonal: "orthogonal",
    initializations.Constant: "constant",
    initializations.GivenArrays: "arrays",
    FromModel: "model",
}
OPTIMIZERS: dict[type[Any], str] = {
    optimizers.SGD: "sgd",
    optimizers.AdaGrad: "adagrad",
    optimizers.RMSProp: "rmsprop",
    optimizers.Adam: "adam",
    optimizers.AdamW: "adamw",
    optimizers.NAdam: "nadam",
    optimizers.Lion: "lion",
}
EARLY_STOPPING: dict[type[Any], str] = {
    objectives.SuccessiveHalving: "successive_halving",
    objectives.Hyperband: "hyperband",
    objectives.MedianRule: "median",
}
SCHEDULES: dict[type[Any], str] = {
    schedules.ConstantRate: "constant",
    schedules.StepDecay: "step",
    schedules.ExponentialDecay: "exponential",
    schedules.PolynomialDecay: "polynomial",
    schedules.CosineDecay: "cosine",
    schedules.OneCycle: "one_cycle",
    schedules.Plateau: "plateau",
}


def read_fields(message_name: str, value: Any, path: str) -> Fields:
    """The fields that ``value`` gives to a message of this type; SpecError if it can't."""
    reader, expected = READERS.get(message_name, (_read_plain, message_name))
    found = reader(value)
    if found is None:
        hint = _hint(value, expected)
        raise SpecError(path or "spec", f"expected {expected}, not {value!r}{hint}")
    return found


def _hint(value: Any, expected: str) -> str:
    """What a text may have been meant for, a class of its own, or several objects, a choice."""
    if isinstance(value, str):
        return did_you_mean(value, {w: f"{w}()" for w in re.findall(r"(\w+)\(\)", expected)})
    if isinstance(value, type):
        return f"; did you mean {value.__name__}()?"
    if isinstance(value, list | tuple) and any(is_dataclass(each) for each in value):
        return f"; did you mean choice({', '.join(map(repr, value))})?"
    return ""


def _own(value: Any) -> Fields:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _read_plain(value: Any) -> Fields | None:
    if isinstance(value, Mapping):
        return dict(value)
    return _own(value) if is_dataclass(value) and not isinstance(value, type) else None


def _of(*kinds: type[Any]) -> Callable[[Any], Fields | None]:
    return lambda value: _own(value) if isinstance(value, kinds) else None


def _one_of(
    kinds: Mapping[type[Any], str], *shared: str
) -> tuple[Callable[[Any], Fields | None], str]:
    """The reader of a message whose alternatives these are, and what it expects. The fields in
    ``shared`` are the message's own, whatever the alternative."""

    def read(value: Any) -> Fields | None:
        member = kinds.get(type(value))
        if member is None:
            return None
        if not shared:
            return {member: value}
        own = _own(value)
        return {name: own.pop(name) for name in shared} | {member: own}

    *names, last = [f"{kind.__name__}()" for kind in kinds]
    return read, f"{', '.join(names)} or {last}"


def _read_spec(value: Any) -> Fields | None:
    if not isinstance(value, spec.JobSpec):
        return None
    found = _own(value)
    # Written when all domains are known.
    for name in ("search", "objectives", "early_stopping", "population"):
        del found[name]
    measured = {"metrics": list(found.pop("metrics")) or None}
    measured["every_epochs"] = found.pop("measure_every")
    if any(part is not None for part in measured.values()):
        found["measurement"] = measured
    return found


def _read_selection(value: Any) -> Fields | None:
    match value:
        case str():
            return {"name": dataset_name(value)}
        case selections.Synthetic():
            return {"synthetic": value}
        case selections.InlineDataset():
            return {"inline": value}
        case (x, y):
            return {"inline": selections.inline(x, y)}
        case selections.DatasetSelection():
            return _read_full_selection(value)
    return None


def _read_full_selection(value: selections.DatasetSelection) -> Fields:
    found = _own(value)
    match found["name"]:
        case str(name):
            found["name"] = dataset_name(name)
        case Domain() as names:
            found["name"] = _with_values(names, dataset_name)
    rows, held_out = found.pop("training_rows"), found.pop("validation")
    if isinstance(rows, Domain) and not _holds(rows, selections.RowRange):
        rows = {"count": rows}
    found["training"] = rows
    by_rows = isinstance(held_out, str | selections.RowRange) or _holds(
        held_out, str, selections.RowRange
    )
    found["validation_rows" if by_rows else "validation_share"] = held_out
    return found


def _with_values(domain: Domain, change: Callable[[Any], Any]) -> Domain:
    """The domain with each value of its choice changed."""
    match domain:
        case Choice(values):
            return Choice(tuple(change(value) for value in values))
        case Conditional(inner, path, values):
            return Conditional(_with_values(inner, change), path, values)
    return domain


def _holds(value: Any, *kinds: type[Any]) -> bool:
    if isinstance(value, Conditional):
        value = value.domain
    return isinstance(value, Choice) and all(isinstance(v, kinds) for v in value.values)


def _read_rows(value: Any) -> Fields | None:
    match value:
        case str():
            return {"split": value}
        case bool():
            return None
        case int() | np.integer():
            return {"count": int(value)}
        case selections.RowRange() | dict():
            return _read_plain(value)
    return None


def _read_inline(value: Any) -> Fields | None:
    if not isinstance(value, selections.InlineDataset):
        return None
    found: Fields = {"inputs": _rows(value.inputs)}
    if value.targets is not None:
        found["targets"] = _rows(value.targets)
    else:
        found["labels"] = np.asarray(value.labels).tolist()
    return found


def _rows(array: Any) -> list[Fields]:
    return [{"values": row} for row in np.asarray(array, np.float64).tolist()]


def _read_network(value: Any) -> Fields | None:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"hidden": value}
    return _own(value) if isinstance(value, spec.Network) else None


def _read_arrays(value: Any) -> Fields | None:
    if not isinstance(value, initializations.GivenArrays):
        return None
    pairs = zip(value.weights, value.biases, strict=True)
    return {"layers": [{"weights": _flat(w), "biases": _flat(b)} for w, b in pairs]}


def _read_model(value: Any) -> Fields | None:
    if not isinstance(value, FromModel):
        return None
    found = _own(value)
    job = found["job"]
    found["job"] = _with_values(job, _job_name) if isinstance(job, Domain) else _job_name(job)
    return found


def _job_name(job: Any) -> str:
    return job_name(getattr(job, "name", job))


def _flat(array: Any) -> list[float]:
    flat: list[float] = np.asarray(array, np.float64).ravel().tolist()
    return flat


def _read_stopping(value: Any) -> Fields | None:
    match value:
        case stopping.Patience():
            return {"patience": value}
        case stopping.Target():
            return {"target": value}
        case stopping.Stopping():
            return _own(value)
    return None


# By message type: its reader, and what to say when the value is of none of its kinds.
READERS: dict[str, tuple[Callable[[Any], Fields | None], str]] = {
    "JobSpec": (_read_spec, "a JobSpec or a mapping in the contract's JSON form"),
    "DatasetSelection": (
        _read_selection,
        "a dataset's name, a DatasetSelection, a synthetic set or a pair (x, y)",
    ),
    "RowRange": (_read_rows, "a RowRange, a number of rows or a split's name"),
    "SyntheticDataset": (_of(selections.Synthetic), "a synthetic set such as xor()"),
    "InlineDataset": (_read_inline, "inline(x, y)"),
    "Network": (_read_network, "a Network or the widths of its hidden layers"),
    "Cost": _one_of(COSTS, "label_smoothing", "class_weights"),
    "Initialization": _one_of(INITIALIZATIONS),
    "GivenArrays": (_read_arrays, "GivenArrays()"),
    "ModelInitialization": (_read_model, "FromModel()"),
    "Regularization": (_of(regularization.Regularization), "Regularization()"),
    "Augmentation": (_of(regularization.Augmentation), "Augmentation()"),
    "Optimizer": _one_of(OPTIMIZERS, "schedule"),
    "Schedule": _one_of(SCHEDULES, "warmup_epochs"),
    "Stopping": (_read_stopping, "Patience(), Target() or Stopping()"),
    "Patience": (_of(stopping.Patience), "Patience()"),
    "Target": (_of(stopping.Target), "Target()"),
}
