"""What is played from a tape is what would have been done without one, and nothing else is."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from packtrain.training import (
    METRICS,
    Activation,
    Cost,
    CostKind,
    Pack,
    Patience,
    Plateau,
    Rule,
    Schedule,
    Signature,
    TargetKind,
    TrainingData,
    make_trials,
    train,
    train_segment,
)
from packtrain.training import epochs as epochs_module
from packtrain.training.activations import OUTPUT_ONLY
from packtrain.training.lanes import LaneKernel
from packtrain.training.tape import Tape

RNG = np.random.default_rng(0)
KINDS = {
    TargetKind.CLASSES: (Activation.SIGMOID, Cost.CROSS_ENTROPY),
    TargetKind.LABELS: (Activation.SIGMOID, Cost.QUADRATIC),
    TargetKind.NUMBERS: (Activation.IDENTITY, Cost(CostKind.HUBER, huber_delta=0.3)),
}
COSTS = [
    (Activation.SIGMOID, Cost.QUADRATIC),
    (Activation.SIGMOID, Cost(CostKind.CROSS_ENTROPY, label_smoothing=0.1)),
    (Activation.SIGMOID, Cost(CostKind.CROSS_ENTROPY, class_weights=(0.2, 0.5, 0.9, 1, 2, 3))),
    (Activation.SOFTMAX, Cost.LOG_LIKELIHOOD),
    (Activation.SOFTMAX, Cost.QUADRATIC),
    (Activation.IDENTITY, Cost(CostKind.HINGE)),
    (Activation.TANH, Cost(CostKind.ABSOLUTE)),
    (Activation.SOFTPLUS, Cost(CostKind.POISSON)),
    (Activation.EXPONENTIAL, Cost(CostKind.POISSON)),
]


def make_data(kind: TargetKind, rows: int = 5, outputs: int = 6) -> TrainingData:
    def targets():
        if kind is TargetKind.NUMBERS:
            return RNG.random((rows, outputs), dtype=np.float32)
        if kind is TargetKind.LABELS:
            return RNG.integers(0, 2, (rows, outputs)).astype(np.float32)
        return np.eye(outputs, dtype=np.float32)[RNG.integers(0, outputs, rows)]

    x, held_out = RNG.normal(size=(2, rows, 3)).astype(np.float32)
    return TrainingData(x, targets(), held_out, targets(), kind)


def make_pack(kind: TargetKind, hidden=Activation.TANH, output=None, cost=None, **trials) -> Pack:
    usual_output, usual_cost = KINDS[kind]
    signature = Signature(
        sizes=(3, 4, 6),
        hidden_activation=hidden,
        output_activation=output or usual_output,
        batch_size=5,
        epochs=7,
        data_type="float32",
        metrics=tuple(name for name, metric in METRICS.items() if kind in metric.target_kinds),
    )
    trials.setdefault("learning_rate", RNG.uniform(0.01, 0.1, 3))
    return Pack(signature, make_trials(3, cost=cost or usual_cost, **trials))


@pytest.fixture
def played(monkeypatch):
    """The tapes that were played."""
    tapes, play = [], Tape.play

    def note(tape):
        tapes.append(tape)
        play(tape)

    monkeypatch.setattr(Tape, "play", note)
    return tapes


def train_without_tape(pack: Pack, data: TrainingData):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LaneKernel, "does_repeat", lambda self, rows: False)
        return train(pack, data)


def assert_same(pack: Pack, data: TrainingData) -> None:
    state, metrics = train(pack, data)
    other_state, other_metrics = train_without_tape(pack, data)
    np.testing.assert_array_equal(metrics.values, other_metrics.values)
    other = other_state.weights + other_state.biases
    for a, b in zip(state.weights + state.biases, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", TargetKind)
def test_every_metric_is_measured_anew(kind, played):
    assert_same(make_pack(kind), make_data(kind))
    assert len(played) >= 4


@pytest.mark.parametrize("hidden", sorted(set(Activation) - OUTPUT_ONLY))
def test_every_activation(hidden, played):
    kind = TargetKind.CLASSES
    assert_same(make_pack(kind, hidden), make_data(kind))
    assert played


@pytest.mark.parametrize(("output", "cost"), COSTS)
def test_every_cost(output, cost, played):
    kind = TargetKind.CLASSES
    assert_same(make_pack(kind, output=output, cost=cost), make_data(kind))
    assert played


@pytest.mark.parametrize("rule", [Rule.SGD, Rule.NESTEROV, Rule.ADAGRAD, Rule.RMSPROP, Rule.LION])
@pytest.mark.parametrize("momentum", [0, 0.9])
def test_every_rule_whose_steps_do_not_count(rule, momentum, played):
    kind = TargetKind.NUMBERS
    terms = {"momentum": momentum, "l2": 0.3, "l1": 0.1, "max_norm": 1.0}
    assert_same(make_pack(kind, rule=rule, **terms), make_data(kind))
    assert played


@pytest.mark.parametrize(
    "terms",
    [
        {"rule": Rule.ADAM},
        {"rule": Rule.NADAM},
        {"dropout": 0.5},
        {"input_noise": 0.1},
        {"clip_norm": 0.1},
        {"schedule": Schedule(warmup_epochs=3)},
    ],
)
def test_what_differs_from_epoch_to_epoch_is_not_played(terms, played):
    kind = TargetKind.CLASSES
    train(make_pack(kind, **terms), make_data(kind))
    assert not played


@pytest.mark.parametrize("every", [2, 3])
def test_epochs_between_measurements(every, played):
    kind = TargetKind.CLASSES
    pack = make_pack(kind)
    signature = replace(pack.signature, measure_every=every, epochs=11)
    assert_same(Pack(signature, pack.trials), make_data(kind))
    assert len(played) >= 5


def test_segments_may_begin_anywhere(played):
    kind = TargetKind.CLASSES
    pack, data = make_pack(kind), make_data(kind)
    _, whole = train_without_tape(pack, data)
    middle, first = train_segment(pack, data, None, 3)
    _, second = train_segment(pack, data, middle, 4)
    joined = np.concatenate([first.values, second.values], axis=1)
    np.testing.assert_array_equal(joined, whole.values)
    assert played


def test_learning_rates_that_a_plateau_lessens(played):
    kind = TargetKind.NUMBERS
    plateau = Schedule(Plateau("training_cost", patience=2, factor=0.5, least=0.01))
    pack = make_pack(kind, schedule=plateau, learning_rate=[0.05, 3.0, 0.01])
    pack = Pack(replace(pack.signature, epochs=25), pack.trials)
    assert_same(pack, make_data(kind))
    assert played


def test_trials_that_end_leave_the_others_to_a_new_tape(played):
    kind = TargetKind.NUMBERS
    pack = make_pack(kind, learning_rate=[0.01, 1e30, 0.02])
    signature = replace(pack.signature, patience=Patience("training_cost", 2), epochs=12)
    pack, data = Pack(signature, pack.trials), make_data(kind)
    state, _ = train(pack, data)
    assert state.diverged_at[1] > 0
    assert_same(pack, data)
    assert played


def test_rows_beyond_one_pass_are_trained_without_a_tape(played):
    kind = TargetKind.CLASSES
    data = make_data(kind, rows=5)
    many = make_data(kind, rows=40)
    data = replace(data, x_validation=many.x, y_validation=many.y)
    assert_same(make_pack(kind), data)
    assert not played


class TestTape:
    def test_calls_are_made_again_on_the_same_memory(self):
        a, b, out = np.arange(3.0), np.ones(3), np.zeros(3)
        tape = Tape()
        seen, written = tape.watch(a), tape.watch(out)
        np.add(seen, b, out=written)
        doubled = np.multiply(written, 2)
        total = np.add.reduce(doubled.reshape(3, 1), axis=1)
        kept = total.copy()
        assert tape.is_whole
        a[:] = 5
        tape.play()
        np.testing.assert_array_equal(kept.view(np.ndarray), [12, 12, 12])
        np.testing.assert_array_equal(out, [6, 6, 6])

    def test_functions_that_make_or_fill_arrays(self):
        a = np.array([1.0, -2.0, 3.0])
        tape = Tape()
        seen = tape.watch(a)
        positive = np.where(seen > 0, seen, 0.0)
        ones = np.ones_like(seen)
        seen[1:] = positive[1:] + ones[1:]
        assert tape.is_whole
        np.testing.assert_array_equal(a, [1, 1, 4])
        tape.play()
        np.testing.assert_array_equal(a, [1, 2, 5])

    @pytest.mark.parametrize(
        "use",
        [
            lambda a: float(a[0, 0:1].reshape(())),
            lambda a: bool((a > 0).all()),
            lambda a: a[0, 0],
            lambda a: a[[0, 1]],
            lambda a: a.T.ravel(),
            lambda a: np.add(a, 1, out=np.empty((2, 2))),
            lambda a: np.copyto(np.empty((2, 2)), a),
            lambda a: np.add(a, np.asarray(a)),
            lambda a: a.item(0),
            lambda a: np.add.reduce(a, axis=None),
            lambda a: np.count_nonzero(a),
            lambda a: int(a[0, 0:1].reshape(())),
            lambda a: a.sort(),
            lambda a: a.fill(2.0),
            lambda a: a.take([0], axis=0),
            lambda a: a.tolist(),
            lambda a: np.clip(a, 0, 1, a),
            lambda a: np.nan_to_num(a, copy=False),
            lambda a: a.__setitem__([0, 1], 3.0),
            lambda a: a.__setitem__(a > 0, 3.0),
            lambda a: a.__setitem__((0, 0), 3.0),
        ],
    )
    def test_what_cannot_be_played_again_is_found_out(self, use):
        tape = Tape()
        use(tape.watch(np.ones((2, 2))))
        assert not tape.is_whole

    def test_a_tape_that_nobody_plays_any_more_is_gone_at_once(self):
        gc.disable()
        try:
            tape = Tape()
            seen = tape.watch(np.ones(3))
            found = np.add(seen[1:], 1).copy().view(np.ndarray)
            tape.finish()
            last = weakref.ref(tape)
            del tape, seen
            assert last() is None
        finally:
            gc.enable()
        np.testing.assert_array_equal(found, [2, 2])

    @pytest.mark.parametrize("key", [0, [0, 2], [True, False, True]])
    def test_what_is_written_is_written_whether_or_not_it_can_be_played(self, key):
        a, b = np.arange(3.0), np.arange(3.0)
        tape = Tape()
        tape.watch(a)[key] = 7
        b[key] = 7
        np.testing.assert_array_equal(a, b)
        assert not tape.is_whole

    def test_numbers_of_numpy_keep_their_type(self):
        a = np.random.default_rng(0).random(1000, np.float32)
        out, wanted = np.empty_like(a), np.multiply(a, np.float64(0.1), dtype=np.float64)
        tape = Tape()
        np.multiply(tape.watch(a), np.float64(0.1), out=tape.watch(out), casting="same_kind")
        tape.play()
        np.testing.assert_array_equal(out, wanted.astype(np.float32))

    def test_numbers_keep_the_type_that_numpy_gives_them(self):
        a = np.array([0.1, 0.7], np.float32)
        tape = Tape()
        found = np.multiply(tape.watch(a), 0.3)
        wanted = np.multiply(a, 0.3)
        tape.play()
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found.view(np.ndarray), wanted)


def test_a_metric_that_nobody_watched_is_not_played(monkeypatch, played):
    measure = epochs_module.Meter.measure

    def hide(meter, kernel):
        return {name: np.array(column) for name, column in measure(meter, kernel).items()}

    monkeypatch.setattr(epochs_module.Meter, "measure", hide)
    kind = TargetKind.CLASSES
    assert_same(make_pack(kind), make_data(kind))
    assert not played
