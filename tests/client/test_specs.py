"""Specifications: every field of the contract can be written, and searched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from packtrain import client as api
from packtrain.client import (
    SGD,
    Absolute,
    AdaGrad,
    Adam,
    AdamW,
    Augmentation,
    Constant,
    ConstantRate,
    CosineDecay,
    CrossEntropy,
    DatasetSelection,
    ExponentialDecay,
    GivenArrays,
    Grid,
    He,
    Hinge,
    Huber,
    JobSpec,
    LeCun,
    Lion,
    LogLikelihood,
    NAdam,
    Network,
    OneCycle,
    Orthogonal,
    Patience,
    Plateau,
    Poisson,
    PolynomialDecay,
    PopulationBasedTraining,
    Quadratic,
    RandomSearch,
    Regularization,
    RMSProp,
    RowRange,
    ScaledGaussian,
    SpecError,
    StepDecay,
    Stopping,
    Synthetic,
    Target,
    UnitGaussian,
    Xavier,
    choice,
    inline,
    integer,
    log_uniform,
    normal,
    uniform,
)
from packtrain.client.converters import readers, spec_message
from packtrain.v1 import spec_pb2


def form(**fields: Any) -> dict[str, Any]:
    """The JSON form of a specification that has these fields beside its dataset."""
    fields.setdefault("dataset", "digits")
    return json_format.MessageToDict(spec_message(JobSpec(**fields)))


def test_everything_at_once() -> None:
    spec = form(
        dataset=DatasetSelection(
            name="digits",
            training_rows=1000,
            validation=RowRange("test", 5, 10),
            scaling="min_max",
            target_encoding="one_hot",
        ),
        network=Network(
            hidden=[30, 20], hidden_activation="tanh", output_activation="softmax", outputs=10
        ),
        cost=LogLikelihood(),
        initialization=He(distribution="uniform"),
        regularization=Regularization(l2=0.1, l1=0, dropout=0.5),
        optimizer=SGD(learning_rate=0.5, momentum=0),
        epochs=30,
        batch_size=10,
        seed=2**64 - 1,
        data_type="float64",
        metrics=["training_cost"],
        measure_every=5,
    )
    assert spec == {
        "dataset": {
            "name": "datasets/digits",
            "training": {"count": "1000"},
            "validationRows": {"split": "test", "first": "5", "count": "10"},
            "scaling": "SCALING_MIN_MAX",
            "targetEncoding": "TARGET_ENCODING_ONE_HOT",
        },
        "network": {
            "hidden": [30, 20],
            "hiddenActivation": "ACTIVATION_TANH",
            "outputActivation": "ACTIVATION_SOFTMAX",
            "outputs": 10,
        },
        "cost": {"logLikelihood": {}},
        "initialization": {"he": {"distribution": "DISTRIBUTION_UNIFORM"}},
        "regularization": {"l2": 0.1, "l1": 0.0, "dropout": 0.5},
        "optimizer": {"sgd": {"learningRate": 0.5, "momentum": 0.0}},
        "epochs": 30,
        "batchSize": 10,
        "seed": str(2**64 - 1),
        "dataType": "DATA_TYPE_FLOAT64",
        "measurement": {"metrics": ["training_cost"], "everyEpochs": 5},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"dataset": {"name": "datasets/digits"}}),
        ({"dataset": "datasets/x"}, {"dataset": {"name": "datasets/x"}}),
        ({"dataset": api.xor()}, {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_XOR"}}}),
        (
            {"dataset": api.moons(rows=5, noise=0, seed=0)},
            {
                "dataset": {
                    "synthetic": {
                        "kind": "SYNTHETIC_KIND_MOONS",
                        "rows": 5,
                        "noise": 0.0,
                        "seed": "0",
                    }
                }
            },
        ),
        (
            {"dataset": api.linear(features=3)},
            {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_LINEAR", "features": 3}}},
        ),
        (
            {"dataset": (np.eye(2), [0, 1])},
            {
                "dataset": {
                    "inline": {"inputs": [{"values": [1, 0]}, {"values": [0, 1]}], "labels": [0, 1]}
                }
            },
        ),
        (
            {"dataset": api.inline([1.0], [0.0])},
            {"dataset": {"inline": {"inputs": [{"values": [1]}], "targets": [{"values": [0]}]}}},
        ),
        (
            {"dataset": DatasetSelection(synthetic=api.spirals(), validation=0.2)},
            {
                "dataset": {
                    "synthetic": {"kind": "SYNTHETIC_KIND_SPIRALS"},
                    "validationShare": 0.2,
                }
            },
        ),
        (
            {"dataset": DatasetSelection(name="m", validation="test")},
            {"dataset": {"name": "datasets/m", "validationRows": {"split": "test"}}},
        ),
        ({"network": (30,)}, {"network": {"hidden": [30]}}),
        ({"network": [np.int64(3)]}, {"network": {"hidden": [3]}}),
        ({"cost": Quadratic()}, {"cost": {"quadratic": {}}}),
        ({"cost": CrossEntropy()}, {"cost": {"crossEntropy": {}}}),
        ({"initialization": ScaledGaussian()}, {"initialization": {"scaledGaussian": {}}}),
        ({"initialization": UnitGaussian()}, {"initialization": {"unitGaussian": {}}}),
        ({"initialization": Xavier()}, {"initialization": {"xavier": {}}}),
        (
            {"initialization": Constant(weight=0.6, bias=0)},
            {"initialization": {"constant": {"weight": 0.6, "bias": 0.0}}},
        ),
        (
            {"initialization": GivenArrays(weights=[[[1, 2], [3, 4]]], biases=[[5, 6]])},
            {
                "initialization": {
                    "arrays": {"layers": [{"weights": [1, 2, 3, 4], "biases": [5, 6]}]}
                }
            },
        ),
        ({"optimizer": SGD()}, {"optimizer": {"sgd": {}}}),
        ({"optimizer": SGD(nesterov=np.True_)}, {"optimizer": {"sgd": {"nesterov": True}}}),
        (
            {"optimizer": AdaGrad(epsilon=1e-6, schedule=ConstantRate(warmup_epochs=2))},
            {
                "optimizer": {
                    "adagrad": {"epsilon": 1e-6},
                    "schedule": {"constant": {}, "warmupEpochs": 2},
                }
            },
        ),
        (
            {"optimizer": RMSProp(beta2=0.9, schedule=StepDecay(every=5, factor=0.1))},
            {
                "optimizer": {
                    "rmsprop": {"beta2": 0.9},
                    "schedule": {"step": {"every": 5, "factor": 0.1}},
                }
            },
        ),
        (
            {"optimizer": Adam(learning_rate=0.01, schedule=CosineDecay(period=3, growth=2))},
            {
                "optimizer": {
                    "adam": {"learningRate": 0.01},
                    "schedule": {"cosine": {"period": 3, "growth": 2}},
                }
            },
        ),
        (
            {"optimizer": AdamW(beta1=0.8, schedule=ExponentialDecay(factor=0.9))},
            {"optimizer": {"adamw": {"beta1": 0.8}, "schedule": {"exponential": {"factor": 0.9}}}},
        ),
        (
            {"optimizer": NAdam(schedule=PolynomialDecay(power=2, final=0))},
            {"optimizer": {"nadam": {}, "schedule": {"polynomial": {"power": 2, "final": 0}}}},
        ),
        (
            {"optimizer": Lion(schedule=OneCycle(peak_at=0.5, start=0.1, warmup_epochs=0))},
            {
                "optimizer": {
                    "lion": {},
                    "schedule": {"oneCycle": {"peakAt": 0.5, "start": 0.1}, "warmupEpochs": 0},
                }
            },
        ),
        (
            {"optimizer": SGD(schedule=Plateau(metric="training_cost", patience=3, least=0.1))},
            {
                "optimizer": {
                    "sgd": {},
                    "schedule": {
                        "plateau": {"metric": "training_cost", "patience": 3, "least": 0.1}
                    },
                }
            },
        ),
        (
            {"cost": CrossEntropy(label_smoothing=0.1, class_weights=[1, 2])},
            {"cost": {"crossEntropy": {}, "labelSmoothing": 0.1, "classWeights": [1, 2]}},
        ),
        ({"cost": Huber(delta=2)}, {"cost": {"huber": {"delta": 2}}}),
        ({"cost": Hinge()}, {"cost": {"hinge": {}}}),
        ({"cost": Absolute()}, {"cost": {"absolute": {}}}),
        ({"cost": Poisson()}, {"cost": {"poisson": {}}}),
        (
            {"initialization": LeCun("uniform")},
            {"initialization": {"lecun": {"distribution": "DISTRIBUTION_UNIFORM"}}},
        ),
        ({"initialization": Orthogonal(gain=2)}, {"initialization": {"orthogonal": {"gain": 2}}}),
        (
            {
                "regularization": Regularization(
                    max_norm=3,
                    clip_norm=1,
                    input_noise=0,
                    augmentation=Augmentation(height=8, width=8, shift=1, rotation=10),
                )
            },
            {
                "regularization": {
                    "maxNorm": 3,
                    "clipNorm": 1,
                    "inputNoise": 0,
                    "augmentation": {"height": 8, "width": 8, "shift": 1, "rotation": 10},
                }
            },
        ),
        (
            {"stopping": Patience(metric="training_cost", epochs=5, min_delta=0)},
            {"stopping": {"patience": {"metric": "training_cost", "epochs": 5, "minDelta": 0}}},
        ),
        (
            {"stopping": Stopping(patience=Patience(), target=Target(value=0.9))},
            {"stopping": {"patience": {}, "target": {"value": 0.9}}},
        ),
        ({"stopping": Target(value=0)}, {"stopping": {"target": {"value": 0}}}),
        (
            {"network": Network(hidden_activation="gelu", output_activation="exponential")},
            {
                "network": {
                    "hiddenActivation": "ACTIVATION_GELU",
                    "outputActivation": "ACTIVATION_EXPONENTIAL",
                }
            },
        ),
    ],
)
def test_each_alternative(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert form(**fields) == {"dataset": {"name": "datasets/digits"}} | expected


DOMAINS = [
    ("dataset", {"dataset": choice("digits", api.xor())}),
    ("dataset.name", {"dataset": DatasetSelection(name=choice("a", "b"))}),
    (
        "dataset.training.count",
        {"dataset": DatasetSelection(name="d", training_rows=integer(10, 50))},
    ),
    (
        "dataset.training",
        {"dataset": DatasetSelection(name="d", training_rows=choice(RowRange(count=3)))},
    ),
    (
        "dataset.training.first",
        {"dataset": DatasetSelection(name="d", training_rows=RowRange(first=integer(0, 5)))},
    ),
    (
        "dataset.validation_share",
        {"dataset": DatasetSelection(name="d", validation=uniform(0.1, 0.5))},
    ),
    (
        "dataset.validation_rows",
        {"dataset": DatasetSelection(name="d", validation=choice("test", RowRange("train")))},
    ),
    ("dataset.scaling", {"dataset": DatasetSelection(name="d", scaling=choice("none", "min_max"))}),
    (
        "dataset.synthetic.noise",
        {"dataset": Synthetic(kind="moons", noise=uniform(0, 1))},
    ),
    ("network", {"network": choice([30], Network(hidden=[20]))}),
    ("network.hidden", {"network": Network(hidden=choice([], [30], [30, 30]))}),
    ("network.hidden_activation", {"network": Network(hidden_activation=choice("relu", "tanh"))}),
    ("network.outputs", {"network": Network(outputs=integer(1, 3))}),
    ("cost", {"cost": choice(CrossEntropy(), Quadratic())}),
    ("initialization", {"initialization": choice(He(), Constant(weight=1))}),
    ("initialization.constant.weight", {"initialization": Constant(weight=normal(0, 1))}),
    ("initialization.he.distribution", {"initialization": He(choice("normal", "uniform"))}),
    ("regularization", {"regularization": choice(Regularization(l2=1), Regularization(l1=1))}),
    ("regularization.l2", {"regularization": Regularization(l2=log_uniform(0.1, 1))}),
    ("regularization.dropout", {"regularization": Regularization(dropout=choice(0, 0.5))}),
    ("optimizer", {"optimizer": choice(SGD(momentum=0.5), SGD())}),
    ("optimizer.sgd.learning_rate", {"optimizer": SGD(learning_rate=log_uniform(0.01, 10))}),
    ("optimizer.sgd.momentum", {"optimizer": SGD(momentum=uniform(0, 0.9))}),
    ("optimizer.sgd.nesterov", {"optimizer": SGD(nesterov=choice(True, False))}),
    ("optimizer.adam.beta1", {"optimizer": Adam(beta1=uniform(0.5, 0.99))}),
    ("optimizer", {"optimizer": choice(Adam(schedule=CosineDecay()), Lion())}),
    ("optimizer.schedule", {"optimizer": SGD(schedule=choice(CosineDecay(), Plateau()))}),
    (
        "optimizer.schedule.cosine.final",
        {"optimizer": Adam(schedule=CosineDecay(final=uniform(0, 0.1)))},
    ),
    (
        "optimizer.schedule.warmup_epochs",
        {"optimizer": Adam(schedule=StepDecay(warmup_epochs=choice(0, 2)))},
    ),
    ("cost.label_smoothing", {"cost": CrossEntropy(label_smoothing=uniform(0, 0.2))}),
    ("cost.class_weights", {"cost": CrossEntropy(class_weights=choice([1, 1], [1, 5]))}),
    ("cost.huber.delta", {"cost": Huber(delta=log_uniform(0.1, 10))}),
    ("initialization.orthogonal.gain", {"initialization": Orthogonal(gain=uniform(0.5, 2))}),
    ("regularization.max_norm", {"regularization": Regularization(max_norm=log_uniform(1, 9))}),
    (
        "regularization.augmentation.shift",
        {"regularization": Regularization(augmentation=Augmentation(shift=choice(0, 1, 2)))},
    ),
    ("stopping", {"stopping": choice(Patience(), Target(value=1))}),
    ("stopping.patience.epochs", {"stopping": Patience(epochs=integer(2, 5))}),
    ("stopping.target.metric", {"stopping": Target(value=1, metric=choice("a", "b"))}),
    ("epochs", {"epochs": integer(1, 3)}),
    ("batch_size", {"batch_size": choice(1, 10)}),
    ("seed", {"seed": integer(1, 8)}),
]


@pytest.mark.parametrize(("path", "fields"), DOMAINS, ids=[path for path, _ in DOMAINS])
def test_any_field_may_be_searched(path: str, fields: dict[str, Any]) -> None:
    fields = {"dataset": "digits", "search": RandomSearch(trials=4)} | fields
    message = spec_message(JobSpec(**fields))
    assert [p.path for p in message.search.parameters] == [path]
    assert message.search.random.trials == 4
    # The path leads through messages that are set to a field that is not.
    *parents, leaf = path.split(".")
    holder: Any = message
    for parent in parents:
        assert holder.HasField(parent)
        holder = getattr(holder, parent)
    field = holder.DESCRIPTOR.fields_by_name[leaf]
    assert not getattr(holder, leaf) if field.is_repeated else leaf not in dict(holder.ListFields())
    # Each value of a choice is the JSON form of that field.
    for value in json_format.MessageToDict(message.search.parameters[0].choice).get("values", []):
        json_format.ParseDict({field.json_name: value}, type(holder)())


def test_domains_keep_their_numbers() -> None:
    message = spec_message(
        JobSpec(
            dataset="d",
            optimizer=SGD(learning_rate=log_uniform(0.01, 10), momentum=uniform(0, 0.5)),
            initialization=Constant(weight=normal(1, 2)),
            epochs=integer(2, 10, step=4),
            batch_size=integer(1, 3),
            seed=choice(1, 2**60),
            cost=choice(CrossEntropy(), Quadratic()),
            search=RandomSearch(trials=3),
        )
    )
    found = {p.path: p for p in message.search.parameters}
    rate = found["optimizer.sgd.learning_rate"].log_uniform
    assert (rate.low, rate.high) == (0.01, 10)
    momentum = found["optimizer.sgd.momentum"].uniform
    assert (momentum.low, momentum.high) == (0, 0.5)
    weight = found["initialization.constant.weight"].normal
    assert (weight.mean, weight.standard_deviation) == (1, 2)
    assert (found["epochs"].integer.low, found["epochs"].integer.high) == (2, 10)
    assert found["epochs"].integer.step == 4
    assert not found["batch_size"].integer.HasField("step")
    seeds = json_format.MessageToDict(found["seed"].choice)["values"]
    assert seeds == [1, str(2**60)]  # beyond 2**53 a JSON number is not exact
    assert json_format.MessageToDict(found["cost"].choice)["values"] == [
        {"cross_entropy": {}},
        {"quadratic": {}},
    ]


def test_listed_domains_make_a_grid_by_themselves() -> None:
    spec = form(epochs=choice(1, 2), seed=integer(1, 3))
    assert spec["search"]["grid"] == {}
    assert form(epochs=uniform(1, 2), search=Grid(points=3))["search"]["grid"] == {"points": 3}


FAMILIES = [
    ("Cost", "kind", readers.COSTS),
    ("Initialization", "kind", readers.INITIALIZATIONS),
    ("Optimizer", "kind", readers.OPTIMIZERS),
    ("Schedule", "shape", readers.SCHEDULES),
]


@pytest.mark.parametrize(("message", "oneof", "kinds"), FAMILIES, ids=[f[0] for f in FAMILIES])
def test_every_alternative_of_the_contract_has_a_typed_object(
    message: str, oneof: str, kinds: dict[type[Any], str]
) -> None:
    descriptor = getattr(spec_pb2, message).DESCRIPTOR
    members = {f.name: f.message_type for f in descriptor.oneofs_by_name[oneof].fields}
    assert set(kinds.values()) == set(members)
    shared = {f.name for f in descriptor.fields} - set(members)
    for kind, member in kinds.items():
        own = {f.name for f in members[member].fields} - {"layers"}
        assert own | shared <= set(kind.__dataclass_fields__), member


def test_a_population_is_written_into_the_search() -> None:
    spec = form(
        dataset="d",
        optimizer=SGD(learning_rate=log_uniform(0.01, 1)),
        search=RandomSearch(trials=16),
        objectives="validation_cost",
        population=PopulationBasedTraining(every_epochs=3, exploit_share=0.5),
    )
    assert spec["search"]["population"] == {"everyEpochs": 3, "exploitShare": 0.5}
    assert spec["search"]["objectives"] == [{"metric": "validation_cost"}]
    with pytest.raises(SpecError, match="population: expected PopulationBasedTraining"):
        form(dataset="d", population=5)


def test_typed_objects_cover_the_whole_contract() -> None:
    """No field of the proto lacks a place in the objects."""
    kinds = [JobSpec, Network, Regularization, Augmentation, Stopping, Patience, Target, RowRange]
    kinds += [PopulationBasedTraining]
    names = {kind.__name__: kind for kind in kinds} | {"SyntheticDataset": Synthetic}
    for message, kind in names.items():
        fields = {f.name for f in getattr(spec_pb2, message).DESCRIPTOR.fields}
        assert fields - {"measurement"} <= set(kind.__dataclass_fields__), message


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: uniform("a", 1), "uniform"),
        (lambda: log_uniform(1, None), "log_uniform"),
        (lambda: integer(1, "9"), "integer"),
        (lambda: normal(0, "1"), "normal"),
        (lambda: inline([[1, 2], [3]], [0, 1]), "dataset.inline.inputs"),
        (lambda: inline([["a"]], [0]), "dataset.inline.inputs"),
        (lambda: inline([[1.0], [2.0]], ["a", "b"]), "dataset.inline.targets"),
    ],
)
def test_what_is_no_number_is_refused_by_name(make, field):
    with pytest.raises(SpecError) as caught:
        make()
    assert str(caught.value).startswith(field)
