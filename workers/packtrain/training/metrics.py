"""The catalogue of metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packtrain.training.spec import Signature
from packtrain.training.targets import TargetKind


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What can be measured at the end of an epoch.

    ``per_layer`` ones expand to name/1, name/2, ... from the first hidden layer to the outputs.
    ``target_kinds`` are the targets that have it, of networks of ``least_outputs`` or more.
    ``higher_is_better`` tells what an improvement is. No value is below ``at_least`` or above
    ``at_most``, where they are given.
    """

    name: str
    description: str
    higher_is_better: bool = False
    per_layer: bool = False
    needs_validation: bool = False
    target_kinds: frozenset[TargetKind] = frozenset(TargetKind)
    least_outputs: int = 1
    at_least: float | None = None
    at_most: float | None = None


_CLASSES = frozenset({TargetKind.CLASSES})
_LABELS = frozenset({TargetKind.LABELS})

# Outputs that count as a classifier's best guesses.
TOP = 5


def _of_split(split: str, validated: bool) -> Iterator[Metric]:
    rows = f"the {split} rows"
    terms = "the regularization terms of the training" if validated else "its regularization terms"
    yield Metric(
        name=f"{split}_cost",
        description=f"Cost of {rows}, with {terms}.",
        needs_validation=validated,
    )
    yield Metric(
        name=f"{split}_bare_cost",
        description=f"Cost of {rows}, without regularization terms.",
        needs_validation=validated,
    )
    yield Metric(
        name=f"{split}_accuracy",
        description=f"Share of {rows} that are classified rightly: by the largest output, or a "
        "single one by 0.5 (by 0 under hinge).",
        higher_is_better=True,
        needs_validation=validated,
        target_kinds=_CLASSES,
        at_least=0,
        at_most=1,
    )
    yield Metric(
        name=f"{split}_top5_accuracy",
        description=f"Share of {rows} whose class has one of the five largest outputs; for more "
        "than five.",
        higher_is_better=True,
        needs_validation=validated,
        target_kinds=_CLASSES,
        at_least=0,
        at_most=1,
        least_outputs=TOP + 1,
    )
    yield Metric(
        name=f"{split}_f1",
        description=f"F1 of {rows}, the harmonic mean of precision and recall: the mean over the "
        "classes or labels that occur among targets or guesses.",
        higher_is_better=True,
        needs_validation=validated,
        target_kinds=_CLASSES | _LABELS,
        at_least=0,
        at_most=1,
    )
    yield Metric(
        name=f"{split}_label_accuracy",
        description=f"Share of the labels of {rows} that are told rightly, each by 0.5 (by 0 "
        "under hinge).",
        higher_is_better=True,
        needs_validation=validated,
        target_kinds=_LABELS,
        at_least=0,
        at_most=1,
    )
    yield Metric(
        name=f"{split}_mean_squared_error",
        description=f"Mean of (y - a)^2 over {rows} and outputs.",
        needs_validation=validated,
        at_least=0,
    )
    yield Metric(
        name=f"{split}_mean_absolute_error",
        description=f"Mean of abs(y - a) over {rows} and outputs.",
        needs_validation=validated,
        at_least=0,
    )
    yield Metric(
        name=f"{split}_r2",
        description=f"Share of the variance of the targets of {rows} that is explained, over all "
        "outputs: 1 - sum (y - a)^2 / sum (y - mean y)^2; NaN where no target varies.",
        higher_is_better=True,
        needs_validation=validated,
        at_most=1,
    )


_ALL = (
    *_of_split("training", validated=False),
    *_of_split("validation", validated=True),
    Metric(
        name="output",
        description="Mean of the network's outputs over training rows and outputs.",
    ),
    Metric(
        name="weight_norm",
        description="Frobenius norm of the layer's weights.",
        per_layer=True,
    ),
    Metric(
        name="gradient_norm",
        description="Frobenius norm of the gradient of the bare training cost with respect to "
        "the layer's weights.",
        per_layer=True,
    ),
    Metric(
        name="saturated_share",
        description="Share of the layer's activations over the training rows that hardly learn: "
        "sigmoid and softmax below 0.05 or above 0.95, tanh beyond 0.9, ReLU at 0, ELU below "
        "-0.95, softplus and exponential below 0.05, GELU and SiLU above -0.05 left of their dip.",
        per_layer=True,
    ),
    Metric(
        name="sigma_prime",
        description="Mean abs f'(z) of the layer over training rows and neurons; NaN for softmax.",
        per_layer=True,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def metric_names(signature: Signature) -> tuple[str, ...]:
    """The columns of the signature's metrics, in its order, per-layer ones expanded.

    Raises KeyError for a name that is not in :data:`METRICS`.
    """
    layers = range(1, len(signature.sizes))
    return tuple(
        column
        for name in signature.metrics
        for column in (
            [f"{name}/{layer}" for layer in layers] if METRICS[name].per_layer else [name]
        )
    )
