"""Whether a pack and its data meet, for library users: the service validates before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import OUTPUT_ONLY
from packtrain.training.cost_checks import check_costs
from packtrain.training.course_checks import check_course, check_schedule
from packtrain.training.data import TrainingData
from packtrain.training.metrics import METRICS
from packtrain.training.refusals import PackError, require_number
from packtrain.training.spec import (
    NUMBERS,
    TABLES,
    Activation,
    Constant,
    GivenArrays,
    Initialization,
    Number,
    Orthogonal,
    Pack,
    Signature,
    Trials,
)
from packtrain.training.state import PackState


def check_pack(pack: Pack, data: TrainingData) -> None:
    """Raise :class:`PackError` for the first thing that doesn't fit."""
    _check_signature(pack.signature)
    check_course(pack.signature)
    _check_trials(pack.trials, pack.signature)
    _check_rows(pack.signature, "data", data.x, data.y)
    if data.x_validation is not None and data.y_validation is not None:
        _check_rows(pack.signature, "data.validation", data.x_validation, data.y_validation)
    _check_metrics(pack.signature, data)
    check_costs(pack, data)


def check_state(pack: Pack, state: PackState) -> None:
    """Raise :class:`PackError` where ``state`` is not one of ``pack``."""
    if len(state) != len(pack):
        raise PackError("state", f"expected {len(pack)} trials, got {len(state)}.")
    pairs = list(zip(pack.signature.sizes[:-1], pack.signature.sizes[1:], strict=True))
    for name, shapes in (
        ("weights", [(len(pack), inputs, outputs) for inputs, outputs in pairs]),
        ("biases", [(len(pack), outputs) for _, outputs in pairs]),
    ):
        arrays = getattr(state, name)
        found = [array.shape for array in arrays]
        if found != shapes or any(a.dtype != pack.signature.data_type for a in arrays):
            raise PackError(
                f"state.{name}", f"expected {pack.signature.data_type} of shapes {shapes}."
            )


def _check_signature(signature: Signature) -> None:
    sizes = signature.sizes
    if len(sizes) < 2 or min(sizes) < 1:
        raise PackError("signature.sizes", f"expected two or more widths from 1, got {sizes}.")
    if signature.hidden_activation in OUTPUT_ONLY:
        raise PackError(
            "signature.hidden_activation", f"{signature.hidden_activation} is for outputs only."
        )
    if signature.output_activation is Activation.SOFTMAX and sizes[-1] == 1:
        raise PackError("signature.sizes", "softmax needs two outputs or more, got 1.")
    if signature.data_type not in ("float32", "float64"):
        raise PackError(
            "signature.data_type", f"expected float32 or float64, got {signature.data_type}."
        )
    for name in ("batch_size", "epochs", "measure_every"):
        if getattr(signature, name) < 1:
            raise PackError(
                f"signature.{name}", f"expected 1 or more, got {getattr(signature, name)}."
            )


def _check_trials(trials: Trials, signature: Signature) -> None:
    bounds = {name: _in_range(getattr(trials, name), number) for name, number in NUMBERS.items()}
    for table in TABLES:
        name = _COLUMNS[table]
        column = getattr(trials, name)
        inside = (column >= 0) & (column < len(getattr(trials, table)))
        bounds[name] = inside, f"an index into {table}"
    for name in ("seeds", "order_seeds"):
        bounds[name] = np.ones(np.shape(getattr(trials, name)), bool), "whole numbers"
    for name, (is_good, expected) in bounds.items():
        if is_good.shape != (len(trials),):
            raise PackError(
                f"trials.{name}", f"expected shape ({len(trials)},), got {is_good.shape}."
            )
        if not is_good.all():
            row = int(np.argmin(is_good))
            value = getattr(trials, name)[row]
            raise PackError(f"trials.{name}[{row}]", f"expected {expected}, got {value}.")
    for index, schedule in enumerate(trials.schedules):
        check_schedule(schedule, f"trials.schedules[{index}]", signature)
    for index, initialization in enumerate(trials.initializations):
        _check_initialization(initialization, f"trials.initializations[{index}]", signature)


# The column of indices into each table.
_COLUMNS = {
    "costs": "cost",
    "initializations": "initialization",
    "rules": "rule",
    "schedules": "schedule",
}


def _in_range(values: NDArray[np.float64], number: Number) -> tuple[NDArray[np.bool_], str]:
    """Which values are finite and within the number's range, and the range in words."""
    good, words = np.isfinite(values), []
    if number.at_least is not None:
        good, words = good & (values >= number.at_least), [f"at least {number.at_least:g}"]
    if number.above is not None:
        good, words = good & (values > number.above), [f"above {number.above:g}"]
    if number.below is not None:
        good, words = good & (values < number.below), [*words, f"below {number.below:g}"]
    return good, " and ".join(words)


def _check_initialization(initialization: Initialization, field: str, signature: Signature) -> None:
    match initialization:
        case Constant(weight, bias):
            require_number(f"{field}.weight", weight)
            require_number(f"{field}.bias", bias)
        case Orthogonal(gain):
            require_number(f"{field}.gain", gain)
            if gain == 0:
                raise PackError(f"{field}.gain", "expected a number other than 0.")
        case GivenArrays():
            _check_given(initialization, field, signature)


def _check_given(given: GivenArrays, field: str, signature: Signature) -> None:
    shapes = list(zip(signature.sizes[:-1], signature.sizes[1:], strict=True))
    count = len(given.weights)
    if not 1 <= count <= len(shapes):
        raise PackError(f"{field}.weights", f"expected 1 to {len(shapes)} layers, got {count}.")
    for name, arrays, expected in (
        ("weights", given.weights, shapes[:count]),
        ("biases", given.biases, [(outputs,) for _, outputs in shapes[:count]]),
    ):
        found = [np.shape(array) for array in arrays]
        if found != expected:
            raise PackError(f"{field}.{name}", f"expected shapes {expected}, got {found}.")
        if not all(np.isfinite(array).all() for array in arrays):
            raise PackError(f"{field}.{name}", "expected finite numbers.")
    if count < len(shapes):
        if isinstance(given.rest, GivenArrays):
            raise PackError(f"{field}.rest", "given arrays can't be followed by given arrays.")
        _check_initialization(given.rest, f"{field}.rest", signature)


def _check_rows(signature: Signature, field: str, x: object, y: object) -> None:
    width = {"x": signature.sizes[0], "y": signature.sizes[-1]}
    rows = len(x) if isinstance(x, np.ndarray) and x.ndim else 0
    for name, array in (("x", x), ("y", y)):
        if not isinstance(array, np.ndarray) or array.dtype != signature.data_type:
            raise PackError(f"{field}.{name}", f"expected an array of {signature.data_type}.")
        if rows < 1 or array.shape != (rows, width[name]):
            raise PackError(
                f"{field}.{name}",
                f"expected shape ({max(rows, 1)}, {width[name]}), got {array.shape}.",
            )
        if not array.flags.c_contiguous:
            raise PackError(f"{field}.{name}", "expected a C-contiguous array.")
        if not _is_finite(array):
            raise PackError(f"{field}.{name}", "expected finite numbers, got NaN or infinity.")


def _is_finite(array: NDArray[Any]) -> bool:
    # A sum needs no memory of the array's size; one of finite numbers may overflow, though.
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.add.reduce(array, axis=None)) or np.isfinite(array).all())


def _check_metrics(signature: Signature, data: TrainingData) -> None:
    for index, name in enumerate(signature.metrics):
        field = f"signature.metrics[{index}]"
        if name not in METRICS:
            known = ", ".join(METRICS)
            raise PackError(field, f"expected one of {known}, got {name!r}.")
        metric = METRICS[name]
        if metric.needs_validation and data.x_validation is None:
            raise PackError(field, f"{name} needs validation rows, and there are none.")
        if data.target_kind not in metric.target_kinds:
            kinds = " or ".join(sorted(metric.target_kinds))
            raise PackError(
                field, f"{name} needs targets that stand for {kinds}, not {data.target_kind}."
            )
        if signature.sizes[-1] < metric.least_outputs:
            raise PackError(
                field,
                f"{name} needs {metric.least_outputs} outputs or more, got {signature.sizes[-1]}.",
            )
