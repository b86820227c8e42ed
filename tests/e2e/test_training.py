"""Jobs from a client over a real socket to real Ray workers and back."""

from __future__ import annotations

import numpy as np
import pytest

from packtrain.client import (
    SGD,
    Client,
    Constant,
    CrossEntropy,
    DatasetSelection,
    FailedPrecondition,
    InvalidArgument,
    JobSpec,
    JobState,
    LogLikelihood,
    MetricsReceived,
    Network,
    NotFound,
    Quadratic,
    RandomSearch,
    Regularization,
    RowRange,
    TrialState,
    UnitGaussian,
    choice,
    inline,
    integer,
    log_uniform,
    xor,
)

pytestmark = pytest.mark.ray


def neuron(learning_rate: float, cost: object) -> JobSpec:
    return JobSpec(
        dataset=inline([[1.0]], [[0.0]]),
        network=Network(output_activation="sigmoid"),
        cost=cost,
        initialization=choice(Constant(weight=0.6, bias=0.9), Constant(weight=2.0, bias=2.0)),
        optimizer=SGD(learning_rate=learning_rate),
        epochs=300,
        metrics=["output", "sigma_prime"],
    )


def test_a_saturated_neuron_learns_slowly_with_the_quadratic_cost(client: Client) -> None:
    job = client.run(neuron(0.15, Quadratic()))
    output = job.results().metric("output")
    assert output[:, -1] == pytest.approx([0.09, 0.20], abs=0.005)
    # Nielsen, chapter 3: hardly a move for 150 epochs, where sigma' is near 0.
    assert output[1, 0] > 0.97
    assert output[1, 149] > 0.93
    slope = np.abs(np.diff(output[1]))
    assert slope[:50].max() < slope.max() / 10


def test_cross_entropy_cures_the_slowdown(client: Client) -> None:
    output = client.run(neuron(0.15, CrossEntropy())).results().metric("output")
    assert output[1, 49] < 0.15
    assert np.abs(np.diff(output[1])).argmax() < 20


def test_a_watch_tells_every_epoch_of_every_trial_once(client: Client) -> None:
    spec = JobSpec(
        dataset=DatasetSelection(name="digits", training_rows=300, validation=RowRange(first=1000)),
        network=Network(hidden=choice([10], [16, 8])),
        optimizer=SGD(learning_rate=log_uniform(0.05, 5)),
        regularization=Regularization(l2=choice(0.0, 0.1)),
        initialization=choice(UnitGaussian(), Constant(weight=0.1)),
        epochs=12,
        seed=5,
        search=RandomSearch(trials=20),
    )
    job = client.train(spec)
    seen = np.zeros((20, 13), int)
    for event in job.watch():
        if isinstance(event, MetricsReceived):
            last = event.first_epoch + event.values.shape[1]
            seen[np.ix_(event.trials, range(event.first_epoch, last))] += 1
    assert (seen[:, 1:] == 1).all()
    assert (seen[:, 0] == 0).all()
    assert job.wait().latest.state is JobState.SUCCEEDED
    trials = job.trials()
    assert [t.index for t in trials] == list(range(20))
    assert {t.state for t in trials} == {TrialState.SUCCEEDED}
    results = job.results()
    for trial in trials:
        for name, value in trial.final_metrics.items():
            assert value == pytest.approx(results.curve(name, trial.index)[-1], nan_ok=True)


def test_a_trial_of_a_sweep_is_the_plain_job_with_its_seed(client: Client) -> None:
    fields = {
        "dataset": DatasetSelection(
            name="digits", training_rows=200, validation=RowRange(first=1500)
        ),
        "network": Network(hidden=[12]),
        "epochs": 5,
    }
    sweep = client.run(JobSpec(seed=integer(1, 6), **fields)).results()
    alone = client.run(JobSpec(seed=4, **fields)).results()
    np.testing.assert_array_equal(sweep.values[3], alone.values[0])


def test_a_model_predicts_what_was_measured(client: Client) -> None:
    job = client.run(
        JobSpec(
            dataset=xor(),
            network=Network(hidden=[8], hidden_activation="tanh", output_activation="softmax"),
            cost=LogLikelihood(),
            optimizer=SGD(learning_rate=0.5, momentum=0.9),
            epochs=200,
            seed=1,
        )
    )
    model = job.model()
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    hidden = np.tanh(corners @ model.weights[0] + model.biases[0])
    scores = hidden @ model.weights[1] + model.biases[1]
    accuracy = (scores.argmax(axis=1) == [0, 1, 1, 0]).mean()
    assert accuracy == job.results().final("training_accuracy")[0] == 1.0


def test_uploaded_data_trains(client: Client) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    y = x @ [[1.0], [-2.0], [0.5]]
    client.upload_dataset("plane", x, y)
    try:
        job = client.run(
            JobSpec(
                dataset="plane", optimizer=SGD(learning_rate=0.1), epochs=60, data_type="float64"
            )
        )
        assert job.results().final("training_cost")[0] < 1e-6
        np.testing.assert_allclose(job.model().weights[0].ravel(), [1, -2, 0.5], atol=1e-3)
    finally:
        client.delete_dataset("plane")


def test_a_diverging_trial_ends_alone(client: Client) -> None:
    fields = {
        "dataset": DatasetSelection(name="digits", training_rows=100),
        "epochs": 20,
        "seed": 3,
    }
    both = client.run(
        JobSpec(
            network=Network(hidden=[10], hidden_activation="relu", output_activation="identity"),
            cost=Quadratic(),
            optimizer=SGD(learning_rate=choice(0.01, 1e6)),
            **fields,
        )
    )
    states = [t.state for t in both.trials()]
    assert states == [TrialState.SUCCEEDED, TrialState.DIVERGED]
    assert both.refresh().progress.diverged == 1
    assert np.isfinite(both.results().values[0]).all()


def test_a_cancelled_job_keeps_what_was_recorded(client: Client) -> None:
    job = client.train(
        JobSpec(dataset="digits", network=Network(hidden=[100]), epochs=100_000, seed=1)
    )
    for event in job.watch():
        if isinstance(event, MetricsReceived):
            job.cancel()
            break
    for _ in job.watch():
        pass
    assert job.refresh().state is JobState.CANCELLED
    assert job.results().values.shape[1] >= 1
    with pytest.raises(FailedPrecondition):
        job.cancel()
    job.delete()
    with pytest.raises(NotFound):
        job.refresh()


def test_every_wrong_field_is_named(client: Client) -> None:
    with pytest.raises(InvalidArgument) as caught:
        client.train(
            JobSpec(
                dataset="digits",
                network=Network(hidden=[0], outputs=3),
                cost=LogLikelihood(),
                optimizer=SGD(learning_rate=-1.0, momentum=2.0),
                regularization=Regularization(l2=-0.1),
                epochs=0,
                batch_size=5000,
            )
        )
    fields = {v.field for v in caught.value.violations}
    assert fields == {
        "network.hidden[0]",
        "network.outputs",
        "cost",
        "optimizer.learning_rate",
        "optimizer.momentum",
        "regularization.l2",
        "epochs",
        "batch_size",
    }
