"""Packtrain: the trainer as a library, a segment at a time."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.trainer.shapes import Data, Shape

from packtrain.training import (
    Activation,
    Cost,
    CostKind,
    Pack,
    Rule,
    Signature,
    TargetKind,
    TrainingData,
    make_trials,
    segment_memory_bytes,
    train_segment,
)

NAME = "packtrain"


def pack_sizes(shape: Shape) -> tuple[int, ...]:
    return shape.pack_sizes


def make_signature(shape: Shape, epochs: int) -> Signature:
    """The shape in the trainer's own words."""
    return Signature(
        sizes=shape.sizes,
        hidden_activation=Activation(shape.hidden),
        output_activation=(
            Activation.SOFTMAX if shape.cost == "log_likelihood" else Activation.SIGMOID
        ),
        batch_size=shape.batch,
        epochs=epochs,
        data_type="float32",
        metrics=shape.recorded,
    )


def make_rows(shape: Shape, data: Data) -> TrainingData:
    """The rows as the trainer takes them."""
    held_out = (data.x_evaluated, data.y_evaluated) if shape.evaluated else (None, None)
    kind = TargetKind.CLASSES if shape.evaluated else TargetKind.NUMBERS
    return TrainingData(data.x, data.y, *held_out, kind)


def memory_bytes(shape: Shape, pack: int) -> int:
    """The most that a segment of so many trials holds at a time, and the state it begins from."""
    signature = make_signature(shape, 1)
    return segment_memory_bytes(signature, pack, shape.rows, shape.evaluated) * 3 // 2


def prepare(shape: Shape, data: Data, pack: int, epochs: int) -> Callable[[], object]:
    """A call that trains ``epochs`` epochs of ``pack`` trials on from the first one.

    Raises RuntimeError where a trial diverges: those that go on would then be too fast.
    """
    trials = make_trials(
        pack,
        cost=Cost(CostKind(shape.cost)),
        rule=Rule(shape.rule),
        learning_rate=shape.learning_rate,
        l2=shape.l2,
    )
    whole = Pack(make_signature(shape, epochs + 1), trials)
    rows = make_rows(shape, data)
    start, _ = train_segment(whole, rows, None, 1)

    def run() -> object:
        end, metrics = train_segment(whole, rows, start, epochs)
        if end.diverged_at.any():
            raise RuntimeError(f"{(end.diverged_at > 0).sum()} trials diverged")
        return metrics

    return run
