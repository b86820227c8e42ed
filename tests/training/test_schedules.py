"""Schedules at moments where their values are known, and rules that go by what was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Constant,
    ConstantRate,
    CosineDecay,
    Cost,
    ExponentialDecay,
    OneCycle,
    Pack,
    Patience,
    Plateau,
    PolynomialDecay,
    Schedule,
    Signature,
    StepDecay,
    Target,
    TargetKind,
    TrainingData,
    make_trials,
    train,
    train_segment,
)
from packtrain.training.schedules import rate_factors


def at(shape, epoch, *, epochs=12, step=0, steps=4, warmup=0.0):
    return rate_factors(Schedule(shape, warmup), epoch, epochs, steps)[step]


def test_shapes_at_known_moments():
    assert at(ConstantRate(), 7) == 1
    assert [at(StepDecay(3, 0.1), e) for e in (1, 3, 4, 7)] == pytest.approx([1, 1, 0.1, 0.01])
    assert at(ExponentialDecay(0.5), 2, step=2) == pytest.approx(0.5**1.5)
    assert at(PolynomialDecay(2, 0.2), 7) == pytest.approx(0.2 + 0.8 * 0.25)
    assert at(CosineDecay(), 7) == pytest.approx(0.5)
    assert at(CosineDecay(final=0.4), 1) == 1
    # Periods of 2, 4 and 8 epochs begin after 0, 2 and 6.
    restarts = [at(CosineDecay(2, 2.0), e) for e in (1, 2, 3, 5, 7, 11)]
    assert restarts == pytest.approx([1, 0.5, 1, 0.5, 1, 0.5])
    assert at(CosineDecay(3), 4) == 1
    cycle = OneCycle(peak_at=0.25, start=0.1, final=0.02)
    assert [at(cycle, e) for e in (1, 4)] == pytest.approx([0.1, 1])
    assert at(cycle, 12, step=3999, steps=4000) == pytest.approx(0.02, abs=1e-6)
    assert at(ConstantRate(), 1, warmup=2) == pytest.approx(1 / 8)
    assert at(ConstantRate(), 2, step=3, warmup=2) == 1
    assert at(ConstantRate(), 3, warmup=2) == 1


@pytest.mark.parametrize(
    "shape",
    [StepDecay(2), ExponentialDecay(0.9), PolynomialDecay(), CosineDecay(3, 1.5), OneCycle()],
    ids=str,
)
def test_factors_stay_from_0_to_1(shape):
    for epoch in range(1, 41):
        factors = rate_factors(Schedule(shape, 3), epoch, 40, 7)
        assert factors.shape == (7,)
        assert (factors >= 0).all()
        assert (factors <= 1).all()


# One weight between x = 1 and the target 0 with cost a^2/2: w <- (1 - eta) w.
SIGNATURE = Signature(
    sizes=(1, 1),
    hidden_activation=Activation.SIGMOID,
    output_activation=Activation.IDENTITY,
    batch_size=1,
    epochs=12,
    data_type="float64",
    metrics=("training_cost", "output"),
)
DATA = TrainingData(np.zeros((1, 1)), np.zeros((1, 1)), None, None, TargetKind.NUMBERS)


def run(signature=SIGNATURE, **columns):
    trials = make_trials(1, cost=Cost.QUADRATIC, initialization=Constant(0, 1), **columns)
    return train(Pack(signature, trials), DATA)


def test_a_trial_ends_when_its_target_is_reached():
    # The bias halves each epoch; its cost b^2 / 2 is below 0.01 first after the third.
    state, metrics = run(replace(SIGNATURE, target=Target("training_cost", 0.01)))
    assert state.stopped_at.tolist() == metrics.stopped_at.tolist() == [3]
    assert state.biases[0].item() == pytest.approx(0.125)
    assert np.isfinite(metrics.values[0, :3]).all()
    assert np.isnan(metrics.values[0, 3:]).all()
    assert state.diverged_at.tolist() == [0]


def test_a_trial_ends_when_it_no_longer_improves():
    # eta = 2 turns the bias round and round: its cost never changes.
    patient = replace(SIGNATURE, patience=Patience("training_cost", 4))
    state, _ = run(patient, learning_rate=2.0)
    assert state.stopped_at.tolist() == [5]
    # Improving by less than min_delta is not improving.
    state, _ = run(replace(SIGNATURE, patience=Patience("training_cost", 4, 0.4)))
    assert state.stopped_at.tolist() == [5]
    state, _ = run(patient)
    assert state.stopped_at.tolist() == [0]


def test_a_plateau_halves_the_rate_and_ends_the_trial():
    # With eta = 2 the cost stands still; with 1 the bias is 0 at once, and stays.
    plateau = Schedule(Plateau("training_cost", patience=2, factor=0.5, least=0.3))
    state, metrics = run(learning_rate=2.0, schedule=plateau)
    outputs = metrics.values[0, :, 1]
    assert np.abs(outputs[:3]).tolist() == [1, 1, 1]  # two epochs after the first: halved
    assert outputs[3] == 0
    # Better at 4; no longer at 6: a quarter is below 0.3.
    assert state.stopped_at.tolist() == [6]
    assert state.rate_share.tolist() == [0.25]


def test_what_is_not_measured_is_not_judged_and_others_go_on():
    signature = replace(SIGNATURE, target=Target("training_cost", 0.01), measure_every=5)
    trials = make_trials(
        2, learning_rate=[0.5, 1e-6], cost=Cost.QUADRATIC, initialization=Constant(0, 1)
    )
    pack = Pack(signature, trials)
    state, metrics = train(pack, DATA)
    assert state.stopped_at.tolist() == [5, 0]
    assert np.isfinite(metrics.values[1, -1]).all()
    again, rest = train_segment(pack, DATA, state, 3)
    assert again.biases[0][0] == state.biases[0][0]
    assert np.isnan(rest.values[0]).all()
    assert rest.stopped_at.tolist() == [5, 0]
