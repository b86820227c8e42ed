"""The cost of a specification, checked against the outputs and the targets."""

from __future__ import annotations

from packtrain.service.contract.fields import Violations, range_error
from packtrain.service.contract.numbers import NumberField, NumberFields, unfit_error
from packtrain.service.contract.targets import Figures, Targets
from packtrain.training import Activation, Cost, CostKind, DataType
from packtrain.training.costs import ALLOWED_OUTPUTS
from packtrain.v1 import spec_pb2

_SMOOTHING = "cost.label_smoothing"
_WEIGHTS = "cost.class_weights"
_DELTA = "cost.huber.delta"
NUMBERS: NumberFields = {
    _SMOOTHING: NumberField(at_least=0, below=1, default=0.0),
    _DELTA: NumberField(above=0, default=1.0),
}

# The cost that goes with an output, where the specification names none.
_DEFAULTS = {
    Activation.SIGMOID: CostKind.CROSS_ENTROPY,
    Activation.SOFTMAX: CostKind.LOG_LIKELIHOOD,
}


def read_cost(
    message: spec_pb2.Cost,
    output: Activation | None,
    targets: Targets | None,
    data_type: DataType,
    violations: Violations,
) -> Cost:
    """The cost. ``output`` or ``targets`` None: they are not known, and not checked."""
    given = message.WhichOneof("kind")
    if given is not None:
        kind = CostKind(given)
    else:
        kind = _DEFAULTS.get(output or Activation.SIGMOID, CostKind.QUADRATIC)
    cost = Cost(
        kind,
        huber_delta=NUMBERS[_DELTA].read(message.huber, _DELTA, violations, data_type=data_type),
        label_smoothing=NUMBERS[_SMOOTHING].read(message, _SMOOTHING, violations),
        class_weights=_read_weights(message, targets, data_type, violations),
    )
    if output is not None and output not in ALLOWED_OUTPUTS[kind]:
        needed = " or ".join(sorted(ALLOWED_OUTPUTS[kind]))
        violations.add(
            "cost", f"{kind} needs {needed} outputs (network.output_activation), not {output}"
        )
    if targets is not None:
        _check_targets(cost, targets, violations)
    return cost


def _read_weights(
    message: spec_pb2.Cost,
    targets: Targets | None,
    data_type: DataType,
    violations: Violations,
) -> tuple[float, ...]:
    weights = tuple(message.class_weights)
    for i, weight in enumerate(weights):
        wrong = range_error(weight, at_least=0) or unfit_error(weight, data_type)
        if wrong:
            violations.add(f"{_WEIGHTS}[{i}]", wrong)
    if not weights:
        return ()
    if not any(weights):
        violations.add(_WEIGHTS, "must not all be 0: nothing would be learnt")
    if targets is None or not targets.show_classes:
        return weights
    if len(weights) != targets.classes:
        violations.add(
            _WEIGHTS,
            f"must be one number for each of the {targets.classes} classes, not {len(weights)}",
        )
    # Outputs beyond the classes have no rows.
    return weights + (1.0,) * (targets.outputs - len(weights))


def _check_targets(cost: Cost, targets: Targets, violations: Violations) -> None:
    if not targets.show_classes:
        found = f"targets that stand for {targets.kind}, shown as they are"
        for is_set, field in ((cost.label_smoothing, _SMOOTHING), (cost.class_weights, _WEIGHTS)):
            if is_set:
                violations.add(field, f"needs outputs that tell classes apart, not {found}")
    if cost.kind is CostKind.HINGE and cost.label_smoothing:
        violations.add(_SMOOTHING, "hinge takes targets of 0 or 1, which smoothing would change")
    if targets.one_hot is not None:
        return
    if cost.kind is CostKind.LOG_LIKELIHOOD and targets.outputs == 1:
        return  # softmax of a single output is named already
    for figures in targets.stored.figures:
        wrong = _wrong_range(cost.kind, figures)
        if wrong:
            violations.add("cost", f"{cost.kind} needs {wrong}")


def _wrong_range(kind: CostKind, found: Figures) -> str | None:
    """What the cost needs, where the targets are outside of it."""
    within = f"those of split {found.split!r} go from {found.low:g} to {found.high:g}"
    if kind is CostKind.CROSS_ENTROPY and not (found.low >= 0 and found.high <= 1):
        return f"targets from 0 to 1; {within}"
    if kind is CostKind.LOG_LIKELIHOOD and not (found.sums_to_one and found.low >= 0):
        return f"class labels, or targets of 0 or more in rows that sum to 1; {within}"
    if kind is CostKind.HINGE and not found.binary:
        return f"targets of 0 or 1; {within}"
    if kind is CostKind.POISSON and not found.low >= 0:
        return f"targets of 0 or more; {within}"
    return None
