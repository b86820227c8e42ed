"""What training is predicted to take. No test here goes by the clock."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Augmentation,
    Cost,
    Pack,
    Rule,
    Signature,
    Speed,
    epoch_seconds,
    initial_seconds,
    make_trials,
    measure_speed,
)
from packtrain.training.calibration import REFERENCE_PACKS, fit_speed
from packtrain.training.spec import Constant
from packtrain.training.work import Work, epoch_work

SHAPES = {
    "neuron": ((1, 1), 1, 1),
    "xor": ((2, 3, 1), 4, 4),
    "digits": ((64, 30, 10), 10, 1000),
    "large-batches": ((784, 100, 10), 100, 1000),
    "deeper": ((784, 100, 100, 10), 32, 1000),
}


def make_pack(sizes: tuple[int, ...], batch_size: int, trials: int, **changes: object) -> Pack:
    signature = Signature(
        sizes=sizes,
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=batch_size,
        epochs=10,
        data_type="float32",
        metrics=("training_cost",),
    )
    return Pack(replace(signature, **changes), make_trials(trials))


def seconds(pack: Pack, rows: int, validation_rows: int = 0) -> float:
    return epoch_seconds(Speed(), pack, rows, validation_rows)


@pytest.mark.parametrize("shape", SHAPES)
def test_more_trials_and_more_rows_take_longer(shape):
    sizes, batch_size, rows = SHAPES[shape]
    by_trials = [
        seconds(make_pack(sizes, batch_size, trials), rows) for trials in (1, 4, 16, 64, 256)
    ]
    assert sorted(set(by_trials)) == by_trials
    pack = make_pack(sizes, batch_size, 8)
    by_rows = [seconds(pack, rows * times) for times in (1, 2, 4, 8)]
    assert sorted(set(by_rows)) == by_rows


@pytest.mark.parametrize("shape", SHAPES)
def test_many_trials_take_as_long_as_their_number(shape):
    sizes, batch_size, rows = SHAPES[shape]
    # Blocks of one size, so that overhead is no excuse.
    few, many = (seconds(make_pack(sizes, batch_size, n), rows) for n in (1 << 16, 1 << 18))
    assert many == pytest.approx(4 * few, rel=0.02)


def test_a_pack_takes_less_than_its_trials_alone():
    for sizes, batch_size, rows in SHAPES.values():
        alone = seconds(make_pack(sizes, batch_size, 1), rows)
        assert seconds(make_pack(sizes, batch_size, 32), rows) < 32 * alone


def test_evaluation_adds_to_an_epoch_and_its_share_falls_with_measure_every():
    def measured(**changes):
        return seconds(make_pack((64, 30, 10), 10, 32, **changes), 1000, 5000)

    without, with_it = measured(metrics=()), measured(metrics=("validation_cost",))
    assert with_it > without + (measured() - without)
    seldom = measured(metrics=("validation_cost",), measure_every=10)
    assert without < seldom < with_it
    assert seldom - without == pytest.approx((with_it - without) / 10, rel=1e-6)


def test_rules_that_keep_moments_take_longer():
    pack = make_pack((64, 30, 10), 10, 32)
    plain, momentum, adam = (
        seconds(Pack(pack.signature, make_trials(32, **numbers)), 1000)
        for numbers in ({}, {"momentum": 0.9}, {"rule": Rule.ADAM})
    )
    assert plain < momentum < adam


def test_trials_that_share_no_block_take_longer():
    pack = make_pack((64, 30, 10), 10, 32)
    costs = [Cost.QUADRATIC, Cost.CROSS_ENTROPY] * 16
    mixed = Pack(pack.signature, make_trials(32, cost=costs))
    assert seconds(pack, 1000) < seconds(mixed, 1000)
    own_orders = Pack(pack.signature, make_trials(32, order_seeds=np.arange(32)))
    assert seconds(mixed, 1000) < seconds(own_orders, 1000)


def test_the_work_of_an_epoch_by_hand():
    # [2, 3, 1], four rows at once, cost measured: 3 passes of 2 layers, the epoch, a figure; half
    # of it, since most epochs are played from a tape.
    passes = (3 * 2 + 2) / 2
    work = epoch_work(make_pack((2, 3, 1), 4, 100), 4, 0)
    products = 4 * (2 * 9 + 2 * 9 + 2 * 3)
    values = 4 * 4 + 13 + 1 + products / 8
    assert work == Work(layer_passes=passes, lane_values=100 * values)
    in_float64 = epoch_work(make_pack((2, 3, 1), 4, 100, data_type="float64"), 4, 0)
    assert in_float64 == Work(layer_passes=passes, lane_values=200 * values)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_epochs_are_counted_as_played_where_the_kernel_repeats_them(shift):
    # Images that are not moved are the same rows each epoch.
    augmentation = Augmentation(height=1, width=2, shift=shift)
    work = epoch_work(make_pack((2, 3, 1), 4, 100, augmentation=augmentation), 4, 0)
    assert work.layer_passes == (3 * 2 + 2) / (1 if shift else 2)


def test_an_empty_pack_takes_nothing():
    pack = make_pack((64, 30, 10), 10, 3).select(np.array([], np.intp))
    assert seconds(pack, 1000) == initial_seconds(Speed(), pack) == 0


def test_a_speed_is_found_again_from_what_packs_take():
    works = [
        epoch_work(reference.make(Constant(0.1))[0], reference.rows, 0)
        for reference in REFERENCE_PACKS
    ]
    works.append(Work(layer_passes=10, drawn=1e5))
    true = Speed(*(3 * each for each in astuple(Speed())))
    found = fit_speed(works, [true.seconds(work) for work in works])
    for work in works:
        assert found.seconds(work) == pytest.approx(true.seconds(work), rel=0.1)


def test_measuring_gives_a_speed_of_this_machine():
    assert all(each > 0 for each in astuple(measure_speed()))


def test_the_slowest_speed_is_that_of_each_kind_of_work():
    one, other = Speed(layer_pass=1.0), Speed(operation=1.0)
    assert Speed.slowest([one, other]) == Speed(layer_pass=1.0, operation=1.0)
