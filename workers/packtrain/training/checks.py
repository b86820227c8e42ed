"""Whether a pack and its data meet, for library users: the service validates before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.cost_checks import check_costs
from packtrain.training.course_checks import check_course
from packtrain.training.data import TrainingData
from packtrain.training.metrics import METRICS
from packtrain.training.refusals import PackError, require_kind, require_known, show
from packtrain.training.signature_checks import check_signature
from packtrain.training.spec import Pack, Signature, Trials
from packtrain.training.targets import TargetKind
from packtrain.training.trial_checks import check_trials


def check_pack(pack: Pack, data: TrainingData) -> None:
    """Raise :class:`PackError` for the first thing that doesn't fit."""
    require_kind("pack", pack, Pack, "a Pack")
    require_kind("pack.signature", pack.signature, Signature, "a Signature")
    require_kind("pack.trials", pack.trials, Trials, "Trials")
    require_kind("data", data, TrainingData, "TrainingData")
    check_signature(pack.signature)
    check_course(pack.signature)
    check_trials(pack.trials, pack.signature)
    _check_rows(pack.signature, data, "x", "y")
    if data.x_validation is not None or data.y_validation is not None:
        _check_rows(pack.signature, data, "x_validation", "y_validation")
    require_kind("data.target_kind", data.target_kind, TargetKind, "a TargetKind")
    _check_batch(pack.signature, len(data.x))
    _check_metrics(pack.signature, data)
    check_costs(pack, data)


def _check_rows(signature: Signature, data: TrainingData, inputs: str, targets: str) -> None:
    x = getattr(data, inputs)
    rows = len(x) if isinstance(x, np.ndarray) and x.ndim else 0
    for name, width in ((inputs, signature.sizes[0]), (targets, signature.sizes[-1])):
        array, field = getattr(data, name), f"data.{name}"
        if not isinstance(array, np.ndarray) or array.dtype != signature.data_type:
            found = f"one of {array.dtype}" if isinstance(array, np.ndarray) else show(array)
            raise PackError(field, f"expected an array of {signature.data_type}, got {found}.")
        if rows < 1 or array.shape != (rows, width):
            raise PackError(field, f"expected shape ({max(rows, 1)}, {width}), got {array.shape}.")
        if not array.flags.c_contiguous:
            raise PackError(field, "expected a C-contiguous array.")
        if not _is_finite(array):
            raise PackError(field, "expected finite numbers, got NaN or infinity.")


def _check_batch(signature: Signature, rows: int) -> None:
    if signature.batch_size > rows:
        raise PackError(
            "signature.batch_size",
            f"expected at most the {rows} rows to train on, got {signature.batch_size}.",
        )


def _is_finite(array: NDArray[Any]) -> bool:
    # A sum needs no memory of the array's size; one of finite numbers may overflow, though.
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.add.reduce(array, axis=None)) or np.isfinite(array).all())


def _check_metrics(signature: Signature, data: TrainingData) -> None:
    require_kind("signature.metrics", signature.metrics, tuple, "a tuple of names")
    for index, name in enumerate(signature.metrics):
        field = f"signature.metrics[{index}]"
        require_known(field, name, METRICS, f"one of {', '.join(METRICS)}")
        if name in signature.metrics[:index]:
            raise PackError(field, f"{name} is named twice.")
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
