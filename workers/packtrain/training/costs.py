"""Costs, their errors at the output layer, and the targets and rows that they count
(Nielsen, chapter 3, where no other source is named).

All work on any layout of the trial axis: ``axis`` is where the outputs lie. Arrays of the
network are (trials, rows, outputs) or (rows, outputs, trials); targets ``y`` and ``row_weights``
broadcast to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from packtrain.training.activations import differentiate, log1p
from packtrain.training.spec import Activation, Cost, CostKind

_ANY = frozenset(Activation)

# The output activations that each cost can go with.
ALLOWED_OUTPUTS: dict[CostKind, frozenset[Activation]] = {
    CostKind.QUADRATIC: _ANY,
    CostKind.CROSS_ENTROPY: frozenset({Activation.SIGMOID}),
    CostKind.LOG_LIKELIHOOD: frozenset({Activation.SOFTMAX}),
    CostKind.HINGE: frozenset({Activation.IDENTITY}),
    CostKind.HUBER: _ANY,
    CostKind.ABSOLUTE: _ANY,
    CostKind.POISSON: frozenset({Activation.EXPONENTIAL, Activation.SOFTPLUS}),
}


def output_error(
    cost: Cost,
    activation: Activation,
    z: NDArray[Any],
    a: NDArray[Any],
    y: NDArray[Any],
    row_weights: NDArray[Any] | None,
    out: NDArray[Any],
    scratch: NDArray[Any],
    axis: int,
) -> None:
    """The error delta = dC/dz of each row, in ``out``, times ``row_weights`` where there are any.

    Cross-entropy with sigmoid, log-likelihood with softmax (rows of y sum to 1) and Poisson with
    exponential: a - y. Hinge: -t where 1 - t z > 0, with t = 2 y - 1. The others: dC/da f'(z),
    for softmax through its Jacobian, where dC/da is a - y (quadratic), a - y held within
    +-``huber_delta`` (Huber), the sign of a - y (absolute) or 1 - y/a (Poisson with softplus).
    """
    match cost.kind:
        case CostKind.CROSS_ENTROPY | CostKind.LOG_LIKELIHOOD:
            np.subtract(a, y, out=out)
        case CostKind.HINGE:
            t = 2 * y - 1
            np.multiply(z, t, out=scratch)
            np.less(scratch, 1, out=out)
            np.multiply(out, -t, out=out)
        case CostKind.POISSON:
            np.subtract(a, y, out=out)
            if activation is Activation.SOFTPLUS:
                np.multiply(out, _softplus_ratio(a, scratch), out=out)
        case _:
            np.subtract(a, y, out=out)
            if cost.kind is CostKind.HUBER:
                np.minimum(out, cost.huber_delta, out=out)
                np.maximum(out, -cost.huber_delta, out=out)
            elif cost.kind is CostKind.ABSOLUTE:
                np.sign(out, out=out)
            _pull_back(activation, z, a, out, scratch, axis)
    if row_weights is not None:
        np.multiply(out, row_weights, out=out)


def elementwise_cost(
    cost: Cost,
    z: NDArray[Any],
    a: NDArray[Any],
    y: NDArray[Any],
    row_weights: NDArray[Any] | None,
    out: NDArray[Any],
    scratch: NDArray[Any],
    axis: int,
) -> None:
    """Each output's part of each row's cost, in ``out``, times ``row_weights`` where there are
    any: their sum over n, the number of rows whatever their weights, is the bare cost.

    Cross-entropy, log-likelihood, hinge and Poisson look at the weighted inputs ``z`` of the
    outputs, so that no logarithm of 0 arises. Of Huber (1964): d^2 / 2 for d = abs(a - y) up to
    delta = ``huber_delta``, beyond it delta (d - delta / 2).
    """
    match cost.kind:
        case CostKind.QUADRATIC:
            np.subtract(a, y, out=out)
            np.multiply(out, out, out=out)
            np.multiply(out, 0.5, out=out)
        case CostKind.CROSS_ENTROPY:
            # -y ln a - (1 - y) ln(1 - a) = max(z, 0) - y z + ln(1 + exp(-|z|))
            np.abs(z, out=out)
            np.negative(out, out=out)
            np.exp(out, out=out)
            log1p(out, scratch)
            np.multiply(z, y, out=scratch)
            np.subtract(out, scratch, out=out)
            np.maximum(z, 0, out=scratch)
            np.add(out, scratch, out=out)
        case CostKind.LOG_LIKELIHOOD:
            np.subtract(z, np.maximum.reduce(z, axis=axis, keepdims=True), out=out)
            np.exp(out, out=scratch)
            logarithm = np.log(np.add.reduce(scratch, axis=axis, keepdims=True))
            np.subtract(logarithm, out, out=out)
            np.multiply(out, y, out=out)
        case CostKind.HINGE:
            np.multiply(z, 2 * y - 1, out=out)
            np.subtract(1, out, out=out)
            np.maximum(out, 0, out=out)
        case CostKind.HUBER:
            # With m = min(d, delta), both branches are m d - m^2 / 2.
            np.subtract(a, y, out=out)
            np.abs(out, out=out)
            np.minimum(out, cost.huber_delta, out=scratch)
            np.multiply(out, scratch, out=out)
            np.multiply(scratch, scratch, out=scratch)
            np.multiply(scratch, 0.5, out=scratch)
            np.subtract(out, scratch, out=out)
        case CostKind.ABSOLUTE:
            np.subtract(a, y, out=out)
            np.abs(out, out=out)
        case CostKind.POISSON:
            # a - y ln a. ln a <= z for both outputs: equal for the exponential, and for softplus
            # what ln a tends to where a falls below the least normal number.
            np.maximum(a, np.finfo(a.dtype).tiny, out=scratch)
            np.log(scratch, out=scratch)
            np.minimum(scratch, z, out=scratch)
            np.multiply(scratch, y, out=scratch)
            np.subtract(a, scratch, out=out)
    if row_weights is not None:
        np.multiply(out, row_weights, out=out)


def smooth_targets(cost: Cost, y: NDArray[Any]) -> NDArray[Any]:
    """Targets y (n, outputs) with the share e = ``label_smoothing`` spread over the C classes,
    y (1 - e) + e / C (Szegedy et al., 2016); ``y`` itself where e is 0.

    One column of 0 and 1 stands for two classes.
    """
    share = cost.label_smoothing
    if share == 0:
        return y
    return np.asarray(y * (1 - share) + share / max(y.shape[1], 2))


def weigh_rows(cost: Cost, y: NDArray[Any]) -> NDArray[Any] | None:
    """What each row of y (n, outputs) counts, (n,) of y's type, by the weight of its class; None
    where there are no class weights.

    A row's class is the place of its 1, or in a single column the target itself, 0 or 1. Give
    the targets as they are, not smoothed.
    """
    if not cost.class_weights:
        return None
    classes = y[:, 0].astype(np.intp) if y.shape[1] == 1 else np.argmax(y, axis=1)
    return np.asarray(np.array(cost.class_weights, y.dtype)[classes])


def _pull_back(
    activation: Activation,
    z: NDArray[Any],
    a: NDArray[Any],
    out: NDArray[Any],
    scratch: NDArray[Any],
    axis: int,
) -> None:
    """dC/dz from dC/da, in place."""
    if activation is Activation.SOFTMAX:
        np.multiply(out, a, out=scratch)
        np.subtract(out, np.add.reduce(scratch, axis=axis, keepdims=True), out=out)
        np.multiply(out, a, out=out)
    else:
        derivative = differentiate(activation, z, a, scratch)
        if derivative is not None:
            np.multiply(out, derivative, out=out)


def _softplus_ratio(a: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """f'(z) / a of a softplus, (1 - exp(-a)) / a, which tends to 1 where a tends to 0."""
    positive = np.maximum(a, np.finfo(a.dtype).tiny)
    np.negative(positive, out=out)
    np.expm1(out, out=out)
    np.negative(out, out=out)
    np.divide(out, positive, out=out)
    return out
