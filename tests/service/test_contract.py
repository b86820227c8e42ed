"""Specifications: every wrong field named, all at once; defaults told; searches expanded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format

from packtrain.service.contract import NumberField, Planner, catalogue, trial_parameters
from packtrain.service.contract.expansion import Expansion, expand
from packtrain.service.datasets import Catalog
from packtrain.service.errors import InvalidSpecError
from packtrain.service.records import NewJob
from packtrain.service.settings import Limits
from packtrain.training import (
    NUMBERS,
    Constant,
    CosineDecay,
    Cost,
    He,
    Rule,
    ScaledGaussian,
    Schedule,
    Signature,
    StepDecay,
    Target,
    UnitGaussian,
)
from packtrain.v1 import job_pb2, spec_pb2

PLAIN = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 60}}, "seed": 3}
LINEAR = {"dataset": {"synthetic": {"kind": "SYNTHETIC_KIND_LINEAR"}}}
RATE = "optimizer.sgd.learning_rate"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(tmp_path_factory.mktemp("data"))


def read(document: dict[str, object]) -> spec_pb2.JobSpec:
    return json_format.ParseDict(document, spec_pb2.JobSpec())


@pytest.fixture
def plan(catalog: Catalog) -> Callable[..., NewJob]:
    def run(spec: spec_pb2.JobSpec, **limits: int) -> object:
        return Planner(catalog, 2, Limits(max_trials=10_000, **limits)).plan(spec, "job", "uid")

    return run


@pytest.fixture
def expanded(catalog: Catalog) -> Callable[[dict[str, object]], Expansion]:
    return lambda document: expand(read(PLAIN | document), catalog, 10_000)


def search(
    *parameters: tuple[str, dict[str, object]], trials: int | None = None
) -> dict[str, object]:
    found: dict[str, object] = {"parameters": [{"path": p} | d for p, d in parameters]}
    found |= {"grid": {}} if trials is None else {"random": {"trials": trials}}
    return {"search": found}


def choice(path: str, *values: object) -> tuple[str, dict[str, object]]:
    return path, {"choice": {"values": list(values)}}


WRONG: list[tuple[str, dict[str, object], list[str]]] = [
    ("no data", {"dataset": {}}, ["dataset"]),
    ("unknown data", {"dataset": {"name": "datasets/none"}}, ["dataset.name"]),
    ("a path as a name", {"dataset": {"name": "datasets/../x"}}, ["dataset.name"]),
    ("no kind", {"dataset": {"synthetic": {"rows": 5}}}, ["dataset.synthetic.kind"]),
    (
        "a wrong synthetic set",
        {"dataset": {"synthetic": {"rows": 0, "noise": -1, "features": 0}}},
        [f"dataset.synthetic.{name}" for name in ("kind", "rows", "noise", "features")],
    ),
    (
        "labels and targets",
        {
            "dataset": {
                "inline": {"inputs": [{"values": [1]}], "labels": [0], "targets": [{"values": [1]}]}
            }
        },
        ["dataset.inline"],
    ),
    (
        "numbers out of their ranges",
        {
            "epochs": 0,
            "batchSize": 0,
            "optimizer": {"sgd": {"learningRate": 0, "momentum": 1}},
            "regularization": {"l2": -1, "l1": -1, "dropout": 1},
            "measurement": {"everyEpochs": 0},
            "network": {"hidden": [5, 0, 20_000]},
        },
        [
            "epochs",
            "batch_size",
            "optimizer.sgd.learning_rate",
            "optimizer.sgd.momentum",
            "regularization.l2",
            "regularization.l1",
            "regularization.dropout",
            "measurement.every_epochs",
            "network.hidden[1]",
            "network.hidden[2]",
        ],
    ),
    (
        "what needs no data is checked without it",
        {
            "dataset": {"name": "datasets/none"},
            "epochs": 0,
            "optimizer": {"sgd": {"momentum": 2}},
            "regularization": {"dropout": -1},
        },
        ["dataset.name", "epochs", "optimizer.sgd.momentum", "regularization.dropout"],
    ),
    (
        "no finite numbers",
        {
            "optimizer": {"sgd": {"learningRate": "NaN"}},
            "initialization": {"constant": {"weight": "Infinity"}},
        },
        ["optimizer.sgd.learning_rate", "initialization.constant.weight"],
    ),
    ("a batch of too many rows", {"batchSize": 61}, ["batch_size"]),
    ("too many layers", {"network": {"hidden": [1] * 33}}, ["network.hidden"]),
    (
        "hidden softmax",
        {"network": {"hidden": [3], "hiddenActivation": "ACTIVATION_SOFTMAX"}},
        ["network.hidden_activation"],
    ),
    (
        "softmax of one output",
        {"network": {"outputActivation": "ACTIVATION_SOFTMAX", "outputs": 1}},
        ["network.outputs"],
    ),
    ("a cost without its output", {"cost": {"logLikelihood": {}}}, ["cost"]),
    ("hinge of a sigmoid", {"cost": {"hinge": {}}}, ["cost"]),
    ("Poisson of a sigmoid", {"cost": {"poisson": {}}}, ["cost"]),
    ("hinge of real targets", LINEAR | {"cost": {"hinge": {}}}, ["cost"]),
    (
        "Poisson of targets below 0",
        LINEAR | {"cost": {"poisson": {}}, "network": {"outputActivation": "ACTIVATION_SOFTPLUS"}},
        ["cost"],
    ),
    (
        "hinge smoothed",
        {
            "cost": {"hinge": {}, "labelSmoothing": 0.1},
            "network": {"outputActivation": "ACTIVATION_IDENTITY"},
        },
        ["cost.label_smoothing"],
    ),
    (
        "smoothing and weights without classes",
        LINEAR | {"cost": {"quadratic": {}, "labelSmoothing": 0.1, "classWeights": [1, 2]}},
        ["cost.label_smoothing", "cost.class_weights"],
    ),
    (
        "smoothing of labels as numbers",
        {
            "dataset": {"name": "datasets/digits", "targetEncoding": "TARGET_ENCODING_AS_IS"},
            "cost": {"quadratic": {}, "labelSmoothing": 0.1},
        },
        ["cost.label_smoothing"],
    ),
    (
        "weights of too few classes",
        {"cost": {"crossEntropy": {}, "classWeights": [1, 2, 3]}},
        ["cost.class_weights"],
    ),
    (
        "numbers of a cost out of their ranges",
        {"cost": {"huber": {"delta": 0}, "labelSmoothing": 1, "classWeights": [-1, "NaN"]}},
        [
            "cost.huber.delta",
            "cost.label_smoothing",
            "cost.class_weights[0]",
            "cost.class_weights[1]",
        ],
    ),
    (
        "weights of nothing",
        {"cost": {"quadratic": {}, "classWeights": [0, 0]}},
        ["cost.class_weights"],
    ),
    (
        "a hidden exponential",
        {"network": {"hidden": [3], "hiddenActivation": "ACTIVATION_EXPONENTIAL"}},
        ["network.hidden_activation"],
    ),
    (
        "an orthogonal gain of zero",
        {"initialization": {"orthogonal": {"gain": 0}}},
        ["initialization.orthogonal.gain"],
    ),
    (
        "numbers of adam out of their ranges",
        {"optimizer": {"adam": {"learningRate": -1, "beta1": 1, "beta2": -0.1, "epsilon": 0}}},
        [f"optimizer.adam.{name}" for name in ("learning_rate", "beta1", "beta2", "epsilon")],
    ),
    (
        "bounds of zero",
        {"regularization": {"maxNorm": 0, "clipNorm": 0, "inputNoise": -1}},
        [f"regularization.{name}" for name in ("max_norm", "clip_norm", "input_noise")],
    ),
    (
        "images of no square",
        {"regularization": {"augmentation": {"shift": 1}}},
        ["regularization.augmentation.height", "regularization.augmentation.width"],
    ),
    (
        "images of another size",
        {"regularization": {"augmentation": {"height": 2, "width": 2, "shift": -1}}},
        [f"regularization.augmentation.{name}" for name in ("height", "width", "shift")],
    ),
    (
        "images turned too far",
        {"regularization": {"augmentation": {"height": 0, "width": 2, "rotation": 181}}},
        [f"regularization.augmentation.{name}" for name in ("height", "rotation")],
    ),
    *(
        (
            f"a schedule's numbers out of their ranges: {shape}",
            {"optimizer": {"schedule": {shape: numbers, "warmupEpochs": -1}}},
            [
                "optimizer.schedule.warmup_epochs",
                *(f"optimizer.schedule.{field}" for field in fields),
            ],
        )
        for shape, numbers, fields in [
            ("step", {"every": 0, "factor": 2}, ["step.every", "step.factor"]),
            ("exponential", {"factor": 0}, ["exponential.factor"]),
            ("polynomial", {"power": 0, "final": 2}, ["polynomial.power", "polynomial.final"]),
            (
                "cosine",
                {"period": 0, "growth": 0.5, "final": -1},
                ["cosine.period", "cosine.growth", "cosine.final"],
            ),
            (
                "oneCycle",
                {"peakAt": 1, "start": 2, "final": 2},
                ["one_cycle.peak_at", "one_cycle.start", "one_cycle.final"],
            ),
            (
                "plateau",
                {"metric": "speed", "patience": 0, "factor": 1, "least": 1},
                ["plateau.metric", "plateau.patience", "plateau.factor", "plateau.least"],
            ),
        ]
    ),
    (
        "stopping by what can't be had",
        {
            "stopping": {
                "patience": {"metric": "validation_cost", "epochs": 0, "minDelta": -1},
                "target": {"metric": "weight_norm"},
            }
        },
        [
            "stopping.patience.metric",
            "stopping.patience.epochs",
            "stopping.patience.min_delta",
            "stopping.target.metric",
            "stopping.target.value",
        ],
    ),
    (
        "going by what is not measured",
        {
            "measurement": {"metrics": ["output"]},
            "optimizer": {"schedule": {"plateau": {}}},
            "stopping": {"patience": {"metric": "training_accuracy"}},
        },
        ["optimizer.schedule.plateau.metric", "stopping.patience.metric"],
    ),
    (
        "metrics of other targets",
        {"measurement": {"metrics": ["training_label_accuracy", "training_top5_accuracy"]}},
        ["measurement.metrics[0]", "measurement.metrics[1]"],
    ),
    (
        "what needs no data of the new fields is checked without it",
        {
            "dataset": {"name": "datasets/none"},
            "cost": {"huber": {"delta": -1}},
            "optimizer": {"lion": {"beta2": 1}, "schedule": {"step": {"every": 0}}},
            "regularization": {"augmentation": {"rotation": -1}},
            "stopping": {"target": {"metric": "speed", "value": 1}},
        },
        [
            "dataset.name",
            "cost.huber.delta",
            "optimizer.lion.beta2",
            "optimizer.schedule.step.every",
            "regularization.augmentation.rotation",
            "stopping.target.metric",
        ],
    ),
    (
        "cross-entropy of real targets",
        LINEAR
        | {"cost": {"crossEntropy": {}}, "network": {"outputActivation": "ACTIVATION_SIGMOID"}},
        ["cost"],
    ),
    ("outputs without targets", LINEAR | {"network": {"outputs": 3}}, ["network.outputs"]),
    (
        "metrics that can't be had",
        LINEAR
        | {
            "measurement": {
                "metrics": ["speed", "training_accuracy", "validation_cost", "training_cost"] * 2
            }
        },
        [f"measurement.metrics[{i}]" for i in (0, 1, 2, 4, 5, 6, 7)],
    ),
    (
        "arrays of other shapes",
        {
            "network": {"hidden": [2]},
            "initialization": {
                "arrays": {
                    "layers": [
                        {"weights": [1, 2, 3], "biases": [1, 2]},
                        {"weights": [1, 2], "biases": [1, 2]},
                    ]
                }
            },
        },
        [f"initialization.arrays.layers[{p}" for p in ("0].weights", "1].biases")],
    ),
    (
        "arrays of other layers",
        {"initialization": {"arrays": {}}},
        ["initialization.arrays.layers"],
    ),
    (
        "rows that are not there",
        {"dataset": PLAIN["dataset"] | {"training": {"split": "test"}}},
        ["dataset.training.split"],
    ),
    ("nothing searched", {"search": {"grid": {}}}, ["search.parameters"]),
    (
        "no algorithm",
        {"search": {"parameters": [{"path": "epochs", "choice": {"values": [1]}}]}},
        ["search.algorithm"],
    ),
    ("no domain", search((RATE, {})), ["search.parameters[0].domain"]),
    ("no values", search(choice(RATE)), ["search.parameters[0].choice.values"]),
    ("an unknown path", search(choice("optimizer.newton", 1)), ["search.parameters[0].path"]),
    ("a path into a list", search(choice("network.hidden.0", 1)), ["search.parameters[0].path"]),
    ("no path", search(choice("", 1)), ["search.parameters[0].path"]),
    (
        "what all trials share",
        search(choice("data_type", 1), choice("measurement.metrics", [])),
        ["search.parameters[0].path", "search.parameters[1].path"],
    ),
    (
        "given and searched",
        {"optimizer": {"sgd": {"learningRate": 1}}} | search(choice(RATE, 1)),
        [RATE],
    ),
    (
        "another alternative given",
        {"initialization": {"he": {}}} | search(choice("initialization.constant.bias", 1)),
        ["search.parameters[0].path"],
    ),
    (
        "two alternatives searched",
        search(choice("optimizer.sgd.momentum", 0), choice("optimizer.adam.beta1", 0.5)),
        ["search.parameters[1].path"],
    ),
    (
        "values out of a new number's range",
        search(choice("regularization.max_norm", 0, 1), choice("optimizer.adam.epsilon", 0)),
        ["regularization.max_norm", "optimizer.adam.epsilon"],
    ),
    (
        "a truth that is none",
        search(choice("optimizer.sgd.nesterov", True, "perhaps")),
        ["optimizer.sgd.nesterov"],
    ),
    (
        "paths that overlap",
        search(choice("optimizer.sgd", {}), choice(RATE, 1), choice("optimizer", {})),
        ["search.parameters[1].path", "search.parameters[2].path"],
    ),
    (
        "a real interval of whole numbers",
        search(("epochs", {"uniform": {"low": 1, "high": 5}}), trials=3),
        ["search.parameters[0].uniform"],
    ),
    (
        "an interval of messages",
        search(("cost", {"integer": {"low": 1, "high": 5}}), trials=3),
        ["search.parameters[0].integer"],
    ),
    (
        "a logarithm of zero",
        search((RATE, {"logUniform": {"low": 0, "high": 5}}), trials=3),
        ["search.parameters[0].log_uniform.low"],
    ),
    (
        "empty intervals",
        search(
            (RATE, {"uniform": {"low": 1, "high": 1}}),
            ("epochs", {"integer": {"low": 5, "high": 1}}),
            ("batch_size", {"integer": {"low": 1, "high": 5, "step": 0}}),
            ("regularization.l1", {"normal": {"mean": 1}}),
            trials=3,
        ),
        [
            "search.parameters[0].uniform.high",
            "search.parameters[1].integer.high",
            "search.parameters[2].integer.step",
            "search.parameters[3].normal.standard_deviation",
        ],
    ),
    (
        "an interval beyond what is finite",
        search(
            ("initialization.constant.bias", {"uniform": {"low": -1e308, "high": 1e308}}), trials=3
        ),
        ["search.parameters[0].uniform.high"],
    ),
    (
        "more whole numbers than a draw has",
        search(("seed", {"integer": {"low": 0, "high": 2**62}}), trials=3),
        ["search.parameters[0].integer.high"],
    ),
    (
        "a grid of intervals without points",
        search((RATE, {"uniform": {"low": 1, "high": 2}})),
        ["search.grid.points"],
    ),
    (
        "a grid of a normal",
        search((RATE, {"normal": {"mean": 1, "standardDeviation": 2}})),
        ["search.parameters[0].normal"],
    ),
    ("no trials", search(choice(RATE, 1), trials=0), ["search.random.trials"]),
    ("values out of range", search(choice(RATE, 1, -1)), [RATE]),
    ("values of another type", search(choice(RATE, 1, "fast")), [RATE]),
    ("values that are no numbers", search(choice(RATE, 1, True)), [RATE]),
    ("no widths", search(choice("network.hidden", [3], 4)), ["network.hidden"]),
    ("an unknown cost", search(choice("cost", {"regret": {}})), ["cost"]),
    (
        "seeds that are none",
        search(choice("seed", 1, "x", None, -1, 1.5, True)),
        [f"search.parameters[0].choice.values[{i}]" for i in range(1, 6)],
    ),
    (
        "a drawn value out of its field's range",
        search(("regularization.dropout", {"uniform": {"low": 0, "high": 2}}), trials=50),
        ["regularization.dropout"],
    ),
]


@pytest.mark.parametrize(("document", "fields"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_every_wrong_field_is_named(
    plan: Callable[..., object], document: dict[str, object], fields: list[str]
) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | document))
    found = [v.field for v in caught.value.violations]
    assert sorted(set(found)) == sorted({f"spec.{field}" for field in fields})
    assert all(v.description for v in caught.value.violations)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("data_type", {"data_type": 99}),
        ("network.hidden_activation", {"network": {"hidden": [2], "hidden_activation": 99}}),
        ("network.output_activation", {"network": {"output_activation": -5}}),
        ("dataset.scaling", {"dataset": {"scaling": 77}}),
        ("dataset.target_encoding", {"dataset": {"target_encoding": 77}}),
        ("dataset.synthetic.kind", {"dataset": {"synthetic": {"kind": 77}}}),
        ("initialization.he.distribution", {"initialization": {"he": {"distribution": 77}}}),
        (
            "initialization.xavier.distribution",
            {"initialization": {"xavier": {"distribution": 77}}},
        ),
        ("initialization.lecun.distribution", {"initialization": {"lecun": {"distribution": 77}}}),
    ],
)
def test_unknown_alternatives_are_named(
    plan: Callable[..., object], field: str, change: dict[str, object]
) -> None:
    spec = read(PLAIN)
    spec.MergeFrom(spec_pb2.JobSpec(**change))
    with pytest.raises(InvalidSpecError) as caught:
        plan(spec)
    assert [v.field for v in caught.value.violations] == [f"spec.{field}"]


def test_an_unknown_path_lists_what_was_expected(plan: Callable[..., object]) -> None:
    with pytest.raises(InvalidSpecError, match="expected one of augmentation, clip_norm, dropout"):
        plan(read(PLAIN | search(choice("regularization.l3", 1))))


def test_too_many_trials_are_counted(plan: Callable[..., object]) -> None:
    paths = ("regularization.l1", "regularization.l2", RATE)
    document = search(*((p, {"integer": {"low": 1, "high": 1000}}) for p in paths))
    with pytest.raises(InvalidSpecError, match="1,000,000,000 trials; this server takes 10,000"):
        plan(read(PLAIN | document))


def test_too_much_memory_is_told(plan: Callable[..., object]) -> None:
    with pytest.raises(InvalidSpecError, match=r"would need [\d.,]+ GiB") as caught:
        plan(read(PLAIN | {"network": {"hidden": [5000, 5000]}}), max_job_memory_bytes=1 << 20)
    assert caught.value.reason == "MEMORY_LIMIT_EXCEEDED"
    assert int(caught.value.metadata["memory_bytes"]) > 4 * 25_000_000
    assert caught.value.metadata["limit_bytes"] == str(1 << 20)


def test_defaults_are_told(catalog: Catalog) -> None:
    spec = expand(read({"dataset": {"name": "datasets/digits"}}), catalog, 10).spec
    assert (spec.epochs, spec.batch_size, spec.data_type) == (30, 10, spec_pb2.DATA_TYPE_FLOAT32)
    assert spec.HasField("seed")
    assert spec.seed < 2**53
    assert spec.network.hidden_activation == spec_pb2.ACTIVATION_SIGMOID
    assert spec.network.output_activation == spec_pb2.ACTIVATION_SIGMOID
    assert spec.network.outputs == 10
    assert spec.initialization.WhichOneof("kind") == "scaled_gaussian"
    assert spec.dataset.scaling == spec_pb2.SCALING_NONE
    told = json_format.MessageToDict(spec, preserving_proto_field_name=True)
    assert told["cost"] == {"cross_entropy": {}, "label_smoothing": 0}
    assert told["optimizer"] == {
        "sgd": {"learning_rate": 0.5, "momentum": 0, "nesterov": False},
        "schedule": {"constant": {}, "warmup_epochs": 0},
    }
    assert told["regularization"] == {"l2": 0, "l1": 0, "dropout": 0, "input_noise": 0}
    assert told["measurement"] == {
        "metrics": ["training_cost", "training_accuracy"],
        "every_epochs": 1,
    }
    assert "stopping" not in told


VALIDATED = {"dataset": PLAIN["dataset"] | {"validationShare": 0.25}, "epochs": 12}
DIGITS = {"dataset": {"name": "datasets/digits"}}


@pytest.mark.parametrize(
    ("document", "path", "told"),
    [
        ({"cost": {"huber": {}}}, "cost", {"huber": {"delta": 1}, "label_smoothing": 0}),
        (
            {"initialization": {"lecun": {}}},
            "initialization",
            {"lecun": {"distribution": "DISTRIBUTION_NORMAL"}},
        ),
        ({"initialization": {"orthogonal": {}}}, "initialization", {"orthogonal": {"gain": 1}}),
        (
            {"optimizer": {"adagrad": {}}},
            "optimizer.adagrad",
            {"learning_rate": 0.01, "epsilon": 1e-8},
        ),
        (
            {"optimizer": {"rmsprop": {}}},
            "optimizer.rmsprop",
            {"learning_rate": 0.001, "beta2": 0.99, "epsilon": 1e-8},
        ),
        *(
            (
                {"optimizer": {kind: {}}},
                f"optimizer.{kind}",
                {"learning_rate": rate, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
            )
            for kind, rate in (("adam", 0.001), ("adamw", 0.001), ("nadam", 0.002))
        ),
        (
            {"optimizer": {"lion": {}}},
            "optimizer.lion",
            {"learning_rate": 0.0001, "beta1": 0.9, "beta2": 0.99},
        ),
        *(
            (
                {"optimizer": {"schedule": {shape: {}}}},
                "optimizer.schedule",
                {shape: numbers, "warmup_epochs": 0},
            )
            for shape, numbers in (
                ("step", {"every": 10, "factor": 0.5}),
                ("exponential", {"factor": 0.95}),
                ("polynomial", {"power": 1, "final": 0}),
                ("cosine", {"period": 12, "growth": 1, "final": 0}),
                ("one_cycle", {"peak_at": 0.3, "start": 0.04, "final": 0.0001}),
                (
                    "plateau",
                    {
                        "metric": "validation_accuracy",
                        "patience": 10,
                        "factor": 0.5,
                        "least": 1 / 128,
                    },
                ),
            )
        ),
        (
            {"stopping": {"patience": {}, "target": {"value": 0.9}}},
            "stopping",
            {
                "patience": {"metric": "validation_accuracy", "epochs": 10, "min_delta": 0},
                "target": {"metric": "validation_accuracy", "value": 0.9},
            },
        ),
        (
            LINEAR | {"stopping": {"patience": {}}},
            "stopping.patience",
            {"metric": "training_cost", "epochs": 10, "min_delta": 0},
        ),
        (
            DIGITS | {"regularization": {"augmentation": {}}},
            "regularization.augmentation",
            {"height": 8, "width": 8, "shift": 0, "rotation": 0},
        ),
        (
            DIGITS | {"regularization": {"augmentation": {"width": 32, "shift": 2}}},
            "regularization.augmentation",
            {"height": 2, "width": 32, "shift": 2, "rotation": 0},
        ),
    ],
)
def test_each_alternative_has_defaults_of_its_own(
    catalog: Catalog, document: dict[str, object], path: str, told: dict[str, object]
) -> None:
    resolved = expand(read(VALIDATED | document), catalog, 10).spec
    found = json_format.MessageToDict(resolved, preserving_proto_field_name=True)
    for part in path.split("."):
        found = found[part]
    assert found == told
    assert expand(resolved, catalog, 10).spec == resolved


@pytest.mark.parametrize("document", [PLAIN, LINEAR, PLAIN | search(choice("network.hidden", [3]))])
def test_a_resolved_specification_stays_as_it_is(
    catalog: Catalog, document: dict[str, object]
) -> None:
    resolved = expand(read(document), catalog, 10).spec
    assert expand(resolved, catalog, 10).spec == resolved


def test_costs_and_initializations_are_choices_within_a_pack(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    found = expanded(
        search(
            choice("cost", {"quadratic": {}}, {"crossEntropy": {}}),
            choice("initialization", {"he": {}}, {"constant": {"weight": 0.6, "bias": 0.9}}),
            choice(RATE, 0.5, 2),
        )
    )
    (group,) = found.groups
    trials = group.pack.trials
    costs = [trials.costs[i] for i in trials.cost]
    assert costs == [Cost.QUADRATIC] * 4 + [Cost.CROSS_ENTROPY] * 4
    starts = [trials.initializations[i] for i in trials.initialization]
    assert starts == [He(), He(), Constant(0.6, 0.9), Constant(0.6, 0.9)] * 2
    assert trials.learning_rate.tolist() == [0.5, 2.0] * 4


def test_structure_tells_groups_apart(expanded: Callable[[dict[str, object]], Expansion]) -> None:
    found = expanded(
        search(
            choice("network.hidden", [], [4], [4, 3]),
            choice("batch_size", 5, 10),
            choice("network.hidden_activation", "ACTIVATION_TANH", "ACTIVATION_RELU"),
        )
    )
    assert found.trials == 12
    everyone = np.concatenate([g.indices for g in found.groups])
    assert sorted(everyone.tolist()) == list(range(12))
    for group in found.groups:
        (index,) = group.indices.tolist()
        signature = group.pack.signature
        assert signature.sizes == [(2, 1), (2, 4, 1), (2, 4, 3, 1)][index // 4]
        assert signature.batch_size == [5, 10][index // 2 % 2]
        assert signature.hidden_activation.name == ["TANH", "RELU"][index % 2]
    assert found.layer_sizes == ()


def test_a_whole_optimizer_can_be_chosen(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    rates = [{"sgd": {"learningRate": 2}}, {"sgd": {"momentum": 0.9}}, {"sgd": {}}]
    (group,) = expanded(search(choice("optimizer", *rates))).groups
    assert group.pack.trials.learning_rate.tolist() == [2.0, 0.5, 0.5]
    assert group.pack.trials.momentum.tolist() == [0.0, 0.9, 0.0]


def test_optimizers_schedules_and_numbers_differ_within_a_pack(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    (group,) = expanded(
        search(
            choice(
                "optimizer",
                {"sgd": {"nesterov": True, "momentum": 0.9}, "schedule": {"cosine": {"period": 4}}},
                {"adam": {"beta1": 0.8}},
                {"lion": {}, "schedule": {"step": {}, "warmupEpochs": 2}},
            ),
            choice("regularization.max_norm", 1, 3),
            choice("cost.label_smoothing", 0, 0.1),
        )
    ).groups
    trials = group.pack.trials
    assert len(trials) == 12
    rules = [trials.rules[i] for i in trials.rule]
    assert rules == [Rule.NESTEROV] * 4 + [Rule.ADAM] * 4 + [Rule.LION] * 4
    assert trials.learning_rate.tolist() == [0.5] * 4 + [0.001] * 4 + [0.0001] * 4
    assert trials.momentum.tolist() == [0.9] * 4 + [0.0] * 8
    assert trials.beta1.tolist() == [NUMBERS["beta1"].default] * 4 + [0.8] * 4 + [0.9] * 4
    assert trials.beta2.tolist()[4:] == [0.999] * 4 + [0.99] * 4
    schedules = [trials.schedules[i] for i in trials.schedule]
    assert schedules[::4] == [
        Schedule(CosineDecay(4)),
        Schedule(),
        Schedule(StepDecay(10, 0.5), warmup_epochs=2),
    ]
    assert trials.max_norm.tolist() == [1, 1, 3, 3] * 3
    assert [trials.costs[i].label_smoothing for i in trials.cost] == [0, 0.1] * 6


NUMBER_PATHS = [(path, field) for path, field in catalogue.NUMBERS.items() if field.column]


@pytest.mark.parametrize(("path", "field"), NUMBER_PATHS, ids=[path for path, _ in NUMBER_PATHS])
def test_every_number_of_the_trainer_is_searched_by_its_path(
    expanded: Callable[[dict[str, object]], Expansion], path: str, field: NumberField
) -> None:
    (group,) = expanded(search((path, {"uniform": {"low": 0.25, "high": 0.75}}), trials=3)).groups
    trials = group.pack.trials
    column = getattr(trials, field.column)
    assert len(set(column.tolist())) == 3
    assert ((column >= 0.25) & (column < 0.75)).all()
    if path.startswith("optimizer"):
        assert [str(rule) for rule in trials.rules] == [path.split(".")[1]]


def test_every_number_of_the_trainer_has_a_path() -> None:
    assert set(catalogue.COLUMNS.values()) == set(NUMBERS)


def test_schedules_are_searched_within_a_pack(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    (group,) = expanded(
        {"epochs": 7}
        | search(
            ("optimizer.schedule.cosine.final", {"uniform": {"low": 0, "high": 1}}),
            choice("optimizer.sgd.nesterov", True, False),
            trials=6,
        )
    ).groups
    trials = group.pack.trials
    finals = [trials.schedules[i].shape.final for i in trials.schedule]
    assert len(set(finals)) == 6
    assert all(schedule.shape.period == 7 for schedule in trials.schedules)
    assert set(trials.rules) <= {Rule.NESTEROV, Rule.SGD}


@pytest.mark.parametrize(
    ("path", "values", "found"),
    [
        ("stopping.patience.epochs", [2, 5], lambda s: s.patience.epochs),
        ("stopping.target.value", [0.5, 0.9], lambda s: s.target.value),
        ("regularization.augmentation.shift", [0, 1], lambda s: s.augmentation.shift),
        (
            "regularization",
            [{"augmentation": {"height": 1, "width": 2, "shift": 3}}, {"l2": 5}],
            lambda s: (
                {"augmentation": {"height": 1, "width": 2, "shift": s.augmentation.shift}}
                if s.augmentation
                else {"l2": 5}
            ),
        ),
    ],
)
def test_what_is_shared_tells_groups_apart(
    expanded: Callable[[dict[str, object]], Expansion],
    path: str,
    values: list[object],
    found: Callable[[Signature], object],
) -> None:
    given = {"regularization": {"augmentation": {"height": 2}}} if "shift" in path else {}
    groups = expanded(given | search(choice(path, *values))).groups
    assert [found(g.pack.signature) for g in groups] == values
    if path == "regularization":
        assert [g.pack.trials.l2.tolist() for g in groups] == [[0], [5]]


def test_what_is_gone_by_is_measured(expanded: Callable[[dict[str, object]], Expansion]) -> None:
    plateau = {"plateau": {"metric": "training_f1"}}
    found = expanded(
        {"stopping": {"target": {"metric": "training_r2", "value": 0.5}}}
        | search(choice("optimizer.schedule", {"cosine": {}}, plateau))
    )
    expected = ["training_cost", "training_accuracy", "training_r2", "training_f1"]
    assert list(found.metrics) == list(found.spec.measurement.metrics) == expected
    (group,) = found.groups
    assert group.pack.signature.target == Target("training_r2", 0.5)
    # Where metrics are named, they are the ones that are measured.
    given = {"measurement": {"metrics": ["training_f1"]}}
    found = expanded(given | {"optimizer": {"schedule": plateau}})
    assert list(found.metrics) == ["training_f1"]


def inline(targets: list[list[float]]) -> dict[str, object]:
    rows = [{"values": [i, i * i]} for i in range(len(targets))]
    return {"dataset": {"inline": {"inputs": rows, "targets": [{"values": t} for t in targets]}}}


def test_labels_are_learnt_by_cross_entropy(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    document = inline([[0, 1], [1, 1], [0, 0]]) | {
        "network": {"outputActivation": "ACTIVATION_SIGMOID"},
        "measurement": {"metrics": ["training_label_accuracy", "training_f1"]},
    }
    (group,) = expanded(document).groups
    assert group.pack.trials.costs == (Cost.CROSS_ENTROPY,)
    assert group.pack.signature.sizes == (2, 2)
    wrong = document | {"cost": {"crossEntropy": {}, "labelSmoothing": 0.1}}
    with pytest.raises(InvalidSpecError, match="targets that stand for labels"):
        expanded(wrong)


def test_rows_of_shares_are_learnt_by_log_likelihood(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    softmax = {"network": {"outputActivation": "ACTIVATION_SOFTMAX"}}
    (group,) = expanded(inline([[0.25, 0.75], [1, 0]]) | softmax).groups
    assert group.pack.trials.costs == (Cost.LOG_LIKELIHOOD,)
    with pytest.raises(InvalidSpecError, match="in rows that sum to 1"):
        expanded(inline([[0.5, 0.75], [1, 0]]) | softmax)


def test_class_weights_cover_the_outputs(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    weights = {"cost": {"crossEntropy": {}, "classWeights": [1, 3]}}
    (group,) = expanded(weights).groups
    assert group.pack.trials.costs[0].class_weights == (1, 3)
    assert group.pack.signature.sizes[-1] == 1
    (group,) = expanded(weights | {"network": {"outputs": 4}}).groups
    assert group.pack.trials.costs[0].class_weights == (1, 3, 1, 1)


def test_a_searched_seed_is_the_plain_job_with_that_seed(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    (group,) = expanded(search(choice("seed", 7, 3, 2**63))).groups
    plain = [expanded({"seed": seed}).groups[0].pack.trials for seed in (7, 3, 2**63)]
    for name in ("seeds", "order_seeds"):
        expected = [getattr(trials, name)[0] for trials in plain]
        assert getattr(group.pack.trials, name).tolist() == expected


def test_a_trial_depends_on_its_index_alone(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    domain = {"logUniform": {"low": 1e-3, "high": 10}}
    few = expanded(search((RATE, domain), trials=5)).groups[0].pack.trials
    many = expanded(search((RATE, domain), trials=500)).groups[0].pack.trials
    np.testing.assert_array_equal(many.learning_rate[:5], few.learning_rate)
    np.testing.assert_array_equal(many.seeds[:5], few.seeds)


def test_parameters_are_told_as_they_are_trained(
    expanded: Callable[[dict[str, object]], Expansion],
) -> None:
    found = expanded(
        search(
            (RATE, {"uniform": {"low": 0.1, "high": 2}}),
            ("batch_size", {"integer": {"low": 2, "high": 8, "step": 3}}),
            choice("initialization", {"scaledGaussian": {}}, {"unitGaussian": {}}),
            trials=40,
        )
    )
    told = trial_parameters(found.spec, [1, 7, 8, 39])
    for trial, values in zip([1, 7, 8, 39], told, strict=True):
        (group,) = (g for g in found.groups if trial in g.indices)
        row = int(np.searchsorted(group.indices, trial))
        assert values[RATE].number_value == group.pack.trials.learning_rate[row]
        assert values["batch_size"].number_value == group.pack.signature.batch_size
        trials = group.pack.trials
        start = trials.initializations[trials.initialization[row]]
        kinds = {"scaledGaussian": ScaledGaussian(), "unitGaussian": UnitGaussian()}
        (kind,) = values["initialization"].struct_value.fields
        assert start == kinds[kind]


def test_a_wrong_parameter_hides_no_other(plan: Callable[..., NewJob]) -> None:
    wrong = search(
        choice("regularization.l3", 1),
        choice(RATE, -1, 0.5),
        choice("batch_size", -5),
        choice("epochs", 0, 3),
    )
    with pytest.raises(InvalidSpecError) as caught:
        plan(read(PLAIN | wrong))
    fields = {v.field for v in caught.value.violations}
    assert fields == {
        "spec.search.parameters[0].path",
        f"spec.{RATE}",
        "spec.batch_size",
        "spec.epochs",
    }


def test_plans_tell_what_a_job_costs(plan: Callable[..., NewJob], tmp_path: Path) -> None:
    job = plan(read(PLAIN | search(choice(RATE, *range(1, 8)))))
    cost = job_pb2.JobPlan.FromString(job.plan)
    assert (job.trials, cost.trials, job.trial_epochs_total) == (7, 7, 7 * 30)
    assert cost.packs == len(job.packs)
    assert sorted(np.concatenate([p.trials for p in job.packs]).tolist()) == list(range(7))
    # 2 weights, forward twice (once to measure) and backward once, 60 rows.
    assert cost.operations == pytest.approx(7 * 30 * 60 * 2 * 2 * 3, rel=0.5)
