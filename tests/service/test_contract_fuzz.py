"""Whatever a specification says, it is planned, or refused with its wrong fields: nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from packtrain.service.contract import Planner, TrialParameters
from packtrain.service.datasets import Catalog
from packtrain.service.errors import InvalidSpecError
from packtrain.service.settings import Limits
from packtrain.v1 import job_pb2, spec_pb2

ODD_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e300, -1e300]
ODD_FLOATS += [float("nan"), float("inf"), float("-inf")]
# Neither so many rows nor so many points that a test would wait for them.
ODD_INTEGERS = [0, 1, 2, 3, 7, 30, 70, -1, 20_000, 2_000_000]
LIMITS = {
    FieldDescriptor.CPPTYPE_INT32: [2**31 - 1, -(2**31)],
    FieldDescriptor.CPPTYPE_INT64: [2**63 - 1, -(2**63)],
    FieldDescriptor.CPPTYPE_UINT64: [2**64 - 1],
}
PATHS = [
    "optimizer.sgd.learning_rate",
    "optimizer.sgd.momentum",
    "optimizer.sgd.nesterov",
    "optimizer.sgd",
    "optimizer.adam",
    "optimizer.adam.beta1",
    "optimizer.lion.learning_rate",
    "optimizer.schedule",
    "optimizer.schedule.cosine.final",
    "optimizer.schedule.plateau.metric",
    "optimizer.schedule.warmup_epochs",
    "optimizer",
    "stopping",
    "stopping.patience.epochs",
    "stopping.target.value",
    "regularization",
    "regularization.max_norm",
    "regularization.input_noise",
    "regularization.augmentation",
    "regularization.augmentation.height",
    "regularization.dropout",
    "initialization",
    "initialization.constant.weight",
    "initialization.orthogonal.gain",
    "initialization.lecun.distribution",
    "initialization.arrays.layers",
    "cost",
    "cost.quadratic",
    "cost.huber.delta",
    "cost.label_smoothing",
    "cost.class_weights",
    "network",
    "network.hidden",
    "network.outputs",
    "network.output_activation",
    "epochs",
    "batch_size",
    "seed",
    "dataset",
    "dataset.name",
    "dataset.inline",
    "dataset.synthetic.noise",
    "dataset.synthetic.kind",
    "dataset.validation_share",
    "dataset.training.count",
    "dataset.target_encoding",
    "data_type",
    "search",
]
NAMES = ["", "train", "test", "datasets/digits", "datasets/none", "training_cost", "é\x00", *PATHS]
FAMILIES = [
    {"crossEntropy": {}, "labelSmoothing": 0.1},
    {"quadratic": {}},
    {"huber": {"delta": 0}},
    {"poisson": {}, "classWeights": [1, 2]},
    {"adam": {"beta2": 1}, "schedule": {"plateau": {"metric": "training_cost"}}},
    {"cosine": {"period": 3}, "warmupEpochs": 1},
    {"patience": {}, "target": {}},
    {"l2": 1, "maxNorm": 0, "augmentation": {"shift": 1}},
    {"he": {"distribution": 5}},
    {"sgd": {"learningRate": 0.1}},
    {"sgd": {"learningRate": "NaN"}},
    {"hidden": [3], "outputs": 0},
    {"synthetic": {"kind": "SYNTHETIC_KIND_XOR"}},
    {"constant": {"weight": 1e300}},
    [3, 4],
    [],
    "ACTIVATION_TANH",
]

json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(ODD_FLOATS),
    st.sampled_from([0, 1, 3, 12, 2**31, 2**63, -5]),
    st.sampled_from(NAMES),
    st.sampled_from(FAMILIES),
)


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    kind = field.cpp_type
    if field.name == "path":
        return st.sampled_from(PATHS)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return st.integers(-1, len(field.enum_type.values) + 1)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return st.sampled_from(NAMES)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.sampled_from(ODD_FLOATS) | st.floats(0.001, 2.0)
    signed = kind != FieldDescriptor.CPPTYPE_UINT64
    return st.sampled_from([i for i in ODD_INTEGERS if signed or i >= 0] + LIMITS[kind])


def fill(draw: st.DrawFn, message: Message, depth: int = 0) -> None:
    """Set some of the message's fields to something."""
    for field in message.DESCRIPTOR.fields:
        if draw(st.integers(0, 3)):
            continue
        if field.message_type is None:
            if field.is_repeated:
                getattr(message, field.name).extend(draw(st.lists(scalars(field), max_size=3)))
            else:
                setattr(message, field.name, draw(scalars(field)))
        elif field.message_type.GetOptions().map_entry:
            for path in draw(st.lists(st.sampled_from(PATHS), max_size=3)):
                add_value(getattr(message, field.name)[path], draw(json_values))
        elif field.message_type.full_name == "google.protobuf.Value":
            for _ in range(draw(st.integers(0, 3))):
                add_value(message.values.add(), draw(json_values))
        elif field.is_repeated:
            for _ in range(draw(st.integers(0, 3))):
                fill(draw, getattr(message, field.name).add(), depth + 1)
        else:
            getattr(message, field.name).SetInParent()
            fill(draw, getattr(message, field.name), depth + 1)


def add_value(value: Any, content: Any) -> None:
    if isinstance(content, bool):
        value.bool_value = content
    elif isinstance(content, int | float):
        value.number_value = content
    elif isinstance(content, str):
        value.string_value = content
    elif isinstance(content, list):
        value.list_value.extend(content)
    elif isinstance(content, dict):
        value.struct_value.update(content)


SENSIBLE = st.sampled_from(
    [
        ("optimizer.sgd.learning_rate", [0.1, 0.5]),
        ("optimizer.sgd", [{}, {"momentum": 0.5}]),
        ("optimizer.sgd.nesterov", [True, False]),
        ("optimizer.adam.beta1", [0, 0.95]),
        ("optimizer", [{"sgd": {"learningRate": 2}}, {"lion": {}}, {"adamw": {"epsilon": 1e-4}}]),
        ("optimizer.schedule", [{"cosine": {}}, {"plateau": {}}, {"warmupEpochs": 2}]),
        ("optimizer.schedule.one_cycle.peak_at", [0.25, 0.5]),
        ("stopping.patience.epochs", [1, 5]),
        ("stopping", [{}, {"target": {"value": 0.5}}, {"patience": {"metric": "training_cost"}}]),
        ("regularization.dropout", [0, 0.5]),
        ("regularization.clip_norm", [0.1, 5]),
        ("regularization.augmentation.shift", [0, 1]),
        ("regularization", [{}, {"l2": 1}, {"l1": 0.1, "dropout": 0.2}, {"inputNoise": 1}]),
        (
            "regularization",
            [{"maxNorm": 3}, {"augmentation": {"height": 1, "width": 2, "rotation": 90}}],
        ),
        ("initialization", [{"he": {}}, {"constant": {}}, {"orthogonal": {}}, {"lecun": {}}]),
        ("cost", [{"quadratic": {}}, {"crossEntropy": {}}, {"huber": {}}, {"absolute": {}}]),
        ("cost.label_smoothing", [0, 0.1]),
        ("cost.class_weights", [[], [1, 2]]),
        ("network.hidden", [[], [3], [3, 2]]),
        ("network.hidden_activation", ["ACTIVATION_RELU", 2, "ACTIVATION_GELU"]),
        ("network", [{}, {"hidden": [2]}, {"outputs": 2}]),
        ("epochs", [1, 2, 30]),
        ("batch_size", [1, 4]),
        ("seed", [0, 1, "18446744073709551615"]),
        ("dataset.validation_share", [0.25, 0.5]),
        ("dataset.scaling", ["SCALING_MIN_MAX"]),
        ("dataset.synthetic", [{"kind": "SYNTHETIC_KIND_MOONS"}, {"kind": 1, "rows": 9}]),
    ]
)


@st.composite
def sensible_specs(draw: st.DrawFn) -> spec_pb2.JobSpec:
    """What most clients send: a search over fields that are not given."""
    spec = spec_pb2.JobSpec(epochs=draw(st.none() | st.integers(1, 40)))
    searched = draw(st.lists(SENSIBLE, unique_by=lambda p: p[0], max_size=4))
    if "dataset.synthetic" not in [path for path, _ in searched]:
        spec.dataset.synthetic.kind = draw(st.sampled_from([1, 2, 3]))
    if "epochs" in [path for path, _ in searched]:
        spec.ClearField("epochs")
    for path, values in searched:
        parameter = spec.search.parameters.add(path=path)
        chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        for value in chosen:
            add_value(parameter.choice.values.add(), value)
        earlier = spec.search.parameters[: len(spec.search.parameters) - 1]
        if earlier and draw(st.booleans()):
            other = draw(st.sampled_from(list(earlier)))
            parameter.condition.path = other.path
            parameter.condition.values.append(draw(st.sampled_from(list(other.choice.values))))
    algorithm = draw(st.sampled_from(["grid", "random", "sobol", "latin_hypercube"]))
    if searched:
        getattr(spec.search, algorithm).SetInParent()
        if algorithm != "grid":
            getattr(spec.search, algorithm).trials = draw(st.integers(1, 20))
        if draw(st.booleans()):
            spec.search.repeats = draw(st.integers(1, 3))
    return spec


@st.composite
def odd_specs(draw: st.DrawFn) -> spec_pb2.JobSpec:
    """What no client should send."""
    spec = spec_pb2.JobSpec()
    if draw(st.booleans()):
        fill(draw, spec)
    if draw(st.booleans()):
        spec.dataset.synthetic.kind = spec_pb2.SYNTHETIC_KIND_XOR
        spec.dataset.synthetic.ClearField("rows")
    if draw(st.booleans()):
        for _ in range(draw(st.integers(1, 3))):
            parameter = spec.search.parameters.add()
            fill(draw, parameter)
            parameter.path = draw(st.sampled_from(PATHS))
            if parameter.WhichOneof("domain") is None:
                for value in draw(st.lists(json_values, min_size=1, max_size=3)):
                    add_value(parameter.choice.values.add(), value)
        if draw(st.booleans()):
            spec.search.random.trials = 5
    if draw(st.integers(0, 9)) == 0:
        for _ in range(draw(st.integers(1, 3))):
            point = spec.search.points.points.add()
            for path, values in draw(st.lists(SENSIBLE, max_size=3)):
                add_value(point.values[path], draw(st.sampled_from(values) | json_values))
    return spec


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Planner:
    data_dir: Path = tmp_path_factory.mktemp("data")
    return Planner(Catalog(data_dir, max_upload_bytes=1 << 20), lambda: 2, Limits(max_trials=500))


@given(spec=odd_specs() | sensible_specs())
@example(spec=spec_pb2.JobSpec())
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_specification_is_planned_or_refused(planner: Planner, spec: spec_pb2.JobSpec) -> None:
    before = spec.SerializeToString(deterministic=True)
    error, planned = None, None
    try:
        planned = planner.plan(spec, "job", "uid")
    except InvalidSpecError as refused:
        error = refused
    event("refused" if error else "planned")
    if error:
        assert error.violations
        assert all(v.field.startswith("spec") and v.description for v in error.violations)
    if planned:
        job, plan = planned, job_pb2.JobPlan.FromString(planned.plan)
        assert job.trials == plan.trials == sum(len(p.trials) for p in job.packs)
        expansion = planner.expand_stored(job)
        assert expansion.trials == job.trials
        parameters = TrialParameters(expansion.spec, job.trials)
        assert all(
            parameters.values(k).keys() <= parameters.columns.keys() for k in range(job.trials)
        )
    assert spec.SerializeToString(deterministic=True) == before
