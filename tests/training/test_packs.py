"""A trial is the same, bit for bit, alone or in any pack, in any order, split or not."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packtrain.training import (
    METRICS,
    Activation,
    Augmentation,
    CosineDecay,
    Cost,
    CostKind,
    GivenArrays,
    He,
    OneCycle,
    Orthogonal,
    Pack,
    Patience,
    Plateau,
    Rule,
    ScaledGaussian,
    Schedule,
    Signature,
    StepDecay,
    TargetKind,
    TrainingData,
    Trials,
    UnitGaussian,
    make_trials,
    train,
    train_segment,
)
from packtrain.training.activations import OUTPUT_ONLY

# Layers of every kind: trial axis last, side by side, stacked, too wide to share a matrix;
# dimensions of 1, where BLAS changes paths.
SHAPES = [
    (1, 1),
    (2, 3, 1),
    (5, 1, 3),
    (8, 12, 10),
    (64, 30, 10),
    (40, 30, 1),
    (1, 40, 30, 2),
    (60, 20),
    (20, 200, 3),
]
# As images of so many rows.
HEIGHTS = {1: 1, 2: 1, 5: 5, 8: 2, 20: 4, 40: 5, 60: 6, 64: 8}

SCHEDULES = [
    Schedule(StepDecay(every=2)),
    Schedule(CosineDecay(period=1, growth=2), warmup_epochs=0.5),
    Schedule(OneCycle()),
    Schedule(Plateau("validation_cost", patience=1, least=0.4)),
]


def data_of(signature: Signature, rows: int, seed: int) -> TrainingData:
    rng = np.random.default_rng(seed)
    outputs = signature.sizes[-1]

    def made(count):
        x = rng.normal(size=(count, signature.sizes[0]))
        labels = rng.integers(0, max(outputs, 2), count)
        y = np.eye(outputs)[labels] if outputs > 1 else labels[:, np.newaxis]
        return np.ascontiguousarray(x, signature.data_type), y.astype(signature.data_type)

    return TrainingData(*made(rows), *made(rows // 2 + 1), TargetKind.CLASSES)


def mixed_trials(count: int, seed: int, sizes: tuple[int, ...], noise: float = 0.0) -> Trials:
    rng = np.random.default_rng(seed)
    given = GivenArrays((rng.normal(size=sizes[:2]),), (rng.normal(size=sizes[1]),))
    weights = tuple(rng.random(max(sizes[-1], 2)).tolist())
    costs = [
        Cost.QUADRATIC,
        Cost.CROSS_ENTROPY,
        Cost(CostKind.CROSS_ENTROPY, label_smoothing=0.1, class_weights=weights),
        Cost(CostKind.HUBER, huber_delta=0.3, class_weights=weights),
    ]

    def some(values):
        return np.where(rng.random(count) < 0.5, values, 0.0)

    def choose(*values):
        return [values[i] for i in rng.integers(0, len(values), count)]

    return make_trials(
        count,
        learning_rate=rng.uniform(0.01, 2, count),
        cost=choose(*costs),
        initialization=choose(ScaledGaussian(), UnitGaussian(), He(), Orthogonal(), given),
        rule=choose(Rule.SGD, Rule.SGD, *Rule),
        schedule=choose(Schedule(), *SCHEDULES),
        momentum=some(0.9),
        l2=some(rng.random(count) * rng.choice([1, 30], count)),
        l1=some(rng.random(count)),
        dropout=some(0.5),
        max_norm=some(rng.uniform(0.5, 2, count)),
        clip_norm=some(rng.uniform(0.01, 0.5, count)),
        seeds=rng.integers(0, 2**62, count),
        order_seeds=rng.integers(0, 2, count),
        input_noise=some(noise),
    )


def assert_equal(state, metrics, other_state, other_metrics) -> None:
    assert metrics.names == other_metrics.names
    np.testing.assert_array_equal(metrics.values, other_metrics.values)
    for name in ("diverged_at", "stopped_at", "rate_share"):
        np.testing.assert_array_equal(getattr(state, name), getattr(other_state, name))
    for name in ("weights", "biases"):
        for a, b in zip(getattr(state, name), getattr(other_state, name), strict=True):
            np.testing.assert_array_equal(a, b)


def arrays_of(value):
    """Every array within a state."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from arrays_of(part)
    elif is_dataclass(value):
        for field in fields(value):
            yield from arrays_of(getattr(value, field.name))


packs = st.fixed_dictionaries(
    {
        "sizes": st.sampled_from(SHAPES),
        "hidden": st.sampled_from(sorted(set(Activation) - OUTPUT_ONLY)),
        "batch": st.sampled_from([1, 2, 4, 10, 32]),
        "rows": st.sampled_from([1, 4, 23]),
        "dtype": st.sampled_from(["float32", "float64"]),
        "count": st.integers(2, 20),
        "seed": st.integers(0, 1000),
        "noise": st.sampled_from([0.0, 0.0, 0.2]),
        "expand": st.booleans(),
    }
)


def expansion_of(inputs: int) -> Augmentation:
    height = HEIGHTS[inputs]
    return Augmentation(height, inputs // height, shift=1.5, rotation=20)


def build(drawn) -> tuple[Pack, TrainingData]:
    metrics = tuple(
        name
        for name, metric in METRICS.items()
        if TargetKind.CLASSES in metric.target_kinds and metric.least_outputs <= drawn["sizes"][-1]
    )
    signature = Signature(
        sizes=drawn["sizes"],
        hidden_activation=drawn["hidden"],
        output_activation=Activation.SIGMOID,
        batch_size=min(drawn["batch"], drawn["rows"]),
        epochs=4,
        data_type=drawn["dtype"],
        metrics=metrics,
        patience=Patience("training_cost", 2),
        augmentation=expansion_of(drawn["sizes"][0]) if drawn["expand"] else None,
    )
    pack = Pack(
        signature, mixed_trials(drawn["count"], drawn["seed"], drawn["sizes"], drawn["noise"])
    )
    return pack, data_of(signature, drawn["rows"], drawn["seed"])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(packs)
def test_trials_together_equal_trials_alone(drawn):
    pack, data = build(drawn)
    state, metrics = train(pack, data)
    order = np.random.default_rng(drawn["seed"]).permutation(len(pack))
    for some in (order, order[: len(pack) // 2], order[:1]):
        few_state, few_metrics = train(pack.select(some), data)
        wanted = replace(metrics, values=metrics.values[some])
        assert_equal(state.select(some), wanted, few_state, few_metrics)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(packs, st.integers(1, 3))
def test_segments_equal_the_whole(drawn, cut):
    pack, data = build(drawn)
    state, metrics = train(pack, data)
    middle, first = train_segment(pack, data, None, cut)
    for array in arrays_of(middle):
        array.flags.writeable = False  # as Ray's object store hands them on
    before = [w.copy() for w in middle.weights]
    end, second = train_segment(pack, data, middle, 4 - cut)
    assert (first.first_epoch, second.first_epoch, end.epoch) == (1, cut + 1, 4)
    joined = replace(metrics, values=np.concatenate([first.values, second.values], axis=1))
    assert_equal(end, joined, state, metrics)
    for array, copy in zip(middle.weights, before, strict=True):
        np.testing.assert_array_equal(array, copy)


EXAMPLE = {
    "sizes": (8, 12, 10),
    "hidden": Activation.TANH,
    "batch": 5,
    "rows": 23,
    "dtype": "float32",
    "count": 6,
    "seed": 1,
    "noise": 0.0,
    "expand": False,
}


@pytest.mark.parametrize("record_after", [0, 1, 3, 4, 9])
def test_recorded_epochs_are_not_recorded_again(record_after):
    pack, data = build(EXAMPLE)
    state, metrics = train(pack, data)
    end, rest = train_segment(pack, data, None, 4, record_after=record_after)
    assert rest.first_epoch == record_after + 1
    assert rest.values.shape == (6, max(0, 4 - record_after), len(metrics.names))
    assert_equal(end, rest, state, replace(metrics, values=metrics.values[:, record_after:]))


def test_block_size_changes_nothing(monkeypatch):
    pack, data = build(EXAMPLE | {"count": 20})
    state, metrics = train(pack, data)
    monkeypatch.setattr("packtrain.training.segment.block_trials", lambda signature: 3)
    assert_equal(*train(pack, data), state, metrics)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 3, 1), (40, 30, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_stops_one_trial_and_no_other(sizes, dtype):
    signature = Signature(
        sizes=sizes,
        hidden_activation=Activation.RELU,
        output_activation=Activation.IDENTITY,
        batch_size=4,
        epochs=30,
        data_type=dtype,
        metrics=("training_cost", "weight_norm", "validation_accuracy"),
    )
    data = data_of(signature, 23, 3)
    rates = np.array([0.01, 1e30, 0.02, 9.0])
    trials = make_trials(4, learning_rate=rates, cost=Cost.QUADRATIC, momentum=[0, 0, 0.1, 0.1])
    state, metrics = train(Pack(signature, trials), data)
    assert (state.diverged_at[[0, 2]] == 0).all()
    assert (state.diverged_at[[1, 3]] > 0).all()
    np.testing.assert_array_equal(metrics.diverged_at, state.diverged_at)
    assert np.isfinite(metrics.values[[0, 2]]).all()
    for k in (1, 3):
        at = int(state.diverged_at[k])
        assert np.isfinite(metrics.values[k, : at - 1]).all()
        assert np.isnan(metrics.values[k, at:]).all()
    alone, alone_metrics = train(Pack(signature, trials.select(np.array([0, 2]))), data)
    wanted = replace(metrics, values=metrics.values[[0, 2]])
    assert_equal(state.select(np.array([0, 2])), wanted, alone, alone_metrics)


def test_a_diverged_trial_stays_as_it_is():
    pack, data = build(EXAMPLE)
    state, _ = train_segment(pack, data, None, 2)
    state.diverged_at[2] = 2
    end, metrics = train_segment(pack, data, state, 2)
    np.testing.assert_array_equal(end.weights[0][2], state.weights[0][2])
    assert np.isnan(metrics.values[2]).all()
    assert metrics.diverged_at[2] == 2


def test_metrics_every_few_epochs_and_at_the_last():
    pack, data = build(EXAMPLE)
    # Rules that go by what is measured go otherwise where it is measured otherwise.
    unruly = replace(pack.trials, schedules=(Schedule(),) * len(pack.trials.schedules))
    pack = Pack(replace(pack.signature, patience=None), unruly)
    sparse = Pack(replace(pack.signature, measure_every=3), pack.trials)
    _, metrics = train(pack, data)
    _, few = train(sparse, data)
    assert np.isnan(few.values[:, [0, 1]]).all()
    np.testing.assert_array_equal(few.values[:, [2, 3]], metrics.values[:, [2, 3]])


@pytest.mark.parametrize("batch", [4, 23])
def test_what_is_measured_changes_no_weight(batch):
    # Where a mini-batch takes all rows, the pass that measures an epoch serves the next step.
    pack, data = build(EXAMPLE | {"sizes": (2, 3, 1), "batch": batch})
    signature = replace(pack.signature, patience=None)
    trials = make_trials(6, learning_rate=np.arange(1, 7) / 4, l2=0.1, momentum=0.5, dropout=0.0)
    state, _ = train(Pack(signature, trials), data)
    quiet, _ = train(Pack(replace(signature, metrics=()), trials), data)
    for a, b in zip(state.weights, quiet.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_blas_depends_on_the_place_each_trial_gets_its_own_product(monkeypatch):
    pack, data = build(
        {
            "sizes": (64, 30, 10),
            "hidden": Activation.TANH,
            "batch": 4,
            "rows": 23,
            "dtype": "float64",
            "count": 12,
            "seed": 3,
            "noise": 0.0,
            "expand": False,
        }
    )
    joint_state, joint_metrics = train(pack, data)
    asked = []

    def is_never_placeless(*shape):
        asked.append(shape)
        return False

    monkeypatch.setattr("packtrain.training.joint.is_placeless", is_never_placeless)
    state, metrics = train(pack, data)
    assert asked
    np.testing.assert_allclose(metrics.values, joint_metrics.values, rtol=1e-5)
    np.testing.assert_allclose(state.weights[0], joint_state.weights[0], rtol=1e-9, atol=1e-11)
    alone, alone_metrics = train(pack.select(np.array([5])), data)
    wanted = replace(metrics, values=metrics.values[5:6])
    assert_equal(state.select(np.array([5])), wanted, alone, alone_metrics)


@pytest.mark.parametrize("sizes", [(64, 30, 10), (2, 3, 1)])
@pytest.mark.parametrize("batch", [4, 23])
def test_changed_rows_are_the_same_in_any_pack(sizes, batch):
    pack, data = build(EXAMPLE | {"sizes": sizes, "batch": batch, "expand": True})
    noise = np.array([0, 0.1, 0.2, 0] * 3)
    trials = make_trials(12, learning_rate=0.1, dropout=[0] * 9 + [0.5] * 3, input_noise=noise)
    pack = replace(pack, trials=trials)
    state, metrics = train(pack, data)
    for row in (0, 7):
        one = np.array([row])
        wanted = replace(metrics, values=metrics.values[one])
        assert_equal(state.select(one), wanted, *train(pack.select(one), data))
    middle, first = train_segment(pack, data, None, 1)
    end, second = train_segment(pack, data, middle, 3)
    joined = replace(metrics, values=np.concatenate([first.values, second.values], axis=1))
    assert_equal(end, joined, state, metrics)
    # Both are at work: without either, the trials that have it end elsewhere, and no others.
    unmoved, _ = train(Pack(replace(pack.signature, augmentation=None), pack.trials), data)
    assert (state.weights[0] != unmoved.weights[0]).any(axis=(1, 2)).all()
    silent = replace(trials, input_noise=np.zeros_like(noise))
    quiet, _ = train(Pack(pack.signature, silent), data)
    differs = (state.weights[0] != quiet.weights[0]).any(axis=(1, 2))
    np.testing.assert_array_equal(differs, noise > 0)


def test_a_moment_that_is_kept_no_more_is_zero_in_any_pack():
    signature = Signature(
        sizes=(4, 3, 2),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=5,
        epochs=6,
        data_type="float32",
        metrics=("training_cost",),
    )
    data = data_of(signature, 20, 0)

    def pack_of(*momentum: float) -> Pack:
        count = len(momentum)
        seeds = np.arange(count, dtype=np.uint64)
        trials = make_trials(count, seeds=seeds, momentum=np.array(momentum))
        return Pack(signature, trials)

    # Trial 0 loses its momentum and has it again, beside one that keeps it and alone.
    beside, alone = None, None
    for momentum in (0.9, 0.0, 0.9):
        beside, _ = train_segment(pack_of(momentum, 0.9), data, beside, 2)
        alone, _ = train_segment(pack_of(momentum), data, alone, 2)
    np.testing.assert_array_equal(beside.weights[0][:1], alone.weights[0])
    np.testing.assert_array_equal(beside.weight_moments[0][0][:1], alone.weight_moments[0][0])
