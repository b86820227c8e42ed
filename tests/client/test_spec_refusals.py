"""Specifications that can't be written: which field is named, and what is said of it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tests.client.conftest import FakeServer, Refusal
from tests.client.test_specs import form

from packtrain import client as api
from packtrain.client import (
    SGD,
    Adam,
    Client,
    CrossEntropy,
    DatasetSelection,
    FromModel,
    GivenArrays,
    Grid,
    He,
    JobSpec,
    LeCun,
    Network,
    Points,
    Quadratic,
    RandomSearch,
    SpecError,
    Synthetic,
    Xavier,
    choice,
    conditional,
    integer,
    log_uniform,
    normal,
    uniform,
)
from packtrain.client.converters import spec_message
from packtrain.v1 import spec_pb2


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"optimizer": SGD(learning_rate=uniform(0, 1))}, "optimizer.sgd.learning_rate .*add sear"),
        ({"search": Grid()}, "nothing to search"),
        (
            {"epochs": choice(1), "search": "grid"},
            "expected Grid, RandomSearch, Sobol, LatinHypercube, TPE, "
            "GaussianProcess, CmaEs, NSGA2, Points or LearningRateRange",
        ),
        ({"cost": choice(SGD())}, r"cost: expected Quadratic\(\)"),
        ({"cost": SGD()}, r"cost: expected Quadratic\(\)"),
        ({"dataset": 5}, "dataset: expected a dataset's name"),
        ({"epochs": 1.5}, "epochs: expected a whole number"),
        ({"epochs": True}, "epochs: expected a number"),
        ({"epochs": 2**31}, "epochs: expected a whole number"),
        ({"seed": -1}, "seed: expected a whole number"),
        ({"seed": float("nan")}, "seed: expected a whole number"),
        ({"optimizer": SGD(learning_rate="x")}, "optimizer.learning_rate: expected a number"),
        ({"network": Network(hidden=5)}, "network.hidden: expected a list"),
        ({"network": "30"}, "network: expected a Network"),
        ({"optimizer": SGD(nesterov=1)}, "optimizer.nesterov: expected True or False"),
        ({"optimizer": SGD(schedule=Adam())}, r"optimizer.schedule: expected ConstantRate\(\)"),
        ({"stopping": 5}, r"stopping: expected Patience\(\), Target"),
        ({"cost": CrossEntropy(class_weights=2)}, "cost.class_weights: expected a list"),
        ({"metrics": [5]}, "metrics: expected a text"),
        ({"batch_size": [8, 16]}, r"batch_size: .* did you mean choice\(8, 16\)\?"),
        ({"batch_size": choice([8, 16])}, r"batch_size: .* did you mean choice\(8, 16\)\?"),
        ({"network": [[30], [100]]}, r"did you mean choice\(\[...\], \[...\]\)"),
        ({"cost": [Quadratic(), CrossEntropy()]}, r"cost: .* did you mean choice\(Quadratic\("),
        ({"cost": "cross_entrop"}, r"cost: .* did you mean CrossEntropy\(\)\?"),
        ({"initialization": "he"}, r"did you mean He\(\)\?"),
        ({"cost": Quadratic}, r"did you mean Quadratic\(\)\?"),
        ({"network": Network(hidden_activation=choice("relu", "x"))}, "one of sigmoid, tanh"),
        ({"network": Network(hidden_activation=choice("relu", "tahn"))}, "did you mean tanh"),
        ({"network": [integer(10, 20)]}, "network: an item of a list can't be searched"),
    ],
)
def test_what_can_not_be_written_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        form(**fields)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Network(hidden_activation="sigmoit"), "did you mean sigmoid"),
        (lambda: Network(hidden_activation="swish"), "hidden_activation: expected one of sigmoid"),
        (lambda: Network(output_activation="swish"), "output_activation: expected one of"),
        (lambda: He("cauchy"), "initialization.he.distribution: expected one of normal, uniform"),
        (lambda: Xavier("cauchy"), "initialization.xavier.distribution"),
        (lambda: LeCun("cauchy"), "initialization.lecun.distribution"),
        (lambda: Network(hidden_activation="softmax"), "hidden_activation: expected one of"),
        (lambda: JobSpec(dataset="d", data_type="f4"), "data_type: expected one of float32"),
        (lambda: JobSpec(dataset="d", data_type=choice("float32")), "takes no domain"),
        (lambda: JobSpec(dataset="d", metrics="cost"), "expected a list of names"),
        (lambda: DatasetSelection(), "exactly one of name, synthetic and inline"),
        (lambda: DatasetSelection(name="d", scaling="x"), "dataset.scaling: expected one of none"),
        (lambda: DatasetSelection(name="d", target_encoding="x"), "target_encoding"),
        (lambda: Synthetic(kind="circle"), "expected one of xor, moons, spirals, linear"),
        (lambda: api.InlineDataset(inputs=[[1]]), "either labels or targets"),
        (lambda: api.InlineDataset(inputs=[1], labels=[1]), r"shape \(rows, features\)"),
        (lambda: api.inline([[1.0], [2.0]], [1]), r"expected the shape \(2,\), not \(1,\)"),
        (lambda: GivenArrays(weights=[[[1]]], biases=[]), "1 and 0"),
        (lambda: choice(), "one value or more"),
        (lambda: choice(1, choice(2)), "not bare domains"),
        (lambda: uniform(1, 1), "low < high"),
        (lambda: log_uniform(0, 1), "0 < low < high"),
        (lambda: integer(2, 1), "low <= high"),
        (lambda: integer(1, 2, step=0), "step >= 1"),
        (lambda: normal(0, 0), "standard_deviation > 0"),
        (lambda: uniform(0, 1, step=2), r"step above 0, at most high - low \(1\), not 2"),
        (lambda: log_uniform(1, 2, step=0), "step above 0"),
        (lambda: integer(1, 5, step=6), "step <= high - low"),
        (lambda: integer(0, 5, log=True), "low >= 1 beside log"),
        (lambda: normal(0, 1, step=-1), "step above 0, not -1"),
        (lambda: normal(0, 1, low=2, high=1), "low < high"),
        (lambda: normal(0, 1, low="x"), "needs numbers"),
        (lambda: conditional(3, "epochs", 1), "a domain without a condition"),
        (lambda: conditional(uniform(0, 1), "epochs"), "at least one value of epochs"),
        (lambda: conditional(uniform(0, 1), 3, 1), "the path of a field"),
        (lambda: Points({"epochs": 1}), "expected a list of mappings"),
    ],
)
def test_wrong_objects_are_refused_at_once(make: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        make()
    assert isinstance(error.value, SpecError)


def test_a_mapping_is_the_contracts_json_form() -> None:
    message = spec_message(form(epochs=choice(1, 2), cost=Quadratic()))
    assert message == spec_message(JobSpec(dataset="digits", epochs=choice(1, 2), cost=Quadratic()))
    assert spec_message({"batch_size": 3}) == spec_pb2.JobSpec(batch_size=3)


def test_every_wrong_field_of_a_mapping_is_named() -> None:
    with pytest.raises(SpecError) as error:
        spec_message(
            {
                "dataset": {"name": 5, "synthetic": {}, "training": {"count": "many"}},
                "learning": 3,
                "epochs": True,
                "batchSize": 1.5,
                "seed": 2**64,
                "network": {"hidden": 5, "hiddenActivation": "SIGMOID"},
                "cost": "quadratic",
                "optimizer": {"sgd": {"learningrate": 3}},
                "regularization": {"l2": "heavy", "l1": [1]},
                "measurement": {"metrics": [5]},
                "dataType": [],
                "search": {"parameters": [{"path": "epochs", "choice": {"values": [1, {}]}}, 3]},
            }
        )
    told = dict(error.value.violations)
    assert told["dataset.name"] == "expected a text, not 5"
    assert told["dataset.synthetic"] == "can't stand beside name: expected only one of the two"
    assert told["learning"].startswith("is not a field; expected one of dataset, network")
    assert told["network.hidden"] == "expected a list, not 5; did you mean [5]?"
    assert told["network.hiddenActivation"].startswith("expected one of ACTIVATION_SIGMOID, ")
    assert told["cost"] == (
        "expected a mapping of fields, not 'quadratic'; did you mean {quadratic: {}}?"
    )
    assert told["optimizer.sgd.learningrate"] == "is not a field; did you mean learning_rate?"
    assert told["epochs"] == "expected a whole number, not True"
    assert told["seed"].startswith("expected a whole number of 0 to ")
    assert set(told) == {
        "dataset.name",
        "dataset.synthetic",
        "dataset.training.count",
        "learning",
        "epochs",
        "batchSize",
        "seed",
        "network.hidden",
        "network.hiddenActivation",
        "cost",
        "optimizer.sgd.learningrate",
        "regularization.l2",
        "regularization.l1",
        "measurement.metrics[0]",
        "dataType",
        "search.parameters[1]",
    }


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"batchsize": 1}, "did you mean batch_size?"),
        ({"batchSizes": 1}, "did you mean batchSize?"),
        ({"optimizer": {"sgd": {"nesterov": 1}}}, "expected true or false, not 1"),
        ({"epochs": "thirty"}, "expected a whole number, not 'thirty'"),
        ({"regularization": {"l2": float("inf")}}, "expected a finite number, not inf"),
        ({"regularization": {"l2": "NaN"}}, "expected a finite number, not 'NaN'"),
    ],
)
def test_a_wrong_field_is_told_plainly(document: Any, told: str) -> None:
    with pytest.raises(SpecError) as error:
        spec_message(document)
    assert error.value.violations[0].description.endswith(told)


@pytest.mark.parametrize(
    ("document", "field", "meant"),
    [
        ({"epoch": 1}, "epoch", "epochs"),
        ({"batch-size": 1}, "batch-size", "batch_size"),
        ({"BatchSize": 1}, "BatchSize", "batchSize"),
        ({"optimizer": {"sgd": {"LearningRate": 1}}}, "optimizer.sgd.LearningRate", "learningRate"),
        ({"optimizer": {"learningRate": 1}}, "optimizer.learningRate", "sgd.learning_rate"),
        ({"learning_rate": 1}, "learning_rate", "optimizer.sgd.learning_rate"),
        ({"learningRate": 1}, "learningRate", "optimizer.sgd.learning_rate"),
        ({"l2": 1}, "l2", "regularization.l2"),
        ({"objectives": []}, "objectives", "search.objectives"),
        ({"lr": 1}, "lr", "optimizer.sgd.learning_rate"),
        ({"optimizer": {"lr": 1}}, "optimizer.lr", "sgd.learning_rate"),
        ({"optimizer": {"adam": {"lr": 1}}}, "optimizer.adam.lr", "learning_rate"),
        ({"loss": {}}, "loss", "cost"),
        ({"network": {"loss": {}}}, "network.loss", "the specification's cost"),
        ({"search": {"epochs": 3}}, "search.epochs", "the specification's epochs"),
        (
            {"network": {"lr": 1}},
            "network.lr",
            "the specification's optimizer.sgd.learning_rate",
        ),
        ({"asha": {}}, "asha", "search.successive_halving"),
        ({"search": {"asha": {}}}, "search.asha", "successive_halving"),
        (
            {"stopping": {"asha": {}}},
            "stopping.asha",
            "the specification's search.successive_halving",
        ),
        ({"pbt": {}}, "pbt", "search.population"),
        ({"search": {"pbt": {}}}, "search.pbt", "population"),
        (
            {"early_stopping": {}},
            "early_stopping",
            "stopping, search.successive_halving, search.hyperband or search.median",
        ),
        (
            {"search": {"early_stopping": {}}},
            "search.early_stopping",
            "successive_halving, hyperband or median",
        ),
        (
            {"dataset": {"validation": 0.2}},
            "dataset.validation",
            "validation_share or validation_rows",
        ),
    ],
)
def test_an_unknown_field_gets_a_hint(document: dict[str, Any], field: str, meant: str) -> None:
    with pytest.raises(SpecError) as error:
        spec_message(document)
    assert error.value.violations == ((field, f"is not a field; did you mean {meant}?"),)


@pytest.mark.parametrize(
    ("typed", "document", "field", "expected"),
    [
        ({"epochs": 10**10}, {"epochs": 10**10}, "epochs", "1 to 1,000,000"),
        (
            {"network": [10**10]},
            {"network": {"hidden": [10**10]}},
            "network.hidden",
            "1 to 16,384",
        ),
        (
            {"initialization": FromModel(job="first", trial=10**10)},
            {"initialization": {"model": {"job": "jobs/first", "trial": 10**10}}},
            "initialization.model.trial",
            "0 to 2,147,483,647",
        ),
        (
            {"epochs": choice(10**10)},
            {"search": {"grid": {"points": 10**10}}},
            None,
            "1 to 1,000,000",
        ),
    ],
)
def test_a_number_that_no_field_holds_is_told_the_fields_range(
    typed: dict[str, Any], document: dict[str, Any], field: str | None, expected: str
) -> None:
    in_python = {"network.hidden": "network", "initialization.model.trial": "initialization.trial"}
    for write, named in (
        (lambda: form(**typed), in_python.get(field or "", field)),
        (lambda: spec_message(document), field),
    ):
        with pytest.raises(SpecError) as error:
            write()
        (violation,) = error.value.violations
        assert field is None or violation.field.removesuffix("[0]") == named
        told = f"expected a whole number of {expected}, not 10000000000"
        assert violation.description == told


@pytest.mark.parametrize("trials", ["9", 2.5, True, 2**40])
def test_the_number_of_trials_is_whole(trials):
    spec = JobSpec(
        dataset=DatasetSelection(name="digits"),
        network=[30],
        optimizer=SGD(learning_rate=uniform(0.1, 1)),
        search=RandomSearch(trials=trials),
    )
    with pytest.raises(SpecError, match=r"search\.trials"):
        spec_message(spec)


@pytest.mark.parametrize(
    ("document", "meant"),
    [
        ({"cost": "cross_entrop"}, "{cross_entropy: {}}"),
        ({"dataset": "digits"}, "{name: datasets/digits}"),
        ({"dataset": {"synthetic": "moon"}}, "{kind: SYNTHETIC_KIND_MOONS}"),
        ({"network": [30]}, "{hidden: [30]}"),
        ({"network": {"hidden": 30}}, "[30]"),
        ({"network": {"hidden_activation": "relu"}}, "ACTIVATION_RELU"),
        ({"network": {"hidden_activation": "ACTIVATION_RELLU"}}, "ACTIVATION_RELU"),
        ({"search": {"random": 20}}, "{trials: 20}"),
        ({"stopping": {"patience": 3}}, "{epochs: 3}"),
        ({"stopping": {"target": 0.97}}, "{value: 0.97}"),
        ({"optimizer": {"adam": 0.01}}, "{learning_rate: 0.01}"),
        ({"search": {"objectives": ["training_cost"]}}, "{metric: training_cost}"),
        ({"search": {"parameters": [{"choice": [8, 16]}]}}, "{values: [8, 16]}"),
    ],
)
def test_a_value_of_another_form_gets_a_hint(document: dict[str, Any], meant: str) -> None:
    with pytest.raises(SpecError) as error:
        spec_message(document)
    assert error.value.violations[0].description.endswith(f"; did you mean {meant}?")


def test_several_values_in_place_of_one_are_a_search() -> None:
    with pytest.raises(SpecError) as error:
        spec_message({"batch_size": [8, 16]})
    told = error.value.violations[0].description
    assert "search.parameters: {path: batch_size, choice: {values: [...]}}" in told


def test_what_the_server_refuses_is_named_in_python(fake: FakeServer, client: Client) -> None:
    given = JobSpec(
        dataset="digits",
        optimizer=SGD(learning_rate=log_uniform(0.1, 1)),
        search=api.TPE(trials=9),
        early_stopping=api.Hyperband(),
    )
    names = {
        "spec.dataset.name": "dataset",
        "spec.search.parameters[0].log_uniform.low": "optimizer.learning_rate",
        "spec.search.tpe.trials": "search.trials",
        "spec.search.objectives": "objectives",
        "spec.search.hyperband.least_epochs": "early_stopping.least_epochs",
        "spec.measurement.metrics[1]": "metrics[1]",
        "spec.cost.huber.delta": "cost.delta",
        "spec.cost.class_weights[0]": "cost.class_weights[0]",
        "spec.optimizer.schedule.step.factor": "optimizer.schedule.factor",
        "job_id": "job_id",
    }
    wrong = tuple((field, "as in objectives: [{metric: training_cost}]") for field in names)
    refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, ": ".join(wrong[0]), violations=wrong)
    fake.script("CreateJob", refusal)
    with pytest.raises(api.InvalidArgument) as error:
        client.train(given)
    told = error.value.violations
    assert [v.field for v in told] == list(names.values())
    assert {v.description for v in told} == {'as in objectives="training_cost"'}
    assert str(error.value) == 'dataset: as in objectives="training_cost" (and 9 more)'
