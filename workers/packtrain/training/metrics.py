"""The catalogue of metrics."""

from __future__ import annotations

from dataclasses import dataclass

from packtrain.training.spec import Signature


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What can be measured at the end of an epoch. ``per_layer`` ones expand to name/1,
    name/2, ... from the first hidden layer to the outputs."""

    name: str
    description: str
    per_layer: bool = False
    needs_validation: bool = False
    needs_classes: bool = False
    higher_is_better: bool = False


_ALL = (
    Metric(
        name="training_cost",
        description="Cost of the training rows, with its regularization terms.",
    ),
    Metric(
        name="training_bare_cost",
        description="Cost of the training rows, without regularization terms.",
    ),
    Metric(
        name="training_accuracy",
        description="Share of the training rows that are classified rightly.",
        higher_is_better=True,
        needs_classes=True,
    ),
    Metric(
        name="validation_cost",
        description="Cost of the validation rows, with the regularization terms of the training.",
        needs_validation=True,
    ),
    Metric(
        name="validation_bare_cost",
        description="Cost of the validation rows, without regularization terms.",
        needs_validation=True,
    ),
    Metric(
        name="validation_accuracy",
        description="Share of the validation rows that are classified rightly.",
        higher_is_better=True,
        needs_validation=True,
        needs_classes=True,
    ),
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
        "sigmoid and softmax below 0.05 or above 0.95, tanh beyond 0.9, ReLU at 0.",
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
