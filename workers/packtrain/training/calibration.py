"""Measures the speed of the machine at hand, by training small packs whose work was counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from packtrain.training.data import TrainingData
from packtrain.training.segment import initial_state, train_segment
from packtrain.training.spec import (
    Activation,
    Constant,
    DrawnInitialization,
    Pack,
    Rule,
    ScaledGaussian,
    Signature,
)
from packtrain.training.speed import Speed
from packtrain.training.targets import TargetKind
from packtrain.training.trials import make_trials
from packtrain.training.work import Work, epoch_work, initial_work

# The least time of so many is what counts: the first time, BLAS's products are tried.
REPEATS = 3
# How much the defaults count beside a measured pack: where the packs tell two kinds of work badly
# apart, both keep near to what is usual.
_PRIOR_WEIGHT = 0.1
_LEAST_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class ReferencePack:
    """Networks and rows that show one kind of work more than others."""

    sizes: tuple[int, ...]
    batch_size: int
    trials: int
    rows: int
    epochs: int = 1
    rule: Rule = Rule.SGD
    metrics: tuple[str, ...] = ("training_cost",)

    def make(self, initialization: DrawnInitialization) -> tuple[Pack, TrainingData]:
        """The pack, and rows of noise."""
        signature = Signature(
            sizes=self.sizes,
            hidden_activation=Activation.SIGMOID,
            output_activation=Activation.SIGMOID,
            batch_size=self.batch_size,
            epochs=self.epochs,
            data_type="float32",
            metrics=self.metrics,
        )
        trials = make_trials(
            self.trials, initialization=initialization, rule=self.rule, learning_rate=0.01
        )
        rng = np.random.default_rng(0)
        x = rng.random((self.rows, self.sizes[0]), dtype=np.float32)
        y = np.zeros((self.rows, self.sizes[-1]), np.float32)
        y[np.arange(self.rows), rng.integers(0, self.sizes[-1], self.rows)] = 1
        return Pack(signature, trials), TrainingData(x, y, None, None, TargetKind.CLASSES)


# In the order of the kinds of work: overhead, values, tiny products, BLAS's, passes over weights.
REFERENCE_PACKS = (
    ReferencePack(sizes=(2, 3, 1), batch_size=2, trials=1, rows=4, epochs=100),
    ReferencePack(sizes=(2, 3, 1), batch_size=4, trials=1000, rows=4, epochs=80),
    ReferencePack(sizes=(8, 12, 10), batch_size=4, trials=500, rows=40),
    ReferencePack(sizes=(64, 30, 10), batch_size=10, trials=32, rows=400),
    ReferencePack(sizes=(784, 30, 10), batch_size=10, trials=16, rows=300),
    ReferencePack(sizes=(64, 30, 10), batch_size=10, trials=32, rows=200, rule=Rule.ADAM),
)
DRAWN_PACK = ReferencePack(sizes=(784, 30, 10), batch_size=10, trials=16, rows=10)


def measure_speed() -> Speed:
    """The speed of this process's thread, with as many threads as BLAS has; takes about 0.3 s.

    Counted are the thread's seconds on a processor: a machine that has just started its workers
    does more than train.
    """
    works, seconds = zip(*_measure_works(), strict=True)
    return fit_speed(works, seconds)


def fit_speed(works: Sequence[Work], seconds: Sequence[float]) -> Speed:
    """The speed at which these works take these seconds, by least squares of relative errors."""
    usual = np.array(astuple(Speed()))
    shares = np.array(works) * usual / np.array(seconds)[:, np.newaxis]
    prior = _PRIOR_WEIGHT * np.eye(len(usual))
    wanted = np.concatenate([np.ones(len(shares)), np.full(len(usual), _PRIOR_WEIGHT)])
    factors, *_ = np.linalg.lstsq(np.concatenate([shares, prior]), wanted, rcond=None)
    return Speed(*map(float, usual * np.maximum(factors, _LEAST_SHARE)))


def _measure_works() -> Iterator[tuple[Work, float]]:
    for reference in REFERENCE_PACKS:
        pack, data = reference.make(Constant(0.1))  # drawing is measured by itself
        epoch = epoch_work(pack, reference.rows, 0)
        work = Work(*(reference.epochs * count for count in epoch))
        yield work, _epochs_seconds(pack, data)
    pack, data = DRAWN_PACK.make(ScaledGaussian())
    yield initial_work(pack), _least_seconds(lambda: initial_state(pack, data))


def _epochs_seconds(pack: Pack, data: TrainingData) -> float:
    """What the epochs take, beside what a segment takes for itself."""
    start = initial_state(pack, data)
    whole = _least_seconds(lambda: train_segment(pack, data, start, pack.signature.epochs))
    return whole - _least_seconds(lambda: train_segment(pack, data, start, 0))


def _least_seconds(run: Callable[[], object]) -> float:
    return min(_seconds(run) for _ in range(REPEATS))


def _seconds(run: Callable[[], object]) -> float:
    began = time.thread_time()
    run()
    return time.thread_time() - began
