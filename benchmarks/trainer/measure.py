"""Measures shapes in rounds: everyone takes turns, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.trainer.contestants import MODULES, AbsentError, Contestant
from benchmarks.trainer.machine import available_bytes
from benchmarks.trainer.peers.packed import memory_bytes
from benchmarks.trainer.shapes import SHAPES, Shape

OURS = "packed"
# Of the memory that is available, what a pack may ask for at most.
MEMORY_SHARE = 0.5

Report = Callable[[str], None]


@dataclass
class Figure:
    """What one contestant took with ``pack`` networks at a time; ``seconds`` of one network's
    epoch are the least of all rounds, or None, and ``reason`` says why."""

    module: str
    who: str
    pack: int
    seconds: float | None = None
    reason: str = ""


@dataclass
class Measured:
    """All figures, those of a shape in the order of the contestants; what the core could do
    before, between and after them."""

    shapes: dict[str, list[Figure]] = field(default_factory=dict)
    matrix_gflops: list[float] = field(default_factory=list)
    copy_gigabytes: list[float] = field(default_factory=list)


def measure(
    names: Sequence[str],
    *,
    rounds: int,
    quick: bool,
    pack_sizes: Sequence[int] = (),
    report: Report,
    modules: Iterable[str] = MODULES,
) -> Iterator[tuple[str, Measured]]:
    """Measure shapes, each in ``rounds`` rounds: after each its name, and all that is measured by
    then. ``quick``: few pack sizes; ``pack_sizes``: ours, in place of each shape's own."""
    measured = Measured()
    with ExitStack() as stack:

        def start(module: str) -> Contestant:
            contestant = Contestant(module)
            stack.callback(contestant.close)
            return contestant

        limits = start("plain_numpy")
        contestants = [start(module) for module in modules]

        def measure_limits() -> None:
            gflops, gigabytes = limits.measure_limits()
            measured.matrix_gflops.append(gflops)
            measured.copy_gigabytes.append(gigabytes)

        for name in names:
            report(f"{name}: preparing")
            entries = _prepare(SHAPES[name], contestants, quick, pack_sizes)
            measured.shapes[name] = [figure for _, figure in entries]
            for number in range(rounds):
                report(f"{name}: round {number + 1} of {rounds}")
                measure_limits()
                for contestant, figure in entries:
                    _take_turn(name, contestant, figure)
            measure_limits()
            yield name, measured


def _prepare(
    shape: Shape, contestants: Sequence[Contestant], quick: bool, pack_sizes: Sequence[int]
) -> list[tuple[Contestant, Figure]]:
    entries = []
    for contestant in contestants:
        try:
            who, sizes = contestant.describe(shape.name)
            contestant.release()
        except AbsentError as absent:
            entries.append((contestant, _absent(contestant, str(absent))))
            continue
        if pack_sizes and contestant.module == OURS:
            sizes = tuple(pack_sizes)
        for pack in _few(sizes) if quick else sizes:
            figure = Figure(contestant.module, who, pack)
            entries.append((contestant, figure))
            try:
                _check_memory(shape, pack)
                contestant.prepare(shape.name, pack)
            except AbsentError as absent:
                figure.reason = str(absent)
    return entries


def _absent(contestant: Contestant, reason: str) -> Figure:
    return Figure(contestant.module, contestant.module.replace("_", " "), 0, reason=reason)


def _few(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The first, the middle and the last."""
    return tuple(sorted({sizes[0], sizes[len(sizes) // 2], sizes[-1]})) if sizes else ()


def _check_memory(shape: Shape, pack: int) -> None:
    available, needed = available_bytes(), memory_bytes(shape, pack)
    if available is not None and needed > MEMORY_SHARE * available:
        raise AbsentError(
            f"left out: it takes {needed / 2**30:.1f} GiB, {available / 2**30:.1f} are available"
        )


def _take_turn(name: str, contestant: Contestant, figure: Figure) -> None:
    if figure.reason:
        return
    try:
        seconds = contestant.measure(name, figure.pack)
    except AbsentError as absent:
        figure.seconds, figure.reason = None, str(absent)
        return
    figure.seconds = min(seconds, figure.seconds or seconds)
