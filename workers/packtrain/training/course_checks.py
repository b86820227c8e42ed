"""Whether the course of a run makes sense: schedules of the rate, stopping, augmentation."""

from __future__ import annotations

from typing import get_args

from packtrain.training.metrics import METRICS
from packtrain.training.refusals import (
    PackError,
    require_kind,
    require_known,
    require_number,
    require_whole,
)
from packtrain.training.spec import (
    Augmentation,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    Patience,
    Plateau,
    PolynomialDecay,
    RateShape,
    Schedule,
    Signature,
    StepDecay,
    Target,
)


def check_course(signature: Signature) -> None:
    """Raise :class:`PackError` for the first thing that is wrong with how a signature's trials
    stop and what they are shown."""
    for name, kind in (("patience", Patience), ("target", Target), ("augmentation", Augmentation)):
        value = getattr(signature, name)
        if value is not None:
            require_kind(f"signature.{name}", value, kind, f"{kind.__name__}(...), or None")
    if (patience := signature.patience) is not None:
        _check_followed("signature.patience.metric", patience.metric, signature)
        require_whole("signature.patience.epochs", patience.epochs, at_least=1)
        require_number("signature.patience.min_delta", patience.min_delta, at_least=0)
    if (target := signature.target) is not None:
        _check_followed("signature.target.metric", target.metric, signature)
        require_number("signature.target.value", target.value)
    if signature.augmentation is not None:
        _check_augmentation(signature.augmentation, signature.sizes[0])


def check_schedule(schedule: Schedule, field: str, signature: Signature) -> None:
    """Raise :class:`PackError` for the first number of a schedule out of its range."""
    require_number(f"{field}.warmup_epochs", schedule.warmup_epochs, at_least=0)
    field = f"{field}.shape"
    require_kind(field, schedule.shape, get_args(RateShape), "a shape, such as CosineDecay()")
    match schedule.shape:
        case StepDecay(every, factor):
            require_whole(f"{field}.every", every, at_least=1)
            require_number(f"{field}.factor", factor, above=0, at_most=1)
        case ExponentialDecay(factor):
            require_number(f"{field}.factor", factor, above=0, at_most=1)
        case PolynomialDecay(power, final):
            require_number(f"{field}.power", power, above=0)
            require_number(f"{field}.final", final, at_least=0, at_most=1)
        case CosineDecay(period, growth, final):
            require_whole(f"{field}.period", period, at_least=0)
            require_number(f"{field}.growth", growth, at_least=1, at_most=1000)
            require_number(f"{field}.final", final, at_least=0, at_most=1)
        case OneCycle(peak_at, start, final):
            require_number(f"{field}.peak_at", peak_at, above=0, below=1)
            require_number(f"{field}.start", start, at_least=0, at_most=1)
            require_number(f"{field}.final", final, at_least=0, at_most=1)
        case Plateau(metric, patience, factor, least):
            _check_followed(f"{field}.metric", metric, signature)
            require_whole(f"{field}.patience", patience, at_least=1)
            require_number(f"{field}.factor", factor, above=0, below=1)
            require_number(f"{field}.least", least, at_least=0, below=1)


def _check_followed(field: str, name: str, signature: Signature) -> None:
    """A rule can go by one number a trial, which is measured."""
    require_known(field, name, METRICS, f"one of {', '.join(METRICS)}")
    if METRICS[name].per_layer:
        raise PackError(field, f"expected one number a trial, but {name} is one a layer.")
    if name not in signature.metrics:
        raise PackError(field, f"{name} must be among signature.metrics.")


def _check_augmentation(augmentation: Augmentation, inputs: int) -> None:
    field = "signature.augmentation"
    height, width = augmentation.height, augmentation.width
    require_whole(f"{field}.height", height, at_least=1)
    require_whole(f"{field}.width", width, at_least=1)
    if height * width != inputs:
        raise PackError(
            field, f"expected height times width to be the {inputs} inputs, got {height} x {width}."
        )
    require_number(f"{field}.shift", augmentation.shift, at_least=0)
    require_number(f"{field}.rotation", augmentation.rotation, at_least=0, at_most=180)
